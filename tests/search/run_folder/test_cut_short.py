"""A search that the time limit ended says so: in its answer, and whenever its status is asked for."""

import json
import shutil

import pytest

from search.cli.status import status_text
from search.config.writing import to_toml
from search.run_folder.cut_short import cut_short
from search.run_folder.directory import RunDirectory
from search.run_folder.manifest import Manifest, write_manifest
from search.run_folder.status import run_status
from tests.support.command_line import typed
from tests.support.json_answers import assert_described
from tests.support.tiny import tiny_config

NESTED = {
    "split__protocol": "nested",
    "split__outer_folds": 2,
    "split__folds": 2,
    "search__max_trials": 2,
    "search__max_epochs": 2,
    "space__unfreeze_depth": [0],
}


@pytest.mark.parametrize(
    ("changes", "searches", "planned", "said"),
    [
        ({}, 1, 6, "the time limit came after 1 of 6 planned trials"),
        (NESTED, 3, 6, "the time limit came after 3 of 6 planned trials in 3 searches"),
    ],
)
@pytest.mark.slow
def test_the_answer_and_the_status_say_what_the_time_limit_left_out(
    changes, searches, planned, said, phantom, tmp_path, monkeypatch, capsys, tensorflow_started
):
    monkeypatch.chdir(tmp_path)
    config = tiny_config(phantom, tmp_path, retrain__seeds=1, **changes)
    (tmp_path / "tuner_config.toml").write_text(to_toml(config))
    run = ("run", "--max-minutes", "1e-9", "--name", "timed", "--quiet")
    answer = typed(capsys, *run)
    assert answer.code == 0, answer.err
    assert f"search cut short    {said}" in answer.out.splitlines()
    shown = typed(capsys, "status", "timed").out
    assert ["cut", "short", *said.split()] in [line.split() for line in shown.splitlines()]
    found = json.loads(typed(capsys, "status", "timed", "--json").out)
    assert_described("status RUN", found)
    counted = found["cut_short"]
    assert (counted["searches"], counted["trials"], counted["planned_trials"]) == (searches, searches, planned)
    assert counted["trials"] == found["progress"]["trials"]
    assert (counted["epochs"], counted["planned_epochs"]) == (
        found["progress"]["epochs"],
        found["progress"]["planned_epochs"],
    )
    # Killed after its search: what is left is retraining and evaluation, not the trials that were given up.
    directory = RunDirectory(tmp_path / "runs" / "timed")
    directory.update_manifest(status="running", finished=None)
    status = run_status(directory)
    assert (status.state, status.seconds_left) == ("interrupted", 0)
    assert "none left but retraining and evaluation" in status_text(status)
    again = typed(capsys, *run, "--json")
    assert again.code == 0, again.err
    result = json.loads(again.out)
    assert_described("run", result)
    assert result["cut_short"] == counted


def test_a_plan_that_was_carried_out_was_not_cut_short(finished, tmp_path):
    result = finished[1]
    assert result.cut_short is None
    assert result.as_json()["cut_short"] is None
    assert "cut short" not in result.as_text()
    shutil.copytree(result.directory.path, tmp_path / "runs" / "first")
    status = run_status(RunDirectory(tmp_path / "runs" / "first"))
    assert status.cut_short is None
    assert "cut short" not in status_text(status)


@pytest.mark.parametrize("word", ["trials", "runs"], ids=["now", "as older versions wrote it down"])
def test_the_planned_trials_are_those_of_the_plan_in_run_json(word, tmp_path):
    manifest = Manifest(
        name="first",
        status="complete",
        created="2026-01-01T00:00:00+00:00",
        argv=("run",),
        demo=False,
        fingerprints={},
        settings={},
        results_version=1,
        views_per_class=None,
        cut_short=True,
        seeds={},
        plan={word: 38, "epochs": 420},
        versions={},
    )
    write_manifest(tmp_path / "run.json", manifest)
    (tmp_path / "trials.jsonl").touch()
    assert str(cut_short(RunDirectory(tmp_path))) == "the time limit came after 0 of 38 planned trials"
