"""Commands that the program shows are typed as they stand."""

import shlex
import shutil

import pytest

from search.cli.run import next_commands
from search.run_folder.directory import RunDirectory
from search.run_folder.interruption import command_to_resume
from search.text import UV_RUN
from tests.search.cli.test_help import parsed
from tests.support.command_line import typed


def test_what_resumes_is_the_same_command_but_replaces_nothing():
    shown = command_to_resume(["run", "--data", "my films", "--fresh"])
    assert shlex.split(shown) == ["mammo-search", "run", "--data", "my films"]


@pytest.mark.parametrize("started", ["", "uv run "])
def test_commands_begin_as_the_program_was_started(tmp_path, monkeypatch, started):
    if started:
        monkeypatch.setenv(UV_RUN, "1")
    assert command_to_resume(["run"]) == f"{started}mammo-search run"
    shown = next_commands(RunDirectory(tmp_path / "runs" / "demo"), width=100).splitlines()
    commands = [line.split("   ")[0].strip() for line in shown[shown.index("next:") + 1 :]]
    assert len(commands) == 3
    assert all(command.startswith(f"{started}mammo-search ") for command in commands)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_commands_after_a_run_can_be_typed_and_are_never_broken(finished, tmp_path, monkeypatch, capsys, width):
    directory = finished[1].directory
    monkeypatch.chdir(tmp_path)
    shutil.copytree(directory.path, tmp_path / "runs" / "first of all")
    shown = next_commands(RunDirectory(tmp_path / "runs" / "first of all"), width=width).splitlines()
    commands = [line.strip().partition("   ")[0] for line in shown[shown.index("next:") + 1 :]]
    assert [parsed(command) for command in commands] == [("trials",), ("tensorboard",), ("predict",)]
    assert typed(capsys, *shlex.split(commands[0])[1:]).code == 0
