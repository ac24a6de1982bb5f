"""The help of every command fits a screen and shows how the command is typed."""

import re

import pytest
import typer.main

from search.cli import app
from tests.search.command_line import typed

# The commands that have a setting for everything.
LONG = {("run",): 40, ("data", "audit"): 28}


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
    # Rich takes what stands in square brackets for its markup.
    assert not re.search(r"\w \.(?!\w)", answer.out), "something is missing before a full stop"
    assert len(lines) <= LONG.get(path, 24), answer.out
    if is_group:
        return
    found = re.search(r"Example: mammo-search ([a-z ]+)", " ".join(answer.out.split()))
    assert found, answer.out
    assert tuple(found[1].split())[: len(path)] == path


def test_the_first_help_names_the_first_command(capsys):
    assert "mammo-search run --demo" in typed(capsys, "--help").out


def test_every_command_that_reads_offers_json(capsys):
    without_answer = {("init",), ("tensorboard",), ("data", "preview"), ("data", "phantom")}
    for path, is_group in commands():
        if not is_group and path not in without_answer:
            assert "--json" in typed(capsys, *path, "--help").out, path
