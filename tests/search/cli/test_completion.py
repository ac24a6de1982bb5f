"""What the Tab key offers, in the protocols of the shells."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPT = """
import sys
sys.argv = ["mammo-search"]
from search.cli.main import main
try:
    main()
finally:
    heavy = {"tensorflow", "keras", "keras_tuner", "pandas", "sklearn", "cv2", "matplotlib", "numpy"} & set(sys.modules)
    assert not heavy, heavy
"""


@pytest.fixture
def workspace(tmp_path):
    for name in ("alpha", "beta", "beta-2"):
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    (tmp_path / "tuner_config.toml").write_text('[output]\nruns = "results"\n')
    return tmp_path


def offered(workspace, shell, words):
    """The answer to a Tab behind the last of the words."""
    variables = {
        "bash": {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": " ".join(words)},
        "fish": {"_TYPER_COMPLETE_ARGS": " ".join(words), "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "_MAMMO_SEARCH_COMPLETE": f"complete_{shell}", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "AssertionError" not in answer.stderr, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("shell", ["bash", *(pytest.param(shell, marks=pytest.mark.slow) for shell in ("zsh", "fish"))])
def test_names_of_runs_are_offered(workspace, shell):
    answer = offered(workspace, shell, ["mammo-search", "run", "--name", "be"])
    assert "beta-2" in answer
    assert "alpha" not in answer


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "trials", "tensorboard", "export", "evaluate", "predict", "report"])
def test_a_command_on_a_run_offers_the_names(workspace, command):
    assert set(offered(workspace, "bash", ["mammo-search", command, ""]).split()) == {"alpha", "beta", "beta-2"}


def test_paths_of_settings_are_offered(workspace):
    answer = offered(workspace, "bash", ["mammo-search", "run", "--set", "space.dropout.m"])
    assert answer.split() == ["space.dropout.min=", "space.dropout.max="]


def test_a_broken_configuration_file_offers_nothing_and_says_nothing(workspace):
    (workspace / "tuner_config.toml").write_text("[output")
    assert not offered(workspace, "bash", ["mammo-search", "init", "--from", ""]).strip()


@pytest.mark.slow
def test_a_command_offers_its_flags(workspace):
    assert "--max-trials" in offered(workspace, "bash", ["mammo-search", "run", "--max-"])
