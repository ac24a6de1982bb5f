"""What the end of a run has evaluated, as its files tell it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import log_loss, roc_auc_score

from mammo_data import find_breast, open_source, prepare
from mammo_data.splits import Split
from reports.evaluation.comparison import HeldOut, differences
from reports.evaluation.localisation import covered_share
from reports.metrics.table import classification_metrics
from reports.page.words import readings_text
from reports.predictions import Predictions
from search.config.schema import cache_directory
from search.final.localisation import circles_of
from search.run_folder.trial_log import read_records
from tests.support.comparing import has_margins
from tests.support.read_anew import out_of_fold_at, sides_in, truth_in


@pytest.fixture(scope="module")
def best(finished) -> Path:
    return finished[1].directory.best


@pytest.fixture(scope="module")
def metrics(best):
    return json.loads((best / "metrics.json").read_text())


def test_the_winner_s_score_stands_before_and_after_the_correction_for_choosing(finished, metrics):
    selection = metrics["selection"]
    full = [record for record in finished[1].outcome.records if record.epochs == finished[0].search.max_epochs]
    assert selection["candidates"] == len([record for record in full if record.status == "completed"])
    assert selection["selected"] == pytest.approx(finished[1].outcome.winner.objective, abs=1e-9)
    assert selection["corrected"]["value"] < selection["selected"] + 0.02


def test_the_answer_says_in_every_place_that_three_epochs_tell_no_convergence(finished, best, metrics):
    _, result = finished
    found = metrics["convergence"]
    assert found["converged"] is None
    assert found["sentence"] == "Too few epochs to tell whether the winner has converged: 3; it takes 8."
    curve = np.mean(result.outcome.winner.curves["val_macro_auc"], axis=0)
    assert found["best_epoch"] == curve.argmax() + 1
    assert found["below_best"] == pytest.approx(curve.max() - curve[-1])
    steps = np.abs(np.diff(result.outcome.winner.curves["val_loss"], axis=1))[:, 1:]
    assert found["largest_step"] == pytest.approx(steps.max())
    assert found["chance_sd"] > 0
    assert f"convergence         {found['sentence']}" in result.as_text()
    assert result.as_json()["converged"] is None
    for page in ("report.html", "model_card.md"):
        assert found["sentence"] in (best / page).read_text()


def test_the_full_budget_trials_are_ranked_by_the_primary_endpoint_too(finished, best, metrics, phantom):
    """Each trial's primary AUC anew, at the epoch whose mean macro AUC is its objective."""
    directory, records = finished[1].directory, finished[1].outcome.records
    truth = truth_in(phantom / "Info.txt")
    ranking = metrics["ranking"]
    assert len(ranking["trials"]) > 1
    for entry in ranking["trials"]:
        record = records[entry["trial"]]
        means = np.mean(record.curves["val_macro_auc"], axis=0)
        epoch = int(np.abs(means - record.objective).argmin()) + 1
        names, logits, folds = out_of_fold_at(directory, record, records, epoch)
        malignant, scores = truth.of(names) == 2, softmax(logits, axis=1)[:, 2]
        expected = np.mean([roc_auc_score(malignant[folds == fold], scores[folds == fold]) for fold in range(2)])
        assert entry["primary_auc"] == pytest.approx(expected, abs=1e-6)
        assert entry["objective"] == record.objective
    assert ranking["chosen"] == finished[1].outcome.winner.trial
    assert ranking["by_primary"] == max(ranking["trials"], key=lambda entry: entry["primary_auc"])["trial"]
    for page in ("report.html", "model_card.md"):
        assert ranking["sentence"] in (best / page).read_text()


def test_the_fold_models_are_the_search_s_to_the_bit_and_their_mean_is_compared(best, metrics):
    ensemble = metrics["ensemble"]
    assert ensemble["exact"] is True
    assert ensemble["members"] == 2
    mean, exported = (Predictions.read_csv(best / f"{name}.csv") for name in ("predictions_ensemble", "predictions"))
    assert mean.image_ids == exported.image_ids
    assert ensemble["metrics"]["primary_auc"]["value"] == pytest.approx(classification_metrics(mean)["primary_auc"])
    difference = differences(HeldOut(mean), HeldOut(exported))["primary_auc"].value
    assert ensemble["difference"]["primary_auc"]["value"] == pytest.approx(difference)


