"""A trial's objective against one that was trained without any of the engine's accelerations.

The reference is a Keras model from pixels (frozen trunk in the graph, its kernels standardised on every call) or from
stored boundary values, trained with ``train_on_batch`` and validated with ``predict_on_batch``. It shares with the
engine what makes a trial: views, draws, start values and dropout's generator.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np
import pytest

from reports.metrics.calibration import softmax
from reports.metrics.table import macro_ovr_auc
from reports.trials import OBJECTIVE_CURVE
from search.plan.space import Configuration
from search.trials.cross_validation import draw_epoch, score, train_on_fold

SIDE, EPOCHS = 48, 4


@pytest.fixture(scope="module")
def films(phantom, tmp_path_factory):
    """Prepared films, their split, the views that banks hold, and the banks of two depths."""
    from mammo_data.preparation.prepared import prepare
    from mammo_data.preparation.settings import AugmentationSettings, PreparationSettings
    from mammo_data.sources.open import open_source
    from mammo_data.splits import patient_split
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.boundary.banks import boundary_shapes, boundary_values
    from search.boundary.plan import plan_banks
    from search.boundary.views import stored_views
    from search.trials.data import development_data

    folder = tmp_path_factory.mktemp("reference")
    prepared = prepare(open_source(phantom), PreparationSettings(image_size=SIDE), folder / "prepared")
    split = patient_split(prepared.table, folds=3, seed=0)
    shapes = boundary_shapes(SMALL, (0, 2), SIDE)
    labels = prepared.table.labels[split.development_rows(prepared.table)]
    plan = plan_banks(labels, 3, shapes, base_views=2, most_views=3, max_bytes=10**10)
    views = stored_views(prepared, split, plan, seed=0, augmentation=AugmentationSettings())
    values = boundary_values(
        views,
        plan,
        architecture=SMALL,
        weights=random_weights(SMALL, 0),
        cache=folder / "banks",
        max_bytes=10**10,
    )
    data = development_data(values, views.offsets, prepared, split, folds=2)
    return data, views


@dataclass
class Trial:
    """One trial of a depth, for the engine and for the reference."""

    engine: object
    data: object
    settings: object
    configuration: Configuration
    fold: int = 0

    @cached_property
    def trainer(self):
        from search.trials.worker import TrainerPool

        return TrainerPool(self.engine.architecture, self.engine.weights, self.data, optimizer="sgd")(
            self.configuration
        )

    def engine_curve(self):
        return train_on_fold(
            self.trainer, self.configuration, self.data, self.settings, fold=self.fold, initial_epoch=0, epochs=EPOCHS
        ).curves[OBJECTIVE_CURVE]

    def reference_curve(self, model, read):
        """The same training with ``train_on_batch``; ``read`` gives the model's inputs of stored views."""
        self.start(model)
        data, bank, fold = self.data, self.data.banks[self.configuration.unfreeze_depth], self.fold
        training, validation = data.folds[fold]
        curve = []
        for epoch in range(1, EPOCHS + 1):
            counts = bank.view_counts[training]
            drawn, seen = draw_epoch(data.labels[training], counts, self.settings, epoch, "fold", fold)
            for images, views in zip(training[drawn], seen, strict=True):
                model.train_on_batch(read(bank.offsets[images] + views), data.labels[images])
            logits = model.predict_on_batch(read(bank.offsets[validation]))
            curve.append(macro_ovr_auc(data.labels[validation], softmax(logits)))
        return curve

    def start(self, model):
        """Compile; the head begins where the engine's begins."""
        self.trainer.begin(self.configuration, self.settings.seed, "fold", self.fold)
        begun = self.trainer.model
        for name in ("head_input_norm", "head_dense", "head_norm", "head_logits", "head_dropout"):
            model.get_layer(name).set_weights(begun.get_layer(name).get_weights())
        generator = model.get_layer("head_dropout").seed_generator
        generator.state.assign(begun.get_layer("head_dropout").seed_generator.state)
        model.compile(
            optimizer=keras.optimizers.SGD(self.configuration.learning_rate, momentum=0.9),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )


def trial(engine, data, depth, fold=0):
    configuration = Configuration(32, dropout=0.3, l2=1e-3, learning_rate=1e-2, unfreeze_depth=depth)
    settings = replace(engine.settings, schedule="constant", steps_per_epoch=5, full_epochs=EPOCHS)
    return Trial(engine, data, settings, configuration, fold)


def same_objective(curve, reference):
    assert np.ptp(reference) > 0.02  # training moves it, so that equality says something
    return score([curve]).objective == pytest.approx(score([reference]).objective, abs=1e-3)


@pytest.mark.slow
def test_the_trunk_in_the_graph_gives_the_same_objective(engine, films):
    """Depth 0 from pixels: the whole backbone in the model, frozen by ``trainable``."""
    from search.bit.backbone import assign_official, build_backbone
    from search.trials.head import runtime_head

    data, views = films
    backbone = build_backbone(engine.architecture, SIDE)
    assign_official(backbone, engine.weights.arrays)
    backbone.trainable = False
    pixels = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(pixels, runtime_head(backbone(pixels), width=32, n_classes=3))
    head = trial(engine, data, 0)
    reference = head.reference_curve(model, views.pixels)
    assert same_objective(head.engine_curve(), reference)


@pytest.mark.slow
def test_plain_training_on_the_stored_values_gives_the_same_objective(engine, films):
    """Depth 2, and another fold than the first."""
    from search.bit.backbone import assign_official, build_tail
    from search.trials.head import runtime_head

    data, _ = films
    bank = data.banks[2]
    tail = build_tail(engine.architecture, 2, bank.shape)
    assign_official(tail, engine.weights.arrays)
    boundary = keras.Input(bank.shape)
    model = keras.Model(boundary, runtime_head(tail(boundary), width=32, n_classes=3))
    two_units = trial(engine, data, 2, fold=1)
    reference = two_units.reference_curve(model, lambda rows: bank.values[rows].astype(np.float32))
    assert same_objective(two_units.engine_curve(), reference)
