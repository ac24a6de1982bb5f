"""mammo-search evaluate: the run's held-out patients once more, or other people's."""

import json
import shutil

import pytest

from mammo_data.phantom.dataset import write_phantom
from mammo_data.splits import Split
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import logged, readings
from tests.support.case_folders import write_case_folder
from tests.support.command_line import typed
from tests.support.json_answers import assert_described


@pytest.fixture(scope="module")
def run(finished):
    return finished[1].directory


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Settings that say where other people's films are prepared: not where the run's own are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tuner_config.toml").write_text('[output]\ncache = "prepared-here"\n')


def held_out(run):
    return Split.read_csv(run.split_file).test_fingerprint


def found_in(run):
    return run.read_manifest().outputs[run.model_file.name]


def test_held_out_patients_give_the_run_s_own_figures_and_are_not_counted_again(finished, run, capsys, tmp_path):
    runs, split = run.path.parent, held_out(run)
    before = len(readings(runs, split))
    answer = typed(capsys, "evaluate", run.path, "--json", "--predictions", tmp_path / "again.csv")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert_described("evaluate", found)
    assert found["holdout_readings"] == before == len(readings(runs, split))
    assert found["counted"] is False
    assert run.name not in found["other_splits"]["runs"]
    assert logged(runs, split)[-1].models == (found_in(run),)
    assert "now not counted: this model had read them before" in typed(capsys, "evaluate", run.path).out
    stored = json.loads((run.best / "metrics.json").read_text())
    for name in ("primary_auc", "macro_ovr_auc", "balanced_accuracy", "per_class", "confusion_matrix"):
        assert found["metrics"][name] == stored[name], name
    assert found["metrics"]["calibration"]["temperature"] == stored["calibration"]["temperature"]
    for again, first in zip(found["metrics"]["operating_points"], stored["operating_points"], strict=True):
        assert again.items() <= first.items()
    assert (tmp_path / "again.csv").read_text().splitlines()[0] == (
        (run.best / "predictions.csv").read_text().splitlines()[0]
    )


def test_a_user_s_own_point_is_judged_beside_the_model_s(run, capsys):
    """At the specificity of one of these it is that one; a point is no new model, so nothing is counted again."""
    before = len(readings(run.path.parent, held_out(run)))
    answer = typed(capsys, "evaluate", run.path, "--json", "--at-specificity", "0.95")
    assert answer.code == 0, answer.err
    assert len(readings(run.path.parent, held_out(run))) == before
    *points, own = json.loads(answer.out)["metrics"]["operating_points"]
    assert own.pop("asked") == "specificity 0.95"
    assert own == points[1]
    text = typed(capsys, "evaluate", run.path, "--threshold", "0.25").out
    assert "malignant versus rest, threshold 0.25: sensitivity" in text


