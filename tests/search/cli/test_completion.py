"""What the Tab key offers, in the protocols of the shells."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.support.readmes import examples
from tests.support.terminal import Terminal

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


PROGRAM = f'#!/bin/sh\nexec "{sys.executable}" -m search "$@"\n'


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


WORDS = [
    ("run --mode", {"whole", "roi"}),
    ("run --protocol", {"holdout", "nested"}),
    ("run --device", {"auto", "cpu", "gpu"}),
    ("run --backbone", {"bit-m-r50x1", "bit-s-r50x1", "bit-m-r101x1", "bit-s-r101x1", "bit-small"}),
    ("run --weights", {"auto", "tf-hub", "kaggle", "npz", "timm", "random"}),
    ("weights fetch", {"auto", "tf-hub", "kaggle", "npz", "timm"}),
    ("predict alpha --format", {"table", "csv", "jsonl"}),
]


def test_words_that_an_option_takes_are_offered(capsys, monkeypatch):
    """In this process: what the shells make of it is asked above."""
    from search.cli.completion import complete_setting
    from search.cli.main import app

    monkeypatch.setenv("_MAMMO_SEARCH_COMPLETE", "complete_bash")
    for line, words in WORDS:
        typed_words = ["mammo-search", *line.split(), ""]
        monkeypatch.setenv("COMP_WORDS", "\n".join(typed_words))
        monkeypatch.setenv("COMP_CWORD", str(len(typed_words) - 1))
        with pytest.raises(SystemExit):
            app([], prog_name="mammo-search")
        assert set(capsys.readouterr().out.split()) == words, line
    assert complete_setting("search.optimizer=a") == ["search.optimizer=adam", "search.optimizer=adamw"]
    assert complete_setting("preparation.clahe=") == ["preparation.clahe=true", "preparation.clahe=false"]
    assert complete_setting("search.nobody=") == complete_setting("search.factor=") == []


def test_outer_searches_are_offered_once_their_run_is_meant(workspace, monkeypatch):
    from search.cli.completion import complete_name, complete_run

    for fold in ("outer-1", "outer-2"):
        (workspace / "results" / "alpha" / fold).mkdir()
        (workspace / "results" / "alpha" / fold / "run.json").write_text("{}")
    monkeypatch.chdir(workspace)
    outer = ["alpha/outer-1", "alpha/outer-2"]
    assert set(complete_run("")) == {"alpha", "beta", "beta-2"}
    assert complete_run("al") == complete_run("alpha") == ["alpha", *outer]
    assert complete_run("alpha/") == outer
    assert complete_name("al") == ["alpha"]


def test_bash_completes_behind_uv_run_as_the_readme_says(workspace, tmp_path):
    (block,) = examples(ROOT / "search" / "cli" / "README.md", "bash")
    stub = tmp_path / "bin" / "uv"
    stub.parent.mkdir()
    stub.write_text(PROGRAM.replace("exec", "shift 2\nexec"))
    stub.chmod(0o755)
    script = block + "COMP_WORDS=(uv run mammo-search status be); COMP_CWORD=4\n"
    script += '_uv_run_mammo_search uv be status; printf "%s\\n" "${COMPREPLY[@]}"\n'
    answer = subprocess.run(
        ["bash", "-c", script],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{stub.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert set(answer.stdout.split()) == {"beta", "beta-2"}, answer.stderr


def test_a_real_bash_completes_settings_and_words_behind_an_equals_sign(workspace, tmp_path):
    """It breaks words at "=" and replaces the last part alone."""
    program = tmp_path / "bin" / "mammo-search"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    environment = {"PYTHONPATH": str(ROOT), "PATH": f"{program.parent}:{os.environ['PATH']}", "PS1": "> "}
    bash = Terminal(["bash", "--norc"], columns=100, rows=24, cwd=workspace, environment=environment)
    bash.type('eval "$(_MAMMO_SEARCH_COMPLETE=source_bash mammo-search)"; echo there\n')
    bash.wait_until(lambda text: "\nthere" in text)
    for typed, completed in (
        ("run --set search.opt", "search.optimizer="),
        ("run --set search.optimizer=ada", "search.optimizer=adam"),
        ("run --set preparation.clahe=t", "preparation.clahe=true "),
        ("run --mode=r", "--mode=roi "),
        ("status alp", "status alpha "),
    ):
        bash.type(f"mammo-search {typed}\t|")
        bash.wait_until(lambda text, completed=completed: f"{completed}|" in text)
        bash.type("\x15")  # Ctrl-U: an empty line
    bash.end()


def test_a_broken_configuration_file_offers_nothing_and_says_nothing(workspace):
    (workspace / "tuner_config.toml").write_text("[output")
    assert not offered(workspace, "bash", ["mammo-search", "init", "--from", ""]).strip()


@pytest.mark.slow
def test_a_command_offers_its_flags(workspace):
    assert "--max-trials" in offered(workspace, "bash", ["mammo-search", "run", "--max-"])
