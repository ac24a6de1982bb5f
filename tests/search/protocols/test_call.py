"""`search.run`: the same run as the command's, and its result whenever it is called."""

from __future__ import annotations

import inspect

import pytest

import search
from mammo_data import write_phantom
from search.cli.main import app
from search.cli.run import run as command
from search.cli.settings import resolve_settings
from search.config.reading import resolve
from search.config.writing import to_toml
from search.errors import ConfigError, RunError
from search.protocols.call import _as_typed

NOT_OF_A_CALL = {"context", "assignments", "resume", "dry_run", "quiet", "verbose", "json"}


@pytest.fixture
def asked(finished, tmp_path):
    """Keywords that ask for the finished run."""
    file = tmp_path / "same.toml"
    file.write_text(to_toml(finished[0]))
    return {"config": file, "name": "first"}


def test_the_keywords_are_the_flags():
    flags = inspect.signature(command).parameters.keys() - NOT_OF_A_CALL
    assert inspect.signature(search.run).parameters.keys() - {"set", "detail"} == flags


def test_a_complete_run_gives_what_it_has_found(asked, finished, capsys):
    log = finished[1].directory.log_file.read_bytes()
    again = search.run(**asked)
    assert again == finished[1]
    assert (again.directory.log_file.read_bytes(), capsys.readouterr().err) == (log, "")
    assert repr(again) == again.as_text()
    assert again.hyperparameters == again.as_json()["configuration"]


def test_it_gives_it_with_libraries_that_have_been_upgraded(asked, finished, tmp_path):
    import shutil

    shutil.copytree(finished[1].directory.path, tmp_path / "runs" / "first")
    there = search.find_run("first", tmp_path / "runs")
    there.update_manifest(versions=there.read_manifest().versions | {"tensorflow": "2.19.0"})
    assert search.run(**asked, set={"output.runs": str(tmp_path / "runs")}).metrics == finished[1].metrics


def test_a_complete_run_of_something_else_is_refused(asked, tmp_path):
    with pytest.raises(RunError, match=r"changes: search\.seed 1 → 2, plan .*--fresh, or choose another --name"):
        search.run(**asked, seed=2)
    other = write_phantom(tmp_path / "other", patients=31, seed=2, image_size=128)
    with pytest.raises(RunError, match="changes: split "):
        search.run(**asked, data=other)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"max_trials": 0}, "max_trials: search.max_trials: expected at least 1; found 0"),
        ({"set": {"max_trials": 3}}, "set: max_trials: unknown key; it belongs to [search]"),
        ({"set": {"space.droput.max": 0.5}}, "set: space.droput: unknown key; did you mean 'dropout'?"),
        ({"seed": 1, "set": {"search.seed": 2}}, "Expected one value for search.seed; found seed and set search.seed."),
        ({"demo": True, "data": "films"}, "Expected demo or data; found both. Leave one out: demo draws its films."),
        ({"device": "tpu"}, "Expected --device auto, cpu, gpu or gpu:0,2; found tpu."),
    ],
)
def test_a_mistake_is_a_config_error_of_one_line(given, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        search.run(**given)
    assert str(error.value).startswith(line)
    assert error.value._render_traceback_() == [f"ConfigError: {error.value}"]
    assert not list(tmp_path.iterdir())


def test_what_a_run_records_is_a_command_that_asks_for_the_same(tmp_path, monkeypatch):
    import typer

    monkeypatch.chdir(tmp_path)
    given = dict.fromkeys(inspect.signature(search.run).parameters)
    given |= {"data": tmp_path / "my films", "seed": 0, "weights": "auto", "device": "auto", "embed_images": True}
    assignments = {"space.dropout": {"max": 0.5}, "space.head_width": (8, 16), "search.max_minutes": None}
    config = resolve(given, assignments)
    first, *words = _as_typed(given, assignments, config)
    context = typer.main.get_command(app).commands[first].make_context(first, list(words))
    assert resolve_settings(context.params) == config
    assert words[:2] == ["--data", str(tmp_path / "my films")]
    assert "--weights" in words
    assert "--device" not in words


def test_another_device_than_tensorflow_s_is_refused(asked, tmp_path, monkeypatch, tensorflow_started):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho '0, Card, 16000'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ConfigError, match="device cpu before anything loads TensorFlow; found TensorFlow loaded"):
        search.run(**asked | {"name": "new", "device": "cpu"})
