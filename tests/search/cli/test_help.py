"""The help of every command fits a screen and shows how the command is typed."""

import re
import shlex
import subprocess
import sys

import pytest
import typer.main

from search.cli.main import app
from tests.conftest import ROOT
from tests.support.command_line import typed
from tests.support.json_answers import described_answers
from tests.support.readmes import READMES, named_commands, shown_commands

# The commands that have a setting for everything.
LONG = {("run",): 38}


def commands(group=None, path=()):
    group = group or typer.main.get_command(app)
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield (*path, name), True
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), False


@pytest.mark.parametrize(("path", "is_group"), list(commands()), ids=lambda value: str(value))
def test_every_help_fits_a_screen_and_has_an_example(path, is_group, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    answer = typed(capsys, *path, "--help")
    assert answer.code == 0
    lines = [line.rstrip() for line in answer.out.strip().splitlines()]
    assert max(map(len, lines)) <= 80
    # Rich takes what stands in square brackets for its markup, typer a flag for something that takes a <bool>.
    assert not re.search(r"\w \.(?!\w)|\w  in ", answer.out), "something is missing"
    assert "<bool>" not in answer.out
    assert len(lines) <= LONG.get(path, 24), answer.out
    if is_group:
        return
    found = re.search(r"Example: mammo-search ([a-z ]+)", " ".join(answer.out.split()))
    assert found, answer.out
    assert tuple(found[1].split())[: len(path)] == path


def test_the_first_help_names_the_first_command(capsys):
    answer = typed(capsys, "--help")
    assert "mammo-search run --demo" in answer.out
    assert len(answer.out.strip().splitlines()) <= 28


def test_each_command_is_one_line_in_the_list(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for group in ((), ("data",), ("weights",)):
        listed = typed(capsys, *group, "--help").out.partition("─ Commands")[2]
        names = [path[-1] for path, _ in commands() if path[:-1] == group]
        rows = [line for line in listed.splitlines()[1:] if line.startswith("│")]
        assert [row.split()[1] for row in rows] == names


HELP = """
import contextlib, io, sys
from search.cli.main import main
for path in eval(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main([*path, "--help"])
    assert "Usage: mammo-search" in said.getvalue(), path
print(*sys.modules)
"""


def test_no_help_loads_what_only_the_work_needs():
    paths = [(), *(path for path, _ in commands())]
    answer = subprocess.run(
        [sys.executable, "-c", HELP, repr(paths)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"tensorflow", "keras", "keras_tuner", "pandas", "sklearn", "cv2", "numpy", "matplotlib", "scipy"}
    assert not heavy & set(answer.stdout.split())


def test_brackets_in_a_help_text_are_shown(capsys):
    assert "float32 [n, size, size, 1] in 0 … 255" in " ".join(typed(capsys, "export", "--help").out.split())


def parsed(line, *, may_be_a_name=False):
    """Parse a command line without doing what it says; gives its path."""
    command, words, path = typer.main.get_command(app), shlex.split(line, comments=True)[1:], ()
    while hasattr(command, "commands"):
        path += (words[0],)
        command, words = command.commands[words[0]], words[1:]
    if words or not may_be_a_name:
        command.make_context(" ".join(path), words)
    return path


def test_every_command_that_a_readme_shows_can_be_typed():
    shown = {parsed(line) for readme in READMES for line in shown_commands(readme)}
    shown |= {parsed(line, may_be_a_name=True) for readme in READMES for line in named_commands(readme)}
    assert {("run",), ("status",), ("export",), ("predict",), ("data", "fetch"), ("weights", "fetch")} <= shown


@pytest.mark.parametrize("path", [path for path, is_group in commands() if not is_group], ids=" ".join)
def test_every_example_can_be_typed(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = typed(capsys, *path, "--help").out
    (example,) = re.findall(r"Example: (mammo-search [^│╭]+?)\s*(?:\n\s*\n|$)", text)
    assert parsed(example) == path


def test_every_command_that_reads_offers_json(capsys):
    without_answer = {("init",), ("tensorboard",), ("data", "preview"), ("data", "phantom")}
    answering = [path for path, is_group in commands() if not is_group and path not in without_answer]
    for path in answering:
        assert "--json" in typed(capsys, *path, "--help").out, path
    assert {" ".join(path) for path in answering} | {"run --dry-run", "status RUN"} == set(described_answers())
