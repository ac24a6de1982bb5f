"""What is configured as it reaches the optimizer: rates, steps, epochs, batches, strengths."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest

from search.config.reading import load_config
from search.plan.space import Configuration

PEAK, FACTOR, EPOCHS = 0.02, 0.25, 10
CONFIGURATION = Configuration(16, dropout=0.3, l2=1e-3, learning_rate=PEAK, unfreeze_depth=1)


@pytest.fixture(scope="module")
def trainer(engine):
    """A tail that tells what it is given."""
    from search.trials.tail import TailTrainer

    class Watched(TailTrainer):
        rates: list
        batches: list

        def train(self, bank, rows, labels, rates, emphasis, **settings):
            self.rates.extend(rates.tolist())
            self.batches.append(rows.shape)
            return super().train(bank, rows, labels, rates, emphasis, **settings)

    return Watched(
        engine.architecture,
        engine.weights,
        depth=1,
        boundary_shape=engine.data.banks[1].shape,
        head_width=16,
        n_classes=3,
        optimizer="adam",
    )


def of_optimizers(trainer, name):
    """A number of each optimizer, that of the head first."""
    return [values.item() for key, values in trainer.state().items() if key.partition(":")[2] == name]


def documented(schedule, step, steps, steps_per_epoch):
    """The rate of a step, from 0, in a full budget of so many steps."""
    if schedule == "cosine":
        warm_up = min(steps_per_epoch, steps / 5)
        decayed = max(0, (step + 1 - warm_up) / (steps + 1 - warm_up))
        return PEAK * min(1, (step + 1) / warm_up) * (1 + math.cos(math.pi * decayed)) / 2
    if schedule == "bit":
        decays = sum(step >= share * steps for share in (2 / 5, 3 / 5, 4 / 5))
        return PEAK * min(1, (step + 1) / min(steps_per_epoch, steps / 5)) / 10**decays
    return PEAK


@pytest.mark.parametrize("schedule", ["constant", "cosine", "bit"])
def test_every_step_of_a_full_budget_has_the_documented_rate(trainer, engine, schedule):
    from search.trials.cross_validation import train_on_fold

    steps_per_epoch, batch_size = 4, 6
    settings = replace(
        engine.settings,
        schedule=schedule,
        steps_per_epoch=steps_per_epoch,
        batch_size=batch_size,
        full_epochs=EPOCHS,
        backbone_lr_factor=FACTOR,
    )
    expected = [documented(schedule, step, 40, steps_per_epoch) for step in range(40)]
    trainer.rates, trainer.batches, ends = [], [], []
    train_on_fold(
        trainer,
        CONFIGURATION,
        engine.data,
        settings,
        fold=1,
        initial_epoch=0,
        epochs=EPOCHS,
        on_epoch=lambda epoch: ends.append(
            (epoch, *(of_optimizers(trainer, name) for name in ("iteration", "learning_rate")))
        ),
    )
    np.testing.assert_allclose(trainer.rates, expected, rtol=1e-5)
    assert trainer.batches == [(steps_per_epoch, batch_size)] * EPOCHS
    assert [epoch for epoch, _, _ in ends] == list(range(1, EPOCHS + 1))
    for epoch, steps, rates in ends:
        assert steps == [4 * epoch, 4 * epoch], "of head and backbone"
        rate = expected[4 * epoch - 1]
        np.testing.assert_allclose(rates, [rate, FACTOR * rate], rtol=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "bit"])
def test_a_final_model_is_trained_at_the_rates_of_the_full_budget_up_to_its_epoch(trainer, engine, schedule):
    from tests.support.retrained import retrain

    settings = replace(engine.settings, schedule=schedule, full_epochs=EPOCHS)
    trainer.rates, trainer.batches = [], []
    retrain(trainer, CONFIGURATION, engine.data, settings, epochs=5, seeds=2)
    once = [documented(schedule, step, 40, 4) for step in range(20)]
    np.testing.assert_allclose(trainer.rates, once * 2, rtol=1e-5)
    assert of_optimizers(trainer, "iteration") == [20, 20]


def test_strengths_are_the_configurations_own(trainer, engine):
    from search.trials.cross_validation import train_on_fold

    trainer.rates, trainer.batches = [], []
    for dropout, l2 in ((0.5, 0.0), (0.0, 0.01)):
        chosen = replace(CONFIGURATION, dropout=dropout, l2=l2)
        train_on_fold(trainer, chosen, engine.data, engine.settings, fold=0, initial_epoch=0, epochs=1)
        for value, found in ((dropout, of_optimizers(trainer, "rate")), (l2, of_optimizers(trainer, "l2"))):
            np.testing.assert_allclose(found, [value] * len(found), rtol=1e-6)
        assert len(of_optimizers(trainer, "rate")) == 1
        assert len(of_optimizers(trainer, "l2")) == 2, "both dense layers"


def test_both_dense_layers_are_penalised_and_units_are_dropped(trainer, engine):
    """A step's loss beside the cross-entropy that the layers' own weights give."""
    from search.trials.data import class_emphasis

    bank, labels = engine.data.banks[1].values, engine.data.labels[:6]

    def loss(dropout, l2):
        trainer.begin(replace(CONFIGURATION, dropout=dropout, l2=l2), 0, "fold", 0, head_init="glorot")
        kernels = [trainer.head_weights[name][0] for name in ("head_dense", "head_logits")]
        trainer.rates, trainer.batches = [], []
        rows, emphasis = 3 * np.arange(6)[None], class_emphasis("balanced", engine.data.labels, 3)
        found = trainer.train(bank, rows, labels[None], np.zeros(1, np.float32), emphasis)
        return found, [float(np.square(kernel, dtype=np.float64).sum()) for kernel in kernels]

    plain, squares = loss(0.0, 0.0)
    penalised, _ = loss(0.0, 0.1)
    assert min(squares) > 0.5
    assert penalised - plain == pytest.approx(0.1 * sum(squares), rel=1e-4)
    assert abs(loss(0.5, 0.0)[0] - plain) > 1e-3


def test_a_fold_begins_from_its_own_draws(trainer, engine):
    """At a rate of next to nothing the head's kernels are where the fold's own seeds put them."""
    from search.seeding import generator
    from search.trials.cross_validation import train_on_fold

    kernels = []
    trainer.rates, trainer.batches = [], []
    for fold in (0, 1):
        still, settings = replace(CONFIGURATION, learning_rate=1e-12), replace(engine.settings, head_init="glorot")
        train_on_fold(trainer, still, engine.data, settings, fold=fold, initial_epoch=0, epochs=1)
        kernels.append({name: trainer.head_weights[name][0] for name in ("head_dense", "head_logits")})
        for name, kernel in kernels[-1].items():
            limit = math.sqrt(6 / sum(kernel.shape))
            drawn = generator(engine.settings.seed, "fold", fold, name).uniform(-limit, limit, kernel.shape)
            np.testing.assert_allclose(kernel, drawn, atol=1e-6)
    assert not np.allclose(kernels[0]["head_dense"], kernels[1]["head_dense"], atol=0.01)


PATHS = {
    "space.head_width": [16],
    "space.unfreeze_depth": [1],
    "space.known": [{"head_width": 16, "dropout": 0.3, "l2": 1e-3, "learning_rate": PEAK, "unfreeze_depth": 1}],
    "search.tuner": "random",
    "search.max_trials": 1,
    "search.max_epochs": 3,
    "search.batch_size": 7,
    "search.steps_per_epoch": 5,
    "search.optimizer": "adamw",
    "search.schedule": "bit",
    "search.head_init": "glorot",
    "search.backbone_lr_factor": FACTOR,
    "search.backbone_lr_cap": 20.0,
    "search.minority": "class_weights",
    "search.precision": "float32",
    "search.seed": 3,
    "search.folds": 2,
}
"""Another value than the default of each setting of training."""


@pytest.mark.slow
def test_a_search_trains_with_what_is_configured(engine, tmp_path):
    """One trial of a real search: its curves are those of training with these values given by hand, and so are the
    optimizers' numbers at its end."""
    from mammo_data.cases import CaseTable
    from mammo_data.splits import Split
    from search.bit.precision import PrecisionChoice
    from search.bit.resolve import Backbone
    from search.job import Job
    from search.protocols.holdout import search_trials, trainer_pool
    from search.protocols.manifest import planned_manifest
    from search.run_folder.directory import RunDirectory
    from search.screen.output import messages
    from search.screen.progress import RunProgress
    from search.trials.cross_validation import train_on_fold
    from search.trials.data import TrainingSettings
    from search.trials.tail import TailTrainer

    config, directory = load_config(None, PATHS), RunDirectory(tmp_path / "runs" / "one")
    directory.path.mkdir(parents=True)
    backbone = Backbone(engine.architecture, engine.weights, PrecisionChoice("float32", "as configured"), "CPU")
    job = Job(config, place=directory)
    directory.write_manifest(planned_manifest(job, CaseTable((), engine.data.class_names), Split((), (), 0)))
    trainers, progress = trainer_pool(config, backbone, engine.data), RunProgress(messages(io.StringIO()))
    searched = search_trials(job, backbone, engine.data, trainers, progress)
    trained = trainers(CONFIGURATION)
    assert of_optimizers(trained, "iteration") == [15, 15]
    last, cap = documented("bit", 14, 15, 5), 20.0 * (0.003 * 7 / 512)
    assert cap < FACTOR * PEAK
    np.testing.assert_allclose(of_optimizers(trained, "learning_rate"), [last, cap / PEAK * last], rtol=1e-5)
    (record,) = searched.outcome.records
    assert record.backbone_learning_rate == pytest.approx(cap)
    settings = TrainingSettings(
        seed=3,
        batch_size=7,
        steps_per_epoch=5,
        full_epochs=3,
        schedule="bit",
        minority="class_weights",
        head_init="glorot",
        backbone_lr_factor=FACTOR,
        most_backbone_rate=cap,
    )
    assert searched.settings == settings
    by_hand = TailTrainer(
        engine.architecture,
        engine.weights,
        depth=1,
        boundary_shape=engine.data.banks[1].shape,
        head_width=16,
        n_classes=3,
        optimizer="adamw",
    )
    for fold in (0, 1):
        given = {"fold": fold, "initial_epoch": 0, "epochs": 3}
        curves = train_on_fold(by_hand, CONFIGURATION, engine.data, settings, **given).curves
        assert {name: curve[fold] for name, curve in record.curves.items()} == curves


def test_an_epoch_shows_each_training_image_once_where_its_steps_are_not_configured(engine):
    from search.plan.protocol import plan_run
    from search.protocols.holdout import training_settings

    images = max(len(training) for training, _ in engine.data.folds)
    for batch_size in (7, 8, images, images + 1):
        config = load_config(None, {"search.batch_size": batch_size, "search.max_epochs": 11})
        found = training_settings(config, plan_run(config), engine.data)
        assert found.steps_per_epoch == math.ceil(images / batch_size)
        assert (found.batch_size, found.full_epochs) == (batch_size, 11)
