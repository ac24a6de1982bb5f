"""--threshold, --at-sensitivity, --at-specificity: a user's own point of a model; nothing here needs the network."""

import json
from dataclasses import asdict

import pytest

from reports import fixed_thresholds, operating_curve
from search.export.metadata import ModelMetadata, metadata_file, read_metadata
from search.predict.own_point import find_model_at
from tests.support.command_line import typed
from tests.support.simulated import simulated_predictions

DEVELOPMENT = simulated_predictions(patients=120, seed=2)


def written(path, schema=2, development=DEVELOPMENT):
    """A model file with what is known of it; the file itself is never opened here."""
    path.write_bytes(b"weights")
    content = {
        "schema": schema,
        "demo": True,
        "input": {"mode": "whole"},
        "preparation": {"image_size": 48, "crop": True, "remove_labels": True, "clahe": False, "clahe_limit": 2.0},
        "output": {"class_names": list(development.class_names)},
        "calibration": None,
        "operating_points": [
            {name: point[name] for name in ("endpoint", "classes", "target_specificity", "threshold")}
            for point in map(asdict, fixed_thresholds(development))
        ],
        "development": {},
    }
    if schema == 2:
        content["operating_curve"] = asdict(operating_curve(development))
    ModelMetadata(json.loads(json.dumps(content))).write(path, format="keras", verification=None)
    return path


@pytest.fixture
def model(tmp_path):
    return written(tmp_path / "model.keras")


def test_a_sensitivity_is_met_by_the_highest_threshold_that_has_it_out_of_fold(model):
    own = find_model_at(str(model), None, 0.9, None).metadata.own
    found = sorted(DEVELOPMENT.probabilities[DEVELOPMENT.labels == 2, 2])
    needed = -(-len(found) * 9 // 10)
    assert own.threshold == found[len(found) - needed]
    assert (own.endpoint, own.classes, own.asked) == ("malignant versus rest", ("malignant",), "sensitivity 0.9")
    assert own.target_specificity is None


def test_a_specificity_gives_the_model_s_own_threshold_where_that_is_for_it(model):
    metadata = find_model_at(str(model), None, None, 0.95).metadata
    assert metadata.own.threshold == metadata.read.operating_points[1].threshold
    assert metadata.own.asked == "specificity 0.95"
    assert metadata.thresholds == (*metadata.read.operating_points, metadata.own)


def test_a_threshold_is_taken_as_it_is_and_no_point_leaves_the_model_as_it_was(model):
    own = find_model_at(str(model), 0.3, None, None).metadata.own
    assert own.threshold == 0.3
    assert own.is_positive({"normal": 0.4, "benign": 0.3, "malignant": 0.3})
    assert not own.is_positive({"normal": 0.4, "benign": 0.31, "malignant": 0.29})
    assert find_model_at(str(model), None, None, None).metadata.own is None


@pytest.mark.parametrize("command", [["predict"], ["evaluate"]], ids=["predict", "evaluate"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", "0"], "Expected --threshold above 0 and below 1; found 0."),
        (["--threshold", "1"], "Expected --threshold above 0 and below 1; found 1."),
        (["--threshold", "nan"], "Expected --threshold above 0 and below 1; found nan."),
        (["--at-sensitivity", "1.2"], "Expected --at-sensitivity above 0 and at most 1; found 1.2."),
        (["--at-sensitivity", "0"], "Expected --at-sensitivity above 0 and at most 1; found 0."),
        (["--at-specificity", "-0.5"], "Expected --at-specificity above 0 and at most 1; found -0.5."),
        (["--at-specificity", "inf"], "Expected --at-specificity above 0 and at most 1; found inf."),
        (["--at-specificity", "90"], "found 90. Give a share, 0.95 for example."),
        (
            ["--threshold", "0.3", "--at-sensitivity", "0.9"],
            "Expected one of --threshold, --at-sensitivity and --at-specificity; found --threshold and",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_can_t_be_is_refused_in_one_line_before_anything_starts(model, capsys, command, options, words):
    films = ["film.pgm"] if command == ["predict"] else ["--data", "films"]
    answer = typed(capsys, *command, model, *films, *options)
    assert answer.code == 2
    (line,) = answer.error_lines
    assert words in line


def test_a_target_that_nothing_reaches_is_refused_with_what_is_reached(tmp_path, capsys):
    order = DEVELOPMENT.probabilities[:, 2].argsort()
    negative = max(place for place, row in enumerate(order) if DEVELOPMENT.labels[row] != 2)
    path = written(tmp_path / "model.keras", development=DEVELOPMENT.take(order[: negative + 1]))
    answer = typed(capsys, "predict", path, "film.pgm", "--at-specificity", "1")
    assert answer.code == 2
    (line,) = answer.error_lines
    negatives = int((DEVELOPMENT.labels != 2).sum())
    assert f"that some threshold reaches out of fold, at most {(negatives - 1) / negatives:.3f}" in line
    assert "Ask for less." in line


def test_a_file_of_an_earlier_version_is_read_and_takes_a_threshold_alone(tmp_path, capsys):
    path = written(tmp_path / "model.keras", schema=1)
    metadata = find_model_at(str(path), 0.25, None, None).metadata
    assert [point.fold_thresholds for point in metadata.thresholds] == [()] * 5
    assert metadata.own.threshold == 0.25
    for option in ("--at-sensitivity", "--at-specificity"):
        answer = typed(capsys, "predict", path, "film.pgm", option, "0.9")
        assert answer.code == 1
        (line,) = answer.error_lines
        assert "without it (schema 1)" in line
        assert f"Give a probability with --threshold, or search again for {option}." in line


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholds": []},
        {"sensitivities": [0.5]},
        {"thresholds": ["x"]},
        {"classes": ["cancer"]},
        {"endpoint": "a\nb"},
    ],
    ids=str,
)
def test_a_curve_that_is_none_is_a_damaged_file(model, capsys, changes):
    path = metadata_file(model)
    content = json.loads(path.read_text())
    content["operating_curve"] |= changes
    del content["checksum"]
    path.write_text(json.dumps(content))
    answer = typed(capsys, "predict", model, "film.pgm")
    assert answer.code == 1
    (line,) = answer.error_lines
    assert "write both again" in line


def test_what_is_written_again_holds_no_point_of_a_user(model, tmp_path):
    file = find_model_at(str(model), 0.25, None, None)
    before = read_metadata(model).content
    file.metadata.write(model, format="keras", verification=None)
    assert read_metadata(model).content == before
