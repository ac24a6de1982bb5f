"""The command line as a user meets it: a real process, its exit code, and what reaches the terminal."""

import json
import re
import subprocess
import sys

import pytest

from search.config.writing import to_toml
from tests.support.command_line import run
from tests.support.json_answers import assert_described
from tests.support.tiny import tiny_config


def test_help_and_version_start_without_the_heavy_libraries(workspace):
    script = (
        "import sys; sys.argv = ['mammo-search', '--help']\n"
        "from search.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'pandas', 'sklearn', 'cv2', 'matplotlib', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=workspace, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert "run" in answer.stdout
    assert run("--version", cwd=workspace).stdout.startswith("mammo-search 0.")


def test_a_run_shows_its_progress_on_stderr_and_its_answer_on_stdout_without_library_noise(workspace, phantom):
    (workspace / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, workspace)))
    answer = run("run", "--name", "cli", "--json", cwd=workspace)
    assert answer.returncode == 0, answer.stderr
    result = json.loads(answer.stdout)
    assert_described("run", result)
    assert (workspace / "runs" / "cli" / "best" / "report.html").is_file()
    assert_described("data audit", json.loads((workspace / "runs" / "cli" / "best" / "audit.json").read_text()))
    assert result["metrics"]["n"] > 0
    lines = answer.stderr.splitlines()
    assert sum(bool(re.match(r"trial +\d+ +\d+/6 ", line)) for line in lines) == 6
    assert not [line for line in lines if any(word in line for word in ("0000 ", "absl", "cuda", "WARNING", "Warning"))]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 3, ["data/images", "data fetch", "--demo"]),
        (["run", "--data", "nowhere.tar.gz"], 3, ["nowhere.tar.gz", "--demo"]),
        (["run", "--config", "none.toml"], 2, ["none.toml"]),
        (["run", "--max-trials", "0"], 2, ["--max-trials", "search.max_trials", "at least 1"]),
        (["run", "--demo", "--name", "../up"], 2, ["--name"]),
        (["run", "--no-such-flag"], 2, ["--no-such-flag"]),
    ],
)
def test_a_mistake_is_named_with_what_to_do_and_its_exit_code(workspace, arguments, code, words):
    answer = run(*arguments, cwd=workspace)
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in answer.stderr
    if arguments != ["run", "--no-such-flag"]:
        assert len(answer.stderr.strip().splitlines()) == 1
    assert not (workspace / "runs").exists()


def test_missing_weights_are_one_line_and_leave_nothing(workspace, phantom):
    answer = run("run", "--data", str(phantom), "--weights", "no/such.npz", "--name", "x", cwd=workspace)
    assert answer.returncode == 3, answer.stderr
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("mammo-search: ")]
    assert "no/such.npz" in line
    assert "--demo" in line
    assert not (workspace / "runs").exists()


def test_the_plan_is_shown_without_starting_anything(workspace):
    answer = run("run", "--dry-run", "--max-trials", "40", "--json", cwd=workspace)
    plan = json.loads(answer.stdout)
    assert_described("run --dry-run", plan)
    assert (plan["trials"], plan["configurations"], plan["epochs"], plan["full_budget_trials"]) == (38, 28, 420, 10)
    assert not list(workspace.iterdir())
