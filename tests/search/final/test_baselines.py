"""What a search is compared with: models that need none, on the same folds and women, and what is said of it."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from mammo_data.cases import Case, CaseTable
from mammo_data.splits import Split
from reports.page.worth import worth_verdict
from reports.predictions import Predictions
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import readings
from search.screen.progress import RunProgress

NAMES = ("linear probe", "fixed configuration", "trivial statistics")


@pytest.fixture(scope="module")
def metrics(finished):
    return json.loads((finished[1].directory.best / "metrics.json").read_text())


def test_the_winner_is_compared_with_each_on_the_same_images(finished, metrics):
    best = finished[1].directory.best
    winner = Predictions.read_csv(best / "predictions.csv")
    assert tuple(each["name"] for each in metrics["baselines"]) == NAMES
    for each in metrics["baselines"]:
        table = Predictions.read_csv(best / f"predictions_{each['name'].replace(' ', '_')}.csv")
        assert (table.image_ids, table.labels.tolist()) == (winner.image_ids, winner.labels.tolist())
        own, theirs = (roc_auc_score(winner.labels == 2, one.probabilities[:, 2]) for one in (winner, table))
        assert each["metrics"]["primary_auc"]["value"] == pytest.approx(theirs)
        difference = each["difference"]["primary_auc"]
        assert difference["value"] == pytest.approx(own - theirs)
        assert difference["lower"] <= difference["value"] <= difference["upper"]
        assert each["seeds"]["primary_auc"][0] == pytest.approx(theirs)


def test_out_of_fold_the_winner_is_compared_by_its_corrected_score_alone(metrics):
    corrected = metrics["selection"]["corrected"]["value"]
    for each in metrics["baselines"]:
        found = each["out_of_fold"]
        assert found["difference"] == pytest.approx(corrected - found["macro_ovr_auc"]["value"])


def test_all_models_are_named_in_the_run_s_one_reading(finished):
    config, result = finished
    split = Split.read_csv(result.directory.split_file)
    (reading,) = [each for each in readings(config.output.runs, split.test_fingerprint) if each.run == "first"]
    seeds, folds = config.retrain.seeds, config.search.folds
    # The exported one, other seeds, fold models; the probe, the fixed configuration's seeds, the statistics.
    assert len(set(reading.models)) == 1 + (seeds - 1) + folds + 1 + seeds + 1


def test_terminal_page_and_card_say_the_same_and_an_older_run_nothing(finished, metrics):
    _, result = finished
    verdict = worth_verdict(metrics)
    assert verdict.startswith(f"On the {metrics['n_patients']} held-out women the winner's AUC of malignant versus")
    assert f"worth the search?   {verdict}" in result.as_text().splitlines()
    assert verdict in result.directory.model_card.read_text()
    assert verdict.replace("'", "&#39;") in result.directory.report_file.read_text()
    assert (result.directory.figures / "enough.png").is_file()
    older = {name: value for name, value in result.metrics.items() if name not in ("baselines", "enough")}
    assert "worth the search?" not in replace(result, metrics=older).as_text()


def test_the_learning_curve_ends_where_the_probe_is(metrics):
    points = metrics["enough"]["by_patients"]
    assert points[-1]["share"] == 1
    assert points[-1]["macro_ovr_auc"]["value"] == metrics["baselines"][0]["out_of_fold"]["macro_ovr_auc"]["value"]
    patients = [point["patients"] for point in points]
    assert patients == sorted(set(patients))
    trials = metrics["enough"]["by_trials"]
    assert [point["trials"] for point in trials] == [1, 2, 3]
    assert trials[-1]["selected"] == pytest.approx(metrics["selection"]["selected"])


def probe_data(*, patients=40, channels=6, views=1, minority="balanced", classes=3, seed=0):
    """Two images a patient of one label; every view of an image is the image itself."""
    from search.final.baselines.probe import ProbeData

    rng = np.random.default_rng(seed)
    names = ("normal", "benign", "malignant")[:classes]
    labels = np.repeat(np.arange(patients) % 7 % classes, 2)
    sides = ["test" if row < 8 else "" for row in range(len(labels))]
    cases = tuple(Case(f"i{row}", f"p{row // 2}", names[label], side=sides[row]) for row, label in enumerate(labels))
    features = rng.normal(size=(len(labels), channels)) + 0.8 * np.eye(channels)[labels]
    offsets = np.arange(len(labels) + 1) * views
    return ProbeData(
        np.repeat(features, views, axis=0).astype(np.float32), offsets, CaseTable(cases, names), minority, seed
    )


def test_no_patient_is_on_two_sides_of_an_inner_fold_and_a_share_is_of_patients():
    from search.final.baselines.probe import inner_parts

    data, everyone = probe_data(), np.arange(60)
    patient = np.array(data.table.patient_ids)
    seen = {}
    for share in (0.25, 0.5, 1.0):
        used, folds = inner_parts(data, everyone, share=share)
        seen[share] = set(patient[used])
        assert len(used) == 2 * len(seen[share])
        assert set(data.table.labels[used]) == {0, 1, 2}
        assert sorted(row for _, validation in folds for row in validation) == sorted(used)
        for training, validation in folds:
            assert not set(patient[training]) & set(patient[validation])
            assert set(training) | set(validation) == set(used)
    assert seen[0.25] < seen[0.5] < seen[1.0]
    assert [len(each) for each in seen.values()] == [8, 15, 30]


def test_two_women_are_dealt_into_two_inner_folds():
    from search.final.baselines.probe import inner_parts

    used, folds = inner_parts(probe_data(), np.array([0, 1, 2, 3]))
    assert [sorted(validation) for _, validation in folds] in ([[0, 1], [2, 3]], [[2, 3], [0, 1]])
    assert used.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("minority", "weight"), [("balanced", "balanced"), ("none", None)])
def test_the_probe_is_scikit_learn_s_whose_views_share_the_weight_of_their_image(minority, weight):
    from search.final.baselines.probe import fit_probe

    rows = np.arange(60)
    once, thrice, wide = (
        probe_data(minority=minority, **more) for more in ({}, {"views": 3}, {"channels": 200, "views": 1})
    )
    for data in (once, thrice, wide):
        probe = fit_probe(data, rows)
        images, labels = data.images(np.arange(80)).astype(np.float64), data.table.labels
        sample = np.ones(60) if weight is None else 60 / (3 * np.bincount(labels[rows])[labels[rows]])
        scaler = StandardScaler().fit(images[rows], sample_weight=sample)
        plain = LogisticRegression(C=probe.strength, class_weight=weight, max_iter=5000, tol=1e-8)
        expected = plain.fit(scaler.transform(images[rows]), labels[rows]).predict_proba(scaler.transform(images))
        np.testing.assert_allclose(probe.probabilities(data.images(np.arange(80))), expected, atol=0.02)


def test_two_classes_and_a_class_without_a_training_image():
    from search.final.baselines.probe import fit_probe

    two = probe_data(classes=2)
    said = fit_probe(two, np.arange(80)).probabilities(two.images(np.arange(80)))
    assert roc_auc_score(two.table.labels, said[:, 1]) > 0.7
    three = probe_data()
    rows = np.flatnonzero(three.table.labels != 1)
    said = fit_probe(three, rows).probabilities(three.images(np.arange(80)))
    assert not said[:, 1].any()
    np.testing.assert_allclose(said.sum(axis=1), 1)


def test_all_views_are_pooled_and_view_0_is_the_image(engine):
    from search.boundary.trunk import pooled_features

    arguments = {1: engine.data.banks[1]}, engine.architecture, engine.weights
    images, views = pooled_features(*arguments), pooled_features(*arguments, all_views=True)
    assert views.shape == (180, images.shape[1])
    np.testing.assert_allclose(views[::3], images, atol=1e-5)


@pytest.fixture
def searched(engine, tmp_path):
    from search.bit.precision import PrecisionChoice
    from search.bit.resolve import Backbone
    from search.final.retrain import Searched
    from search.trials.worker import TrainerPool, Worker
    from search.tuner.executors.in_process import InProcessExecutor

    backbone = Backbone(engine.architecture, engine.weights, PrecisionChoice("float32", "for the test"), "CPU")
    trainers = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="adam")
    executor = InProcessExecutor(Worker(engine.data, engine.settings, trainers, tmp_path))
    return Searched(backbone, engine.data, engine.settings, None, trainers, executor)


@pytest.mark.parametrize("kind", ["diverged", "out of memory", "a mistake of ours"])
def test_a_search_is_not_lost_for_a_fixed_configuration_that_fails(searched, monkeypatch, kind):
    import tensorflow as tf

    from search.final.baselines import train
    from search.trials.cross_validation import DivergedError

    error = {
        "diverged": DivergedError("the loss became nan", 3, "fold 1"),
        "out of memory": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
    }.get(kind, KeyError("head_logits"))

    def fails(*given, **more):
        raise error

    monkeypatch.setattr(train, "train_fixed", fails)
    progress = RunProgress(Console(file=io.StringIO(), width=200))
    given = (None, searched, None, progress, lambda *moved: None)
    if kind == "a mistake of ours":
        with pytest.raises(KeyError):
            train._fixed(*given, seeds=1)
    else:
        assert train._fixed(*given, seeds=1) is None
        assert "the fixed configuration is left out: " in progress.console.file.getvalue()


def test_the_fixed_configuration_is_linear_on_the_deepest_boundary_and_goes_on_to_the_same_bits(
    searched, finished, tmp_path
):
    from search.final.baselines.fixed import fixed_configuration, train_fixed
    from search.final.inference import FinalNetwork
    from search.final.kept import FinalStore

    directory = RunDirectory(tmp_path / "runs" / "mine")
    directory.path.mkdir(parents=True)
    directory.write_manifest(finished[1].directory.read_manifest())
    configuration = fixed_configuration(searched)
    assert (configuration.head_width, configuration.unfreeze_depth) == (0, 1)
    assert configuration.learning_rate == pytest.approx(0.003 * 8 / 512)
    epochs = []
    whole = train_fixed(searched, FinalStore(directory), seeds=2, moved=lambda *moved: epochs.append(moved))
    assert epochs == [(done, 36) for done in range(1, 37)]
    for part in ("fixed-fold-2", "fixed-model-2"):
        (directory.final_parts / f"{part}.npz").unlink()
    again = train_fixed(searched, FinalStore(directory), seeds=2, moved=lambda *moved: None)
    assert [part.tobytes() for part in again.logits] == [part.tobytes() for part in whole.logits]
    assert [tail.fingerprint for tail in again.tails] == [tail.fingerprint for tail in whole.tails]
    assert list(whole.tails[0].head) == ["head_logits"]
    assert whole.tails[0].fingerprint != whole.tails[1].fingerprint
    network = FinalNetwork(searched.backbone.architecture, searched.backbone.weights, 1, 48, 0, 3)
    model = network.tail(1)
    network.fill(model, whole.tails[0])
    bank = searched.data.banks[1].values[:4].astype(np.float32)
    kernel, bias = whole.tails[0].head["head_logits"]
    pooled = model.layers[1](bank)
    np.testing.assert_allclose(model.predict_on_batch(bank), np.asarray(pooled) @ kernel + bias, atol=1e-4)