def test_every_final_seed_is_scored_and_the_exported_one_stands_first(finished, best, metrics):
    seeds = metrics["final_seeds"]
    assert {len(values) for values in seeds.values()} == {finished[0].retrain.seeds}
    assert seeds["primary_auc"][0] == pytest.approx(metrics["primary_auc"]["value"])
    assert seeds["macro_ovr_auc"][0] != seeds["macro_ovr_auc"][1]


def test_a_tail_on_cached_boundaries_predicts_as_the_exported_file(finished, best, tail_of_the_exported_model):
    stored = Predictions.read_csv(best / "predictions.csv")
    np.testing.assert_allclose(tail_of_the_exported_model, stored.probabilities, atol=2e-4)


@pytest.fixture(scope="module")
def tail_of_the_exported_model(finished, best):
    """Probabilities of the exported weights, run as the other seeds and the fold models are."""
    import keras

    from mammo_data.preparation.prepared import PreparedSet
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.final.inference import FinalNetwork
    from search.trials.tail import TrainedTail

    config, result = finished
    (prepared,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    rows = Split.read_csv(result.directory.split_file).test_rows(prepared.table)
    model = keras.saving.load_model(result.directory.model_file)
    names = ("head_input_norm", "head_dense", "head_norm", "head_logits")
    head = {name: model.get_layer(name).get_weights() for name in names}
    weights = random_weights(SMALL, 0)
    depth = result.outcome.configuration.unfreeze_depth
    if depth:
        # Standardising a standardised kernel changes nothing but for its epsilon.
        inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
        exported = {
            f"{layer.name.replace('.', '/')}/{value.name}": np.asarray(value)
            for layer in inner.layers
            for value in layer.weights
        }
        backbone = {name: exported[name] for name in SMALL.trained_variables(depth)}
    else:
        backbone = {}
    network = FinalNetwork(
        SMALL, weights, depth, prepared.images.shape[1], result.outcome.configuration.head_width, n_classes=3
    )
    (found,) = network.probabilities(prepared.images[rows], [TrainedTail(backbone, head, ())])
    return found


@pytest.fixture(scope="module")
def development(finished, phantom):
    """The winner's out-of-fold logits at its last epoch, and the labels, joined by image id."""
    _, result = finished
    records = read_records(result.directory.trials_file)
    winner = records[result.outcome.winner.trial]
    names, logits, _ = out_of_fold_at(result.directory, winner, records, winner.epochs)
    return logits, truth_in(phantom / "Info.txt").of(names)


@pytest.fixture(scope="module")
def folds(finished):
    """Fold of each of the `development` cases, and their patients."""
    _, result = finished
    records = read_records(result.directory.trials_file)
    names, _, found = out_of_fold_at(result.directory, records[result.outcome.winner.trial], records, 1)
    sides = sides_in(result.directory.split_file)
    assert [sides[name][1] for name in names] == [str(fold) for fold in found]
    return found, np.array([sides[name][0] for name in names])


def fitted(kind, logits, labels, patients):
    """Temperature and shift of a correction, by SciPy and scikit-learn.

    The log temperature is normal, sd 0.5, and so is beside it each class's shift around that of the prior.
    """
    shift = np.zeros(3)
    if kind in ("prior", "both"):
        shift = np.log(np.bincount(labels) / len(labels)) - np.log(1 / 3)
    if kind in ("none", "prior"):
        return 1.0, shift

    def surprise(found):
        log_temperature, moved = found[0], found[1:] if kind == "both" else shift
        loss = log_loss(labels, softmax(logits / np.exp(log_temperature) + moved, axis=1))
        return loss + (log_temperature**2 + ((moved - shift) ** 2).sum()) / (2 * 0.5**2) / len(set(patients))

    begin = np.array([0.0, *shift]) if kind == "both" else np.zeros(1)
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20_000, "maxfev": 20_000}
    found = minimize(surprise, begin, method="Nelder-Mead", options=options).x
    return np.exp(found[0]), found[1:] if kind == "both" else shift


