"""A search that ended short of its plan says so: in its answer, its pages, and whenever it is asked about."""

import json
import shutil
from dataclasses import replace

import pytest

from search.cli.status import status_text
from search.config.writing import to_toml
from search.run_folder.directory import RunDirectory
from search.run_folder.extent import run_extent
from search.run_folder.manifest import Manifest, write_manifest
from search.run_folder.status import run_status
from search.run_folder.trial_log import append_record
from tests.support.command_line import typed
from tests.support.json_answers import assert_described
from tests.support.simulated import simulated_trials
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
        ({}, 1, 6, "stopped by max_minutes after 1 of 6 trials; none at the full budget of 3 epochs"),
        (
            NESTED,
            3,
            6,
            "stopped by max_minutes after 3 of 6 trials in 3 searches; 3 of 6 at the full budget of 2 epochs",
        ),
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
    assert f"the search was      {said}" in answer.out.splitlines()
    shown = typed(capsys, "status", "timed").out
    assert ["cut", "short", *said.split()] in [line.split() for line in shown.splitlines()]
    assert "complete, but its search was cut short" in shown
    best = RunDirectory(tmp_path / "runs" / "timed").best
    assert f"The search was not carried out in full.</strong> It was {said}." in (best / "report.html").read_text()
    assert f"- The search was not carried out in full: it was {said}." in (best / "model_card.md").read_text()
    assert typed(capsys, "report", "timed").code == 0
    assert said in (best / "report.html").read_text()
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
    expected = directory.read_manifest().expected
    later = sum(expected[part] for part in ("retrain", "baselines", "evaluate", "localise", "audit", "report"))
    # The outer searches of a nested run are complete, and so is what follows each of them.
    assert status.state == "interrupted"
    assert status.seconds_left == pytest.approx(later / searches)
    again = typed(capsys, *run, "--json")
    assert again.code == 0, again.err
    result = json.loads(again.out)
    assert_described("run", result)
    assert result["cut_short"] == counted


def test_a_plan_that_was_carried_out_was_not_cut_short(finished, tmp_path):
    result = finished[1]
    assert result.extent.ended_by == ()
    assert (result.extent.trials, result.extent.full_budget_trials) == (6, result.extent.planned_full_budget_trials)
    assert result.as_json()["cut_short"] is None
    assert "the search was" not in result.as_text()
    for page in (result.directory.report_file, result.directory.model_card):
        assert "carried out in full" not in page.read_text()
    shutil.copytree(result.directory.path, tmp_path / "runs" / "first")
    status = run_status(RunDirectory(tmp_path / "runs" / "first"))
    assert status.cut_short is None
    assert "cut short" not in status_text(status)


PLANNED = {
    "trials": 38,
    "configurations": 28,
    "epochs": 420,
    "full_budget_trials": 10,
    "max_epochs": 30,
}
ALL = simulated_trials(folds=1, failed=())


def written(path, records, plan=PLANNED, **changes):
    """The folder of a run, made by hand."""
    path.mkdir(parents=True)
    manifest = Manifest(
        name=path.name,
        status=changes.pop("status", "complete"),
        created="2026-01-01T00:00:00+00:00",
        argv=("run",),
        demo=False,
        fingerprints={},
        settings={},
        results_version=1,
        views_per_class=None,
        seeds={},
        plan=plan,
        versions={},
        **changes,
    )
    write_manifest(path / "run.json", manifest)
    for record in records:
        append_record(path / "trials.jsonl", record)
    for name in ("trials.jsonl", "config.toml"):
        (path / name).touch()
    return RunDirectory(path)


def failed(record):
    return replace(record, status="failed", objective=None, best_epoch=None, curves={}, error="no memory")


def in_place_of(record, number):
    """A trial that took the place of a failed one, of a configuration that was not planned."""
    return replace(record, trial=number, configuration=number)


# The last bracket: five configurations at the full budget, trials 33 to 37.
REPLACED = (*ALL[:36], failed(ALL[36]), in_place_of(ALL[36], 38), ALL[37])
LEFT_SHORT = (*ALL[:35], failed(ALL[35]), failed(ALL[36]), in_place_of(ALL[36], 38), ALL[37])