def test_other_people_s_films_are_all_external_and_known_patients_are_refused(run, phantom, tmp_path, capsys):
    folder = write_case_folder(phantom, tmp_path / "own")
    table = folder / "cases.csv"
    ledger = len(readings(run.path.parent, held_out(run)))
    refused = typed(capsys, "evaluate", run.path, "--data", folder)
    assert refused.code == 3
    assert "--leave-out-known" in refused.err
    # The held-out patients are no others: they would be read without being counted.
    nobody = typed(capsys, "evaluate", run.path, "--data", folder, "--leave-out-known")
    assert nobody.code == 3
    assert "evaluated without --data, and counted" in nobody.err
    # Other ids for the same women: the pixels are the same still, and give them away.
    header, *lines = table.read_text().splitlines()
    rows = [row.replace(",", ",x", 1) for row in lines]
    table.write_text("\n".join([header, *rows]) + "\n")
    assert typed(capsys, "evaluate", run.path, "--data", folder).code == 3
    # Eight other women among them.
    others = write_case_folder(write_phantom(tmp_path / "phantom", patients=8, seed=5, image_size=128), folder / "more")
    _, *lines = (others / "cases.csv").read_text().splitlines()
    (others / "cases.csv").unlink()
    rows += [f"more/{row.replace(',', ',other', 1)}" for row in lines]
    table.write_text("\n".join([header, *rows]) + "\n")
    answer = typed(capsys, "evaluate", run.path, "--data", folder, "--leave-out-known", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert found["holdout_readings"] is None
    assert (found["left_out_patients"], found["metrics"]["n_patients"]) == (32, 8)
    assert any((tmp_path / "prepared-here" / "prepared").iterdir())
    assert len(readings(run.path.parent, held_out(run))) == ledger


def test_classes_that_are_not_the_model_s_are_refused(run, phantom, tmp_path, capsys):
    answer = typed(capsys, "evaluate", run.path, "--data", write_case_folder(phantom, tmp_path / "own", classes=2))
    assert answer.code == 3
    assert "the stated classes normal, benign, malignant; found" in answer.err
    assert "'negative' in line" in answer.err
    assert "'positive' in line" in answer.err


def test_what_is_no_film_is_refused_each_on_its_line(run, phantom, tmp_path, capsys):
    folder = write_case_folder(phantom, tmp_path / "own")
    films = sorted((folder / "films").glob("*.pgm"))[:2]
    for film, level in zip(films, (0, 255), strict=True):
        film.write_bytes(b"P5\n128 128\n255\n" + bytes([level]) * 128 * 128)
    answer = typed(capsys, "evaluate", run.path, "--data", folder)
    assert answer.code == 3
    lines = [line for line in answer.error_lines if "a breast on it" in line]
    assert [film.stem in line for film, line in zip(films, lines, strict=True)] == [True, True]


def test_a_model_that_has_left_its_run_needs_data(run, tmp_path, capsys):
    for file in (run.model_file, f"{run.model_file}.json"):
        shutil.copy(file, tmp_path)
    answer = typed(capsys, "evaluate", tmp_path / run.model_file.name)
    assert answer.code == 2
    assert "--data" in answer.err


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"protocol": "nested"}, 2, "whose final model was trained on all patients"),
        ({"fingerprints": {"prepared": "0" * 64}}, 1, "others, or another version of the code that prepares them"),
    ],
    ids=["nested", "other images"],
)
def test_a_run_whose_held_out_patients_can_t_be_read_again_says_why(run, tmp_path, capsys, changes, code, words):
    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "runs" / "copy"))
    changed = {**changes}
    if "fingerprints" in changes:
        changed["fingerprints"] = {**run.read_manifest().fingerprints, **changes["fingerprints"]}
    copy.update_manifest(**changed)
    answer = typed(capsys, "evaluate", copy.path)
    assert answer.code == code
    line = answer.error_lines[-1]
    assert words in line, answer.err
    assert "--data" in line
    assert not readings(copy.runs, held_out(run)), "nothing was read"


def test_a_set_without_a_class_is_judged_at_the_run_s_thresholds_and_its_calibration_is_printed(run, tmp_path, capsys):
    """As CBIS-DDSM, which has no normal films, and calls its classes in capitals."""
    folder = write_case_folder(write_phantom(tmp_path / "p", patients=60, seed=7, image_size=128), tmp_path / "own")
    header, *lines = (folder / "cases.csv").read_text().splitlines()
    rows = [line.replace(",", ",other", 1).replace("benign", "BENIGN") for line in lines if ",normal," not in line]
    assert {row.split(",")[2] for row in rows} == {"BENIGN", "malignant"}
    (folder / "cases.csv").write_text("\n".join([header, *rows]) + "\n")
    answer = typed(capsys, "evaluate", run.path, "--data", folder, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)["metrics"]
    stored = json.loads((run.best / "metrics.json").read_text())
    assert found["class_counts"]["normal"] == 0
    assert found["calibration"]["temperature"] == stored["calibration"]["temperature"]
    thresholds = [[point["threshold"] for point in each["operating_points"]] for each in (found, stored)]
    assert thresholds[0] == thresholds[1]
    text = typed(capsys, "evaluate", run.path, "--data", folder).out
    if stored["calibration"]["chosen"] == "none":
        assert "probabilities are plain" in text
        return
    for title in ("Brier score, calibrated", "log loss, calibrated", "class-wise calibration error, calibrated"):
        assert title in text