def test_the_correction_is_chosen_across_folds_and_fitted_on_the_winner_s_out_of_fold_logits(
    best, metrics, development, folds
):
    logits, labels = development
    fold, patients = folds
    losses = {}
    for kind in ("none", "prior", "temperature", "both"):
        losses[kind] = np.empty(len(labels))
        for one in set(fold):
            others = fold != one
            temperature, shift = fitted(kind, logits[others], labels[others], patients[others])
            given = softmax(logits[~others] / temperature + shift, axis=1)
            losses[kind][~others] = -np.log(given[np.arange(len(given)), labels[~others]])
    calibration = metrics["calibration"]
    for candidate in calibration["candidates"]:
        difference = losses[candidate["name"]] - losses["none"]
        assert candidate["log_loss"] == pytest.approx(losses[candidate["name"]].mean(), rel=1e-4)
        assert candidate["difference"] == pytest.approx(difference.mean(), abs=1e-4)
    helping = [each for each in calibration["candidates"] if each["difference"] + each["standard_error"] < 0]
    chosen = min(helping, key=lambda each: each["log_loss"], default={"name": "none"})["name"]
    assert calibration["chosen"] == chosen
    temperature, shift = fitted(chosen, logits, labels, patients)
    assert calibration["cases"] == len(labels)
    assert calibration["temperature"] == pytest.approx(temperature, rel=1e-4)
    assert calibration["log_prior_shift"] == pytest.approx(shift, abs=1e-4)
    assert calibration["prior_shift"] == bool(np.any(shift))
    plain, corrected = (Predictions.read_csv(best / f"predictions{kind}.csv") for kind in ("", "_corrected"))
    expected = softmax(np.log(plain.probabilities) / temperature + shift, axis=1)
    np.testing.assert_allclose(corrected.probabilities, expected, atol=1e-5)


def test_thresholds_come_from_one_side_and_their_worth_from_the_other(best, metrics, development, folds, phantom):
    logits, labels = development
    fold, _ = folds
    calibration = metrics["calibration"]
    inner = softmax(logits / calibration["temperature"] + calibration["log_prior_shift"], axis=1)
    corrected = Predictions.read_csv(best / "predictions_corrected.csv")
    truth = truth_in(phantom / "Info.txt").of(list(corrected.image_ids))
    points = iter(metrics["operating_points"])
    for endpoint, worst in (("malignant versus rest", 2), ("abnormal versus normal", 1)):
        positive, scores = labels >= worst, inner[:, worst:].sum(axis=1)
        called_positive, held_out_scores = truth >= worst, corrected.probabilities[:, worst:].sum(axis=1)
        for target in (0.9, 0.95):
            point = next(points)
            assert (point["endpoint"], point["target_specificity"]) == (endpoint, target)
            threshold = min(each for each in scores if np.mean(scores[~positive] < each) >= target)
            assert point["threshold"] == pytest.approx(threshold, rel=1e-9)
            assert point["development_specificity"] == pytest.approx(np.mean(scores[~positive] < threshold))
            assert point["development_sensitivity"] == pytest.approx(np.mean(scores[positive] >= threshold))
            for one, own, kept in zip(
                sorted(set(fold)), point["fold_thresholds"], point["fold_specificities"], strict=True
            ):
                below = scores[(fold == one) & ~positive]
                reached = [each for each in scores[fold == one] if np.mean(below < each) >= target]
                assert own == (pytest.approx(min(reached), rel=1e-9) if reached else None)
                # Rounding may put a fold's score just above or below the pooled threshold, which is one of the scores.
                assert kept == pytest.approx(np.mean(below < threshold), abs=1.1 / len(below))
            called = held_out_scores >= threshold
            assert point["true_positives"] == np.count_nonzero(called & called_positive)
            assert point["false_positives"] == np.count_nonzero(called & ~called_positive)
            assert (point["positives"], point["negatives"]) == (called_positive.sum(), (~called_positive).sum())
    assert next(points, None) is None