@pytest.mark.parametrize(
    ("records", "changes", "said"),
    [
        (ALL, {}, ""),
        (ALL, {"ended_after": 38}, ""),
        (ALL[:15], {"ended_after": 15, "cut_short": True}, "max_minutes after 15 of 38 trials; none"),
        (ALL[:21], {"ended_after": 21, "cut_short": True}, "max_minutes after 21 of 38 trials; 1 of 10"),
        (
            (*ALL[:6], failed(ALL[6]), *ALL[7:10]),
            {"ended_after": 10, "cut_short": True},
            "max_minutes after 9 of 38 trials (1 failed); none",
        ),
        (LEFT_SHORT, {}, "failed trials after 37 of 38 trials (2 failed); 9 of 10"),
        (ALL[:35], {}, "an exhausted search space after 35 of 38 trials; 7 of 10"),
        (
            (*ALL[:34], failed(ALL[34])),
            {},
            "failed trials and an exhausted search space after 34 of 38 trials (1 failed); 6 of 10",
        ),
    ],
    ids=["whole", "whole in time", "time", "time at the end", "time and a failure", "failures", "space", "both"],
)
def test_why_and_how_far_is_one_sentence_in_status_and_trials(records, changes, said, tmp_path, capsys):
    run = written(tmp_path / "runs" / "made", records, **changes)
    sentence = f"stopped by {said} at the full budget of 30 epochs" if said else ""
    assert str(run_extent(run)) == sentence
    shown, listed = (" ".join(typed(capsys, command, run.path).out.split()) for command in ("status", "trials"))
    assert (f"cut short {sentence}" in shown) == (f"The search was {sentence}." in listed) == bool(said)
    assert ("state complete, but its search was cut short" in shown) == bool(said)
    for command in ("status", "trials"):
        found = json.loads(typed(capsys, command, run.path, "--json").out)
        assert (found["cut_short"] is not None) == bool(said)
        assert_described({"status": "status RUN"}.get(command, command), found)


def test_below_the_full_budget_the_leading_trial_says_of_how_many_epochs(tmp_path, capsys):
    run = written(tmp_path / "runs" / "made", ALL[:15], cut_short=True)
    assert "at 4 of 30 epochs (selected, optimistic)" in typed(capsys, "status", run.path).out
    assert json.loads(typed(capsys, "status", run.path, "--json").out)["best"]["full_epochs"] == 30
    whole = written(tmp_path / "runs" / "whole", ALL)
    assert "at 30 epochs (selected, optimistic)" in typed(capsys, "status", whole.path).out


def test_failed_trials_whose_places_were_taken_leave_the_plan_whole(tmp_path):
    extent = run_extent(written(tmp_path / "made", REPLACED))
    assert (extent.ended_by, str(extent)) == (
        (),
        "carried out in full; 1 trial failed, and others took their places",
    )


def test_a_search_that_goes_on_is_not_short_of_anything_yet(tmp_path):
    run = written(tmp_path / "made", ALL[:15], status="running")
    assert run_extent(run) is None
    assert run_status(run).cut_short is None
    assert run_extent(run, search_ended=True).ended_by == ("space",)


def test_all_searches_of_a_nested_run_are_one_sentence(tmp_path):
    run = written(tmp_path / "made", ALL, protocol="nested")
    written(run.outer(0).path, ALL[:15], cut_short=True)
    written(run.outer(1).path, LEFT_SHORT)
    assert str(run_extent(run)) == (
        "stopped by max_minutes and failed trials after 90 of 114 trials in 3 searches (2 failed); "
        "19 of 30 at the full budget of 30 epochs"
    )


def test_the_list_of_runs_says_which_search_was_cut_short(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "runs" / "made", ALL[:15], cut_short=True)
    written(tmp_path / "runs" / "whole", ALL)
    lines = typed(capsys, "status").out.splitlines()
    assert [line.partition(":")[0] for line in lines if "the search was" in line] == ["made"]


@pytest.mark.parametrize("word", ["trials", "runs"], ids=["now", "as older versions wrote it down"])
def test_the_planned_trials_are_those_of_the_plan_in_run_json(word, tmp_path):
    run = written(tmp_path / "made", (), plan={word: 38, "epochs": 420}, cut_short=True)
    assert str(run_extent(run)) == "stopped by max_minutes after 0 of 38 trials"
