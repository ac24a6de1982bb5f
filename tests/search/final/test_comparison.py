"""Runs beside each other: what is paired, what is refused, and what stands on the screen."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from sklearn.metrics import roc_auc_score

from reports.predictions import Predictions
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import record_final_stage
from tests.conftest import ROOT
from tests.reports.evaluation.test_comparison import blurred
from tests.support.command_line import typed
from tests.support.comparing import has_margins
from tests.support.json_answers import assert_described


@pytest.fixture
def runs(finished, tmp_path, monkeypatch):
    """The folder of a finished run, "first", and of "second": another seed, and predictions with noise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    first = finished[1].directory.path
    folder = tmp_path / "runs"
    for name in ("first", "second"):
        shutil.copytree(first, folder / name)
    change(folder / "second", lambda table: blurred(table))
    second = RunDirectory(folder / "second")
    second.update_manifest(settings=second.read_manifest().settings | {"search.seed": 2})
    return folder


def change(folder, to):
    """Other predictions of a complete run, as if it had written them."""
    run = RunDirectory(folder)
    file = run.best / "predictions.csv"
    to(Predictions.read_csv(file)).write_csv(file)
    run.update_manifest(**run.checksums())


def test_figures_differences_settings_and_cost_stand_side_by_side(runs, capsys):
    answer = typed(capsys, "compare", "first", "second", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert_described("compare", found)
    assert found["settings"] == {"search.seed": [1, 2]}
    first, second = found["runs"]
    assert first["metrics"]["primary_auc"] == json.loads((runs / "first/best/metrics.json").read_text())["primary_auc"]
    tables = [Predictions.read_csv(runs / name / "best/predictions.csv") for name in ("second", "first")]
    areas = [roc_auc_score(table.labels == 2, table.probabilities[:, 2]) for table in tables]
    assert first["difference"] is None
    assert second["difference"]["paired"]
    assert second["difference"]["held_out"]["primary_auc"]["value"] == pytest.approx(areas[0] - areas[1], abs=1e-12)
    assert second["difference"]["out_of_fold"]["value"] == 0, "the second is a copy"
    assert second["cost"]["trials"] == len((runs / "first/trials.jsonl").read_text().splitlines())


def test_the_table_fits_and_says_what_it_can_and_cannot_tell(runs, capsys):
    answer = typed(capsys, "compare", "first", "second", "--plot", "pair.png")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    tables = lines[: next(row for row, line in enumerate(lines) if line.startswith("On the same"))]
    assert max(map(len, tables)) <= 100
    assert any(line.split() == ["search.seed", "1", "2"] for line in lines)
    assert "On the same 8 held-out women, second and first can't be told apart by these data" in answer.out
    assert "choose by those out of fold" in answer.out
    assert has_margins(runs.parent / "pair.png")


def test_runs_on_other_women_are_refused_with_the_reason_unless_asked(runs, capsys):
    change(runs / "second", lambda table: table.take(range(2, len(table))))
    answer = typed(capsys, "compare", "first", "second")
    assert answer.code == 1
    assert answer.error_lines == [
        "mammo-search: Expected runs on the same held-out women as first; found second, which holds out 7 women, 7 of "
        "them among first's 8. Search the same films with --split runs/first/split.csv, or add --unpaired for wider "
        "intervals."
    ]
    answer = typed(capsys, "compare", "first", "second", "--unpaired")
    assert answer.code == 0
    assert ", unpaired" in answer.out
    assert "On other women than first's (7 are in both)" in answer.out


@pytest.mark.parametrize("kind", ["images", "labels", "films"])
def test_what_only_looks_the_same_is_not_paired(runs, capsys, kind):
    if kind == "films":
        for name in ("first", "second"):
            began = RunDirectory(runs / name).read_manifest().created
            record_final_stage(runs, "split", name, began=began, models=("m",), films=name)
    else:
        file = runs / "second/best/predictions.csv"
        rows = [line.split(",") for line in file.read_text().splitlines()]
        row = rows[1]
        if kind == "images":
            row[0] = "another"
        else:
            row[2] = "benign" if row[2] == "normal" else "normal"
        file.write_text("\n".join(map(",".join, rows)) + "\n")
        run = RunDirectory(runs / "second")
        run.update_manifest(**run.checksums())
    answer = typed(capsys, "compare", "first", "second")
    assert answer.code == 1
    (line,) = answer.error_lines
    if kind == "films":
        assert "(0 are in both)" in typed(capsys, "compare", "first", "second", "--unpaired").out
    films = "films are other ones under the same names"
    assert (films if kind == "films" else "other images or labels of the same women") in line


def without_a_figure(run):
    """A complete run whose metrics.json is another version's."""
    file = run.best / "metrics.json"
    metrics = json.loads(file.read_text())
    del metrics["log_loss"]
    file.write_text(json.dumps(metrics))
    run.update_manifest(**run.checksums())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: run.update_manifest(status="running"), "second, which has not ended"),
        (lambda run: (run.best / "predictions.csv").write_text("image_id\n"), "a changed or damaged file"),
        (lambda run: (run.best / "metrics.json").unlink(), "no such file"),
        (without_a_figure, "metrics.json with log_loss"),
    ],
)
def test_a_run_that_cannot_be_compared_is_one_line(runs, capsys, spoil, words):
    spoil(RunDirectory(runs / "second"))
    answer = typed(capsys, "compare", "first", "second")
    assert answer.code == 1
    (line,) = answer.error_lines
    assert words in line


@pytest.mark.parametrize("words", [("first",), ("first", "runs/first"), ("first", "second", "--plot", "a.jpg")])
def test_a_wrong_request_is_a_mistake_of_usage(runs, capsys, words):
    answer = typed(capsys, "compare", *words)
    assert answer.code == 2
    assert len(answer.error_lines) == 1


def test_a_run_whose_out_of_fold_files_are_gone_is_compared_without_them(runs, capsys):
    shutil.rmtree(runs / "second/oof")
    answer = typed(capsys, "compare", "first", "second", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["runs"][1]["difference"]["out_of_fold"] is None


def test_comparing_starts_no_tensorflow():
    heavy = "{'tensorflow', 'keras', 'sklearn'}"
    program = f"import sys, search.final.comparison.compare; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
