"""mammo-search predict: films in, calibrated rows out; what is no film is an error in its own row."""

import csv
import io
import json
import shutil
import sys

import cv2
import numpy as np
import pytest

from mammo_data.splits import Split
from reports.predictions import Predictions
from search.export.model import BATCH
from tests.support.bad_films import write_bad_films
from tests.support.case_folders import write_case_folder
from tests.support.command_line import typed
from tests.support.json_answers import assert_described


@pytest.fixture(scope="module")
def run(finished):
    return finished[1].directory


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_held_out_films_get_the_predictions_that_the_run_has_stored(run, phantom, capsys):
    test = set(Split.read_csv(run.split_file).test_patients)
    answer = typed(capsys, "predict", run.path, phantom)
    assert answer.code == 0, answer.err
    found = {row["image"].removesuffix(".pgm"): row for row in rows_of(answer.out)}
    assert list(found) == sorted(found)
    plain = Predictions.read_csv(run.best / "predictions.csv")
    corrected = Predictions.read_csv(run.best / "predictions_corrected.csv")
    assert set(plain.patient_ids) == test
    for image, probabilities in zip(corrected.image_ids, corrected.probabilities, strict=True):
        row = found[image]
        given = [float(row[f"p_{name}"]) for name in corrected.class_names]
        assert np.allclose(given, probabilities, atol=1e-4)
        assert row["error"] == ""
    point = run.read_manifest() and json.loads((run.best / "metrics.json").read_text())["operating_points"][0]
    column = f"{point['endpoint']} at {point['target_specificity']:.2f}".replace(" ", "_")
    called = sum(found[image][column] == "positive" for image in plain.image_ids)
    assert called == point["true_positives"] + point["false_positives"]


def test_films_keep_their_rows_in_any_order_and_beside_films_that_fail(run, phantom, tmp_path, capsys):
    """More than one batch, shuffled, a bad image in each."""
    corrected = Predictions.read_csv(run.best / "predictions_corrected.csv")
    plain = Predictions.read_csv(run.best / "predictions.csv")
    assert len(plain) > BATCH
    assert len(np.unique(plain.probabilities.round(5), axis=0)) > len(plain) // 2, "films are told apart"
    (tmp_path / "letter.png").write_text("Dear reader")
    films = [phantom / f"{image}.pgm" for image in np.random.default_rng(0).permutation(plain.image_ids)]
    films[3:3] = films[11:11] = [tmp_path / "letter.png"]
    answer = typed(capsys, "predict", run.path, *films, "--format", "jsonl")
    assert answer.code == 4, answer.err
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert [row["image"] for row in rows] == [str(film) for film in films]
    expected = {
        image: values
        for image, *values in zip(plain.image_ids, plain.probabilities, corrected.probabilities, strict=True)
    }
    for row, film in zip(rows, films, strict=True):
        if film.suffix == ".png":
            assert film.name in row["error"]
            continue
        own, calibrated = expected[film.stem]
        np.testing.assert_allclose([row["uncalibrated"][name] for name in plain.class_names], own, atol=1e-4)
        np.testing.assert_allclose([row["probabilities"][name] for name in plain.class_names], calibrated, atol=1e-4)


def test_a_score_at_the_threshold_is_positive():
    from search.export.metadata import OperatingThreshold

    probabilities = {"normal": 0.5, "benign": 0.125, "malignant": 0.375}
    for classes, score in ((("malignant",), 0.375), (("benign", "malignant"), 0.5)):
        at, above, never = (OperatingThreshold("", classes, 0.9, limit) for limit in (score, score + 2**-20, None))
        assert at.is_positive(probabilities)
        assert not above.is_positive(probabilities)
        assert not never.is_positive(probabilities)


def test_every_format_and_every_bad_image_in_one_batch(run, phantom, tmp_path, capsys):
    folder = write_case_folder(phantom, tmp_path / "own") / "films"
    kinds = [next(folder.glob(f"*{suffix}")) for suffix in (".pgm", ".png", ".tif", ".dcm")]
    film = cv2.imread(str(kinds[0]), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / "film.jpg"), film)
    cv2.imwrite(str(tmp_path / "tiny.png"), film[:20, :20])
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros_like(film))
    (tmp_path / "empty.pgm").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(kinds[1].read_bytes()[:500])
    (tmp_path / "letter.png").write_text("Dear reader")
    good = [*kinds, tmp_path / "film.jpg"]
    bad = [tmp_path / name for name in ("tiny.png", "black.png", "empty.pgm", "cut.png", "letter.png", "none.dcm")]
    order = [path for pair in zip(good, bad, strict=False) for path in pair] + bad[5:]
    answer = typed(capsys, "predict", run.path, *order, "--json", "--out", tmp_path / "rows.jsonl")
    assert answer.code == 4, answer.err
    assert "; 6 failed" in answer.err
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["image"] for row in rows] == [str(path) for path in order]
    for row, path in zip(rows, order, strict=True):
        assert_described("predict", row)
        if path in bad:
            assert path.name in row["error"]
            assert "\n" not in row["error"]
            assert row["probabilities"] is row["decisions"] is row["predicted"] is None
        else:
            assert row["error"] is None
            assert sum(row["probabilities"].values()) == pytest.approx(1)
            assert row["predicted"] == max(row["probabilities"], key=row["probabilities"].get)
    first, jpeg = rows[0], rows[order.index(tmp_path / "film.jpg")]
    assert jpeg["probabilities"]["malignant"] == pytest.approx(first["probabilities"]["malignant"], abs=0.05)


