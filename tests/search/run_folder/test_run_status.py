"""The state of a run, told by another process's lock and by how the last one ended."""

import datetime
import io
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from search.cli.status import status_text
from search.config.reading import load_config
from search.errors import InterruptionError, RunError
from search.plan.clock import search_clock
from search.plan.cost import CostModel
from search.plan.protocol import plan_run
from search.protocols.run import listener_of
from search.run_folder.directory import RunDirectory
from search.run_folder.lifecycle import devices_in_words
from search.run_folder.lock import owned
from search.run_folder.lookup import find_run
from search.run_folder.session import note_workers
from search.run_folder.status import all_statuses, run_status
from search.run_folder.trial_log import read_records
from search.screen.output import messages
from search.screen.progress import RunProgress

HOLDER = (
    "import sys\n"
    "from pathlib import Path\n"
    "from search.run_folder.lock import owned\n"
    "with owned(Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.readline()\n"
)


@pytest.fixture
def unfinished(finished, tmp_path):
    """A run that has ended four of its six runs."""
    source = finished[1].directory
    run = RunDirectory(tmp_path / "runs" / "half")
    shutil.copytree(source.path, run.path, ignore=shutil.ignore_patterns("best", "search", "checkpoints", "oof"))
    run.update_manifest(status="running", argv=("run", "--fresh", "--name", "half"), finished=None)
    lines = run.trials_file.read_bytes().splitlines(keepends=True)
    run.trials_file.write_bytes(b"".join(lines[:4]))
    return run


@pytest.mark.parametrize("demo", [False, True])
def test_what_the_manifest_says_is_told(unfinished, demo):
    unfinished.update_manifest(demo=demo)
    manifest, status = unfinished.read_manifest(), run_status(unfinished)
    assert (status.name, status.path) == ("half", str(unfinished.path))
    for told in ("demo", "protocol", "created", "finished"):
        assert getattr(status, told) == getattr(manifest, told)
    assert status.device == devices_in_words(manifest)


@pytest.fixture
def holder(unfinished):
    """Another process that is at work in the run's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(unfinished.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_at_work_it_names_the_process_and_estimates_what_is_left(unfinished, holder):
    status = run_status(unfinished)
    assert (status.state, status.pid, status.resume) == ("running", holder.pid, None)
    assert (status.progress.trials, status.progress.planned_trials) == (4, 6)
    records = read_records(unfinished.trials_file)
    # What the header of the resumed run would say.
    config = load_config(unfinished.config_file)
    expected = unfinished.read_manifest().expected
    later = sum(expected[part] for part in ("retrain", "baselines", "evaluate", "localise", "audit", "report"))
    most = search_clock(config, plan_run(config), CostModel(), records).seconds_left(0.0) + later
    assert later <= status.seconds_left <= most
    ended = datetime.datetime.fromisoformat(records[-1].started) + datetime.timedelta(seconds=records[-1].seconds)
    assert run_status(unfinished, now=ended).seconds_left == pytest.approx(most)
    assert f"process {holder.pid} on" in status_text(status)
    # Asking has not taken the lock away from it, nor kept it.
    with pytest.raises(RunError, match="another one at work"), owned(unfinished.path):
        pass


def test_killed_it_is_interrupted_and_the_line_goes_on_with_it(unfinished, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    status = run_status(unfinished)
    assert (status.state, status.error) == ("interrupted", None)
    assert status.resume == "mammo-search run --name half"
    assert status_text(status).splitlines()[-1].split() == ["go", "on", "with", *status.resume.split()]
    assert status.best.trial in {record.trial for record in read_records(unfinished.trials_file)}


def test_ended_well_leaves_no_session_and_ctrl_c_is_no_failure(unfinished, holder):
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.wait() == 0
    assert run_status(unfinished).pid is None
    with pytest.raises(InterruptionError), owned(unfinished.path):
        raise InterruptionError("interrupted")
    assert run_status(unfinished).state == "interrupted"


def test_what_is_left_of_an_interrupted_run_is_told_for_the_workers_that_it_had(unfinished):
    alone = run_status(unfinished).seconds_left
    with pytest.raises(InterruptionError), owned(unfinished.path):
        note_workers(unfinished.path, {"worker 1": "trial 4, fold 1", "worker 2": ""})
        raise InterruptionError("interrupted")
    status = run_status(unfinished)
    assert (status.state, status.workers) == ("interrupted", {})
    assert status.seconds_left < alone


def test_an_error_is_told_as_it_was(unfinished):
    with pytest.raises(RunError), owned(unfinished.path):
        raise RunError(expected="trials that train", found="three failures", remedy="Mend the cause.")
    status = run_status(unfinished)
    assert status.state == "failed"
    assert "three failures" in status.error
    assert status.resume
    assert "three failures" in status_text(status)
    with owned(unfinished.path):
        assert run_status(unfinished).state == "running"
        assert run_status(unfinished).error is None


def test_starting_damaged_and_finished_runs_stand_in_one_list(finished, unfinished):
    runs = unfinished.path.parent
    starting = RunDirectory(runs / "new")
    starting.path.mkdir()
    (runs / "bad").mkdir()
    (runs / "bad" / "run.json").write_text("{")
    shutil.copytree(finished[1].directory.path, runs / "first")
    with owned(starting.path):
        states = {status.name: status.state for status in all_statuses(runs)}
        assert next(iter(states)) == "new"
    assert states == {"new": "starting", "bad": "damaged", "half": "interrupted", "first": "complete"}
    json.dumps([status.as_json() for status in all_statuses(runs)], allow_nan=False)


def test_a_nested_run_counts_all_its_searches(unfinished):
    settings = unfinished.read_manifest().settings
    unfinished.update_manifest(protocol="nested", settings={**settings, "split.outer_folds": 3})
    outer = unfinished.path / "outer-1"
    outer.mkdir()
    shutil.move(unfinished.trials_file, outer / "trials.jsonl")
    status = run_status(unfinished)
    assert (status.progress.trials, status.progress.planned_trials, status.progress.searches) == (4, 24, 4)
    assert status.best is None
    assert "of 4 searches" in status_text(status)


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_waits_for_another_one_says_for_which(unfinished, begun):
    if not begun:
        for path in unfinished.path.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    words = "waiting for run other (process 7 on alpha), which fills the bank of depth 0"
    screen = io.StringIO()
    with owned(unfinished.path):
        listener = listener_of(unfinished, RunProgress(messages(screen), log=unfinished.log_file))
        assert listener.name == "run half"
        listener.waits(words)
        status = run_status(unfinished)
        assert (status.state, status.waiting_for) == ("running" if begun else "starting", words)
        assert find_run(str(unfinished.path), starting=True) == unfinished
        (line,) = [line for line in status_text(status).splitlines() if line.startswith("state")]
        assert line.endswith(f"; {words}")
        assert words in screen.getvalue()
        assert words in unfinished.log_file.read_text()
        listener.waits("")
        assert run_status(unfinished).waiting_for is None
        assert "waited 1" in screen.getvalue()
        listener.waits(words)
    if begun:
        assert run_status(unfinished).waiting_for is None, "the process has ended"