@pytest.fixture(scope="module")
def retrained(finished):
    """The winner, trained on all development images once more for its best epoch: by its trainer, two seeds."""
    from mammo_data.preparation.prepared import PreparedSet
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.boundary.banks import boundary_shapes, boundary_values
    from search.boundary.plan import plan_banks
    from search.boundary.views import stored_views
    from search.plan.protocol import plan_search
    from search.protocols.holdout import training_settings
    from search.trials.data import development_data
    from search.trials.worker import TrainerPool
    from tests.support.retrained import retrain

    config, result = finished
    (prepared,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    split, outcome = Split.read_csv(result.directory.split_file), result.outcome
    augmentation, weights = config.augmentation, random_weights(SMALL, config.backbone.weights_seed)
    plan = plan_banks(
        prepared.table.labels[split.development_rows(prepared.table)],
        3,
        boundary_shapes(SMALL, config.space.depths, prepared.settings.image_size),
        base_views=augmentation.views,
        most_views=augmentation.most_views,
        max_bytes=10**10,
    )
    views = stored_views(prepared, split, plan, seed=config.search.seed, augmentation=augmentation.settings())
    banks = config.output.cache / "banks"
    values = boundary_values(views, plan, architecture=SMALL, weights=weights, cache=banks, max_bytes=10**10)
    data = development_data(values, views.offsets, prepared, split, folds=config.search.folds)
    return retrain(
        TrainerPool(SMALL, weights, data, optimizer=config.search.optimizer)(outcome.configuration),
        outcome.configuration,
        data,
        training_settings(config, plan_search(config.search), data),
        epochs=outcome.winner.epochs,
        seeds=config.retrain.seeds,
    )


def test_the_exported_weights_are_the_first_seed_s_after_the_whole_schedule(finished, retrained):
    import keras

    model = keras.saving.load_model(finished[1].directory.model_file)
    for name, values in retrained[0].head.items():
        for exported, trained in zip(model.get_layer(name).get_weights(), values, strict=True):
            np.testing.assert_array_equal(exported, trained, err_msg=name)


def test_the_other_seeds_are_evaluated_as_they_were_retrained(finished, best, metrics, retrained):
    from mammo_data.preparation.prepared import PreparedSet
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.final.inference import FinalNetwork

    config, result = finished
    (prepared,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    configuration, weights = result.outcome.configuration, random_weights(SMALL, config.backbone.weights_seed)
    images = prepared.images[Split.read_csv(result.directory.split_file).test_rows(prepared.table)]
    size, depth, width = images.shape[1], configuration.unfreeze_depth, configuration.head_width
    found = FinalNetwork(SMALL, weights, depth, size, width, n_classes=3).probabilities(images, retrained)
    labels = Predictions.read_csv(best / "predictions.csv").labels
    for seed, probabilities in enumerate(found):
        expected = roc_auc_score(labels == 2, probabilities[:, 2])
        assert metrics["final_seeds"]["primary_auc"][seed] == pytest.approx(expected)


def test_small_slices_of_the_held_out_patients_are_listed_without_a_value(metrics):
    slices = metrics["subgroups"]
    assert {entry["group"] for entry in slices} == {"tissue", "abnormality", "radius", "other breast"}
    for entry in slices:
        few = min(entry["positives"], entry["negatives"]) < 10
        assert entry["suppressed"] == few
        assert (entry["auc"]["value"] is None) == few


def test_slices_by_radius_are_cut_where_the_development_patients_cut_them(finished, metrics):
    from mammo_data.preparation.prepared import PreparedSet
    from search.final.held_out import radius_cuts

    config, result = finished
    (prepared,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    table, split = prepared.table, Split.read_csv(result.directory.split_file)
    held_out = table.take(split.test_rows(table))
    known = [[each.film_radius for each in case.findings if each.film_radius is not None] for case in held_out.cases]
    radii = [max(each) for each in known if each]

    def slices(side):
        low, high = radius_cuts(side)
        names = f"under {low:.0f} px", f"{low:.0f} to {high:.0f} px", f"{high:.0f} px and more"
        return list(zip(names, np.bincount(np.digitize(radii, (low, high)), minlength=3), strict=True))

    found = [(entry["level"], entry["positives"]) for entry in metrics["subgroups"] if entry["group"] == "radius"]
    assert found == slices(table.take(split.development_rows(table)))
    assert found != slices(held_out), "the test would see no difference"


def test_the_nested_protocol_is_offered_with_its_time(finished, best, metrics):
    assert metrics["nested_seconds"] > 0
    assert "--protocol nested" in finished[1].as_text()
    assert "--protocol nested" in (best / "report.html").read_text()


def test_the_report_says_how_many_steps_the_final_model_was_trained_for(finished, best):
    config, result = finished
    with result.directory.split_file.open(newline="") as file:
        sides = [row["side"] for row in csv.DictReader(file)]
    training = max(sum(side not in ("test", fold) for side in sides) for fold in ("0", "1"))
    steps = result.outcome.winner.epochs * -(-training // config.search.batch_size)
    assert f">{steps} optimizer steps" in (best / "report.html").read_text()


def test_readings_stand_in_the_ledger_with_run_and_time(finished):
    from search.run_folder.ledger import readings

    config, result = finished
    found = readings(config.output.runs, Split.read_csv(result.directory.split_file).test_fingerprint)
    assert found[0].run == "first"
    assert found[0].time.endswith("+00:00")
    assert found[0].films
    assert result.metrics["other_splits"]["unknown"] == 0
    assert f"patients were read  {readings_text(1, result.metrics['other_splits'])}\n" in result.as_text()


def test_the_answer_names_the_runs_that_read_the_same_films_under_other_splits(finished):
    others = {"splits": 2, "runs": ("a", "b"), "unknown": 0}
    told = replace(finished[1], metrics=finished[1].metrics | {"other_splits": others}).as_text()
    said = "once under this split; the same data set was read under 2 other splits (runs a, b)"
    assert f"patients were read  {said}" in told.splitlines()


def test_the_report_names_its_errors_and_holds_no_picture_of_the_data(best, metrics):
    html = (best / "report.html").read_text()
    assert metrics["errors"]
    for error in metrics["errors"]:
        (overlay,) = (best / "figures" / "localisation").glob(f"*-wrong-*-{error['image_id']}.png")
        assert overlay.name in html
    figures = [path for path in (best / "figures").rglob("*.png") if path.parent.name != "localisation"]
    assert {path.stem for path in figures} >= {"roc", "reliability", "decision_curve", "confusion_matrix"}
    assert html.count("data:image/png") == len(figures)


def test_the_pointing_game_is_played_on_held_out_lesions(finished, metrics, phantom):
    game = metrics["localisation"]
    sides, located = sides_in(finished[1].directory.split_file), truth_in(phantom / "Info.txt").located
    held_out = {image for image, (_, side) in sides.items() if side == "test"}
    assert game["all"]["images"] == len(located & held_out)
    # The phantom's mdb015 has its circle off the breast, as a film of MIAS has.
    assert game["chosen_on_images"] == len(located - held_out - {"mdb015"})
    assert game["all"]["images"] == sum(part["images"] for part in game["by_class"].values())
    assert set(game["by_class"]) <= {"benign", "malignant"}
    assert game["method"] in game["chosen_on"]
    # A random pixel lies in the breast, not beside it.
    config, _ = finished
    films = prepare(open_source(phantom), config.preparation.settings(), cache_directory(config) / "prepared")
    chances = [
        covered_share(find_breast(image).mask > 0, circles_of(case))
        for case, image in zip(films.table.cases, films.images, strict=True)
        if case.image_id in held_out and circles_of(case)
    ]
    assert game["all"]["random"]["value"] == pytest.approx(np.mean(chances))


def test_no_figure_is_cut_at_its_edge(best):
    figures = [path for path in (best / "figures").rglob("*.png") if path.parent.name != "localisation"]
    assert len(figures) >= 9
    for path in figures:
        assert has_margins(path), path.name


def test_tensorboard_and_the_model_card_have_the_final_model(finished, best):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished[1].directory.tensorboard / "final"))
    events.Reload()
    images = set(events.Tags()["images"])
    assert {"figures/roc", "figures/confusion_matrix"} <= images
    assert any(tag.startswith("figures/localisation/") for tag in images)
    metrics = json.loads((best / "metrics.json").read_text())
    (shown,) = (event.tensor_proto.float_val[0] for event in events.Tensors("held_out/macro_ovr_auc"))
    assert shown == pytest.approx(metrics["macro_ovr_auc"]["value"], abs=1e-6)
    card = (best / "model_card.md").read_text()
    assert "author" in card
    assert "Subgroups" in card or "subgroups" in card
    assert str(len(read_records(finished[1].directory.trials_file))) in card
