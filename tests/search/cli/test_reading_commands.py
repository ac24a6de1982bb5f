"""trials, status and tensorboard on a finished run, as a user meets them: real processes, and what they print."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from reports.trials import best_first
from search.run_folder.directory import RunDirectory
from tests.conftest import ROOT
from tests.support.json_answers import assert_described

PROGRAM = [sys.executable, "-m", "search"]


@pytest.fixture(scope="module")
def workspace(finished, tmp_path_factory):
    """A folder with a copy of the finished run, under its own name."""
    _, result = finished
    place = tmp_path_factory.mktemp("reading")
    shutil.copytree(result.directory.path, place / "runs" / "first")
    return place


@pytest.fixture(autouse=True)
def _surroundings(workspace, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("COLUMNS", raising=False)


def ask(workspace, *arguments):
    return subprocess.run([*PROGRAM, *arguments], cwd=workspace, capture_output=True, text=True, timeout=120)


def test_trials_lists_every_run_best_first_within_100_columns(workspace, finished):
    answer = ask(workspace, "trials")
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    winner = finished[1].outcome.winner
    first = next(line for line in lines if line.split()[:1] == ["1"])
    assert first.split()[1] == str(winner.trial)
    assert f"{winner.objective:.3f}" in first
    rows = [line for line in lines if any(f" {r.objective:.3f} " in line for r in finished[1].outcome.records)]
    assert len(rows) == len(finished[1].outcome.records)


def test_a_terminal_without_unicode_gets_the_same_table(workspace, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    whole = ask(workspace, "trials", "--best", "1").stdout
    assert " ±0." in whole
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    answer = ask(workspace, "trials", "--best", "1")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == whole.replace("±", "?")


def test_trials_as_json_has_the_schema_lineage_and_ranks(workspace, finished):
    records = finished[1].outcome.records
    found = json.loads(ask(workspace, "trials", "first", "--json", "--sort", "trial").stdout)
    assert_described("trials", found)
    assert (found["run"], found["objective"], found["plots"], found["export"]) == ("first", "val_macro_auc", {}, None)
    assert [trial["trial"] for trial in found["trials"]] == [record.trial for record in records]
    for trial, record in zip(found["trials"], records, strict=True):
        assert trial["hyperparameters"] == record.hyperparameters
        assert trial["lineage"][:1] == ([] if record.parent is None else [record.parent])
    assert [t["trial"] for t in found["trials"] if t["rank"] == 1] == [finished[1].outcome.winner.trial]
    best = json.loads(ask(workspace, "trials", "--best", "1", "--json").stdout)["trials"]
    assert [trial["rank"] for trial in best] == [1]


def test_trials_draws_and_exports(workspace):
    import optuna

    answer = ask(workspace, "trials", "--plot", "--out", "drawn", "--export-optuna", "search.log", "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert_described("trials", found)
    assert {"learning_curves", "timeline"} <= set(found["plots"])
    for path in found["plots"].values():
        assert (workspace / path).read_bytes().startswith(b"\x89PNG")
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(workspace / "search.log")))
    assert set(optuna.get_all_study_names(storage)) == set(found["export"]["studies"])
    again = ask(workspace, "trials", "--export-optuna", "search.log")
    assert again.returncode == 2
    assert "search.log, which is there" in again.stderr
    assert ask(workspace, "trials", "--export-optuna", "search.txt").returncode == 2


def test_trials_as_csv_have_a_row_each_with_every_hyperparameter_and_what_it_took(workspace, finished):
    import pandas as pd

    answer = ask(workspace, "trials", "--csv", "trials.csv")
    assert answer.returncode == 0, answer.stderr
    table, records = pd.read_csv(workspace / "trials.csv"), finished[1].outcome.records
    assert sorted(table["trial"]) == [record.trial for record in records]
    assert set(table["run"]) == {"first"}
    for _, row in table.iterrows():
        record = records[int(row["trial"])]
        assert {name: row[name] for name in record.hyperparameters} == record.hyperparameters
        assert row["objective"] == record.objective
        assert row["seconds"] == record.seconds
        assert (str(row["lineage"]) != "nan") == (record.parent is not None)
    best = ask(workspace, "trials", "--best", "1", "--csv", "trials.csv")
    assert best.returncode == 0
    assert list(pd.read_csv(workspace / "trials.csv")["rank"]) == [1]


def test_without_optuna_the_export_ends_with_one_line_and_nothing_else_needs_it(workspace):
    program = "import sys; sys.modules['optuna'] = None\nfrom search.cli.main import main\nmain()"
    for arguments, code in ((["trials"], 0), (["trials", "--plot"], 0), (["trials", "--export-optuna", "x.db"], 1)):
        answer = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=workspace, capture_output=True, text=True, timeout=120
        )
        assert answer.returncode == code, answer.stderr
        assert len(answer.stderr.splitlines()) == (code != 0)
        assert ("uv sync --extra plots" in answer.stderr) == (code != 0)


def test_status_of_a_complete_run(workspace, finished):
    records = finished[1].outcome.records
    found = json.loads(ask(workspace, "status", "first", "--json").stdout)
    assert_described("status RUN", found)
    assert (found["state"], found["resume"], found["error"]) == ("complete", None, None)
    assert found["progress"]["trials"] == found["progress"]["planned_trials"] == len(records)
    assert found["best"]["trial"] == finished[1].outcome.winner.trial
    assert found["seconds_spent"] == pytest.approx(sum(record.seconds for record in records))
    text = ask(workspace, "status", "first").stdout
    assert "complete" in text
    assert "best/report.html" in text
    listing = ask(workspace, "status")
    assert "first" in listing.stdout
    assert max(map(len, listing.stdout.splitlines())) <= 100
    assert json.loads(ask(workspace, "status", "--json").stdout) == [found]


@pytest.mark.parametrize("command", ["trials", "status", "tensorboard"])
def test_a_wrong_name_is_one_line_with_the_nearest(workspace, command):
    answer = ask(workspace, command, "frist")
    assert answer.returncode == 1
    assert len(answer.stderr.splitlines()) == 1
    assert "Did you mean 'first'?" in answer.stderr


def test_trials_and_status_import_no_engine_and_answer_soon(workspace):
    program = (
        "import sys, time\n"
        "import numpy, pydantic, rich.console, scipy.special, typer\n"
        "libraries = time.process_time()\n"
        "from search.cli.main import main\n"
        "sys.argv = ['mammo-search', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'pandas', 'sklearn', 'matplotlib', 'optuna', 'cv2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert time.process_time() < 4 * libraries, (time.process_time(), libraries)\n"
    )
    for arguments in (["trials"], ["status"], ["status", "first", "--json"]):
        answer = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=workspace, capture_output=True, text=True, timeout=60
        )
        assert answer.returncode == 0, answer.stderr


@pytest.fixture
def tensorboard(workspace):
    """The command itself on a free port; its process, and the address that it printed."""
    with served(workspace, "first") as process_and_address:
        yield process_and_address


@contextlib.contextmanager
def served(workspace, *runs):
    process = subprocess.Popen(
        [*PROGRAM, "tensorboard", *runs, "--port", "0"],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_tensorboard_serves_the_run_on_loopback_until_ctrl_c(tensorboard, finished):
    process, address = tensorboard
    assert address.startswith("http://127.0.0.1:")
    records = finished[1].outcome.records
    runs = assert_shown(address, {trial_name(record) for record in records} | {"final"})
    assert len(runs) == len(records) + 1, "a run that is neither a trial nor the final model"
    # As the HParams page asks, without an order: the first is the winner, and whole numbers have no decimals.
    groups = session_groups(address)
    assert [group["name"].strip() for group in groups] == [trial_name(record) for record in best_first(records)]
    for group, record in zip(groups, best_first(records), strict=True):
        assert group["hparams"]["unfreeze_depth"].strip() == str(record.hyperparameters["unfreeze_depth"])
        assert group["hparams"]["learning_rate"] == record.hyperparameters["learning_rate"]
    with urllib.request.urlopen(f"{address}data/plugins_listing", timeout=30) as answer:
        pages = {name for name, plugin in json.load(answer).items() if plugin["enabled"]}
    assert pages == {"timeseries", "scalars", "images", "text", "hparams"}
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    said = process.stderr.read().splitlines()
    assert all(line.startswith("mammo-search: ") for line in said), said
    assert f"mammo-search: the trials as a table, best first: {address}#hparams" in said


def test_tensorboard_shows_several_runs_beside_each_other(workspace, finished, tmp_path):
    for name in ("first", "second"):
        shutil.copytree(workspace / "runs/first", tmp_path / "runs" / name)
    trials = [trial_name(record) for record in best_first(finished[1].outcome.records)]
    with served(tmp_path, "first", "second") as (process, address):
        assert_shown(address, {f"{run}/{trial}" for run in ("first", "second") for trial in (*trials, "final")})
        names = [group["name"].strip() for group in session_groups(address)]
        assert names == [f"{run}/{trial}" for trial in trials for run in ("first", "second")]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    answer = ask(tmp_path, "tensorboard", "first", "runs/first")
    assert answer.returncode == 2
    assert "runs of different names" in answer.stderr


@pytest.mark.slow
def test_tensorboard_follows_a_search_that_goes_on(workspace, finished, tmp_path):
    shutil.copytree(workspace / "runs/first", tmp_path / "runs" / "first")
    directory, records = RunDirectory(tmp_path / "runs" / "first"), finished[1].outcome.records
    lines = directory.trials_file.read_bytes().splitlines(keepends=True)
    directory.write_manifest(directory.read_manifest().model_copy(update={"status": "running", "finished": None}))
    directory.trials_file.write_bytes(b"".join(lines[:-1]))
    with served(tmp_path, "first") as (_, address):
        assert_shown(address, {trial_name(record) for record in records[:-1]})
        directory.trials_file.write_bytes(b"".join(lines))
        assert_shown(address, {trial_name(records[-1])})


def trial_name(record):
    return f"trial {record.trial:02d}"


def assert_shown(address, expected):
    """Its runs by their names up to the hyperparameters; TensorBoard reads events in the background."""
    runs: set[str] = set()
    end = time.monotonic() + 60
    while not expected <= runs and time.monotonic() < end:
        with urllib.request.urlopen(f"{address}data/runs", timeout=30) as answer:
            runs = {run.split(",")[0] for run in json.load(answer)}
    assert expected <= runs
    return runs


def session_groups(address):
    body = json.dumps(
        {
            "experimentName": "",
            "colParams": [],
            "sliceSize": 100,
            "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE"],
        }
    )
    request = urllib.request.Request(
        f"{address}data/plugin/hparams/session_groups", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["sessionGroups"]


def test_tensorboard_refuses_a_port_in_use(tensorboard, workspace):
    _, address = tensorboard
    port = address.rstrip("/").rpartition(":")[2]
    answer = ask(workspace, "tensorboard", "--port", port)
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "--port" in answer.stderr