def test_each_film_that_nobody_can_use_has_its_reason_in_its_row(run, phantom, tmp_path, capsys):
    (tmp_path / "films").mkdir()
    (tmp_path / "nothing").mkdir()
    film = cv2.imread(str(phantom / "mdb001.pgm"), cv2.IMREAD_GRAYSCALE)
    wanted = {
        name: words.replace(", found ", "; found ") for name, words in write_bad_films(tmp_path / "films", film).items()
    }
    answer = typed(capsys, "predict", run.path, tmp_path / "films", tmp_path / "nothing", "--json")
    assert answer.code == 3
    rows = {row["image"]: row["error"] for row in map(json.loads, answer.out.splitlines())}
    assert "Expected images (PGM, PNG, JPEG, TIFF, DICOM); found none in" in rows.pop(str(tmp_path / "nothing"))
    assert rows.keys() == {f"{tmp_path}/films/{name}" for name in wanted}
    assert {name for name, words in wanted.items() if words not in rows[f"{tmp_path}/films/{name}"]} == set()


def test_films_of_one_name_in_two_folders_are_told_apart(run, phantom, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, film in (("a", "mdb001.pgm"), ("b", "mdb002.pgm")):
        (tmp_path / folder / "films").mkdir(parents=True)
        shutil.copy(phantom / film, tmp_path / folder / "films" / "001.pgm")
    both = rows_of(typed(capsys, "predict", run.path, "a/films", "b/films").out)
    assert [row["image"] for row in both] == ["a/films/001.pgm", "b/films/001.pgm"]
    (alone,) = rows_of(typed(capsys, "predict", run.path, "b/films").out)
    assert alone == {**both[1], "image": "001.pgm"}


@pytest.mark.slow
def test_standard_input_takes_an_image_or_paths_and_all_failed_is_exit_code_3(
    run, phantom, tmp_path, capsys, monkeypatch
):
    films = sorted(phantom.glob("*.pgm"))[:2]

    def given(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return typed(capsys, "predict", run.path, "-")

    (one,) = rows_of(given(films[0].read_bytes()).out)
    assert one["image"] == "-"
    both = rows_of(given("\n".join(map(str, films)).encode()).out)
    assert [row["image"] for row in both] == [str(film) for film in films]
    assert float(both[0]["p_benign"]) == pytest.approx(float(one["p_benign"]), abs=1e-6)
    # As other systems save a list: with a byte order mark and their line ends.
    listed = given("\r\n".join(map(str, films)).encode("utf-8-sig"))
    assert listed.out == given("\n".join(map(str, films)).encode()).out
    nothing = given(b"no-such.pgm\n")
    assert nothing.code == 3
    assert "all failed" in nothing.err
    assert given(b"\x00\x01").code == 3


def test_a_model_file_works_alone_with_its_json_and_not_without(run, phantom, tmp_path, capsys):
    film = sorted(phantom.glob("*.pgm"))[0]
    copy = shutil.copy(run.model_file, tmp_path)
    answer = typed(capsys, "predict", copy, film)
    assert answer.code == 1
    assert "JSON file" in answer.err
    shutil.copy(f"{run.model_file}.json", tmp_path)
    answer = typed(capsys, "predict", copy, film, "--cam", tmp_path / "maps", "--format", "jsonl")
    assert answer.code == 0, answer.err
    (row,) = map(json.loads, answer.out.splitlines())
    assert_described("predict", row)
    overlay = cv2.imread(row["cam"])
    assert overlay is not None
    # The right half has colour, where the evidence is; the film itself has none.
    assert np.ptp(overlay.astype(int), axis=-1).max() > 40


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_a_table_that_fits_it(run, width):
    """The row of an image, one with a name that is too long, and one that failed."""
    from search.export.metadata import find_model
    from search.predict.films import PredictedImage
    from search.predict.predict import row_text

    metadata = find_model(str(run.path)).metadata
    header, text = row_text(metadata, "table", width)
    probabilities = {"normal": 0.125, "benign": 0.25, "malignant": 0.625}
    decisions = (True, False, True, True)
    rows = [
        text(PredictedImage("a.png", probabilities, probabilities, decisions)),
        text(PredictedImage("films/" * 20 + "b.png", probabilities, probabilities, decisions)),
        text(PredictedImage("c.png", error="Expected a film with a breast on it; found black in c.png. " * 2)),
    ]
    assert max(map(len, (header + "".join(rows)).splitlines())) <= width
    said, over, titles = header.splitlines()
    assert said.startswith("Probabilities are ")
    assert over.split() == ["probability", "malignant", "abnormal"]
    assert titles.split()[-4:] == [".90", ".95", ".90", ".95"]
    assert rows[0].split() == ["a.png", "malignant", "0.125", "0.250", "0.625", "yes", "no", "yes", "yes"]
    assert rows[1].startswith("…")
    assert "b.png  malignant" in rows[1]
    assert " ".join(rows[2].split()).startswith("c.png Expected a film")


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_with_a_point_of_the_user_s_own_fits_the_terminal_as_well(run, width):
    from search.predict.films import PredictedImage
    from search.predict.own_point import find_model_at
    from search.predict.predict import row_text

    header, text = row_text(find_model_at(str(run.path), 0.3, None, None).metadata, "table", width)
    probabilities = {"normal": 0.125, "benign": 0.25, "malignant": 0.625}
    row = text(PredictedImage("a.png", probabilities, probabilities, (True, False, True, True, True)))
    assert max(map(len, (header + row).splitlines())) <= width
    assert "own: malignant versus rest at threshold 0.3, positive from 0.3 on." in " ".join(header.split())
    assert header.splitlines()[-1].split()[-3:] == [".90", ".95", "own"]
    assert row.split()[-5:] == ["yes", "no", "yes", "yes", "yes"]


KINDS = {
    "none": (1.0, [0.0, 0.0, 0.0], "plain", "Probabilities are plain, for no correction helped out of fold."),
    "prior": (1.0, [0.5, -0.5, -1.0], "prior-corrected", "Probabilities are prior-corrected."),
    "temperature": (2.0, [0.0, 0.0, 0.0], "temperature-scaled", "Probabilities are temperature-scaled."),
    "both": (
        2.0,
        [0.5, -0.5, -1.0],
        "prior-corrected and temperature-scaled",
        "Probabilities are prior-corrected and temperature-scaled.",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_say_of_which_kind_their_probabilities_are(run, kind):
    from search.export.metadata import ModelMetadata, find_model
    from search.predict.films import PredictedImage
    from search.predict.predict import probabilities_said, row_text

    temperature, shift, words, sentence = KINDS[kind]
    content = dict(find_model(str(run.path)).metadata.content)
    content["calibration"] = {"temperature": temperature, "log_prior_shift": shift, "cases": 9}
    metadata = ModelMetadata(content)
    assert probabilities_said(metadata) == sentence
    own = np.array([[0.2, 0.3, 0.5]])
    weights = np.exp(np.log(own) / temperature + shift)
    assert metadata.calibrated(own) == pytest.approx(weights / weights.sum())
    assert (metadata.calibrated(own) is own) == (kind == "none")
    probabilities = {"normal": 0.25, "benign": 0.25, "malignant": 0.5}
    _, text = row_text(metadata, "jsonl", 80)
    assert json.loads(text(PredictedImage("a", probabilities, probabilities, (True,) * 4)))["kind"] == words
    content["calibration"] = None
    assert probabilities_said(ModelMetadata(content)) == "Probabilities are plain, for no correction could be fitted."


def test_answers_that_seem_to_differ_are_explained_in_every_format(run, phantom, tmp_path, capsys, monkeypatch):
    """A threshold that all images reach: those that are not predicted malignant are positive for it all the same."""
    films = sorted(phantom.glob("*.pgm"))[:12]
    options = ("predict", run.path, *films, "--threshold", "1e-9")
    answer = typed(capsys, *options, "--json")
    assert answer.code == 0, answer.err
    assert "own: malignant versus rest at threshold 1e-09" in answer.err
    rows = [json.loads(line) for line in answer.out.splitlines()]
    differing = [row for row in rows if row["predicted"] != "malignant"]
    assert differing, "the test would see nothing"
    for row in rows:
        assert_described("predict", row)
        own = row["decisions"][-1]
        assert (own["asked"], own["threshold"], own["positive"]) == ("threshold 1e-09", 1e-9, True)
        if row in differing:
            assert f"positive for malignant versus rest beside predicted {row['predicted']}" in row["note"]
            assert "each endpoint has its own threshold" in row["note"]
    table = typed(capsys, *options, "--format", "table").out
    assert f"Answers that seem to differ: {sum(row['note'] is not None for row in rows)} images (" in table
    csv_rows = rows_of(typed(capsys, *options).out)
    assert [row["note"] for row in csv_rows] == [row["note"] or "" for row in rows]
    assert {row["malignant_versus_rest_at_threshold_1e-09"] for row in csv_rows} == {"positive"}


def test_no_such_model_is_one_line(run, capsys):
    answer = typed(capsys, "predict", "frist", "film.pgm")
    assert answer.code == 1
    assert len(answer.error_lines) == 1
    answer = typed(capsys, "predict", "gone.keras", "film.pgm")
    assert "gone.keras" in answer.err
