"""Naming a run: by name, by path, by nothing; and what a wrong name is answered with."""

import os

import pytest

from search.errors import ConfigError, RunError
from search.run_folder.lookup import all_runs, find_run


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Three runs; "old" was worked on last, though "late" began after it."""
    for age, name in enumerate(("old", "late", "demo-2")):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        for file in ("run.json", "trials.jsonl"):
            (folder / file).write_text("{}")
            os.utime(folder / file, (1e9 - age, 1e9 - age))
    (tmp_path / "runs" / "no-run").mkdir()
    (tmp_path / "runs" / "holdout_ledger.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_found_by_name_by_path_and_by_its_manifest(workspace):
    place = workspace / "runs" / "late"
    for text in ("late", "runs/late", str(place), "runs/late/run.json", f"{place}/"):
        assert find_run(text).path.resolve() == place


def test_without_a_name_it_is_the_run_last_worked_on(workspace):
    assert find_run().name == "old"
    os.utime(workspace / "runs" / "demo-2" / "trials.jsonl", (2e9, 2e9))
    assert find_run().name == "demo-2"
    assert [run.name for run in all_runs()] == ["demo-2", "old", "late"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("demo2", "Did you mean 'demo-2'?"), ("zzz", "There are old, late, demo-2."), ("no-run", "There are")],
)
def test_a_wrong_name_is_answered_with_the_nearest_or_all(workspace, name, words):
    with pytest.raises(RunError) as error:
        find_run(name)
    assert words in str(error.value)
    assert name in str(error.value)


def test_without_any_run_the_line_says_how_to_begin_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (None, "x"):
        with pytest.raises(RunError, match="mammo-search run --demo"):
            find_run(name)


def test_the_folder_of_runs_is_the_configurations_and_nothing_else_of_the_file_matters(workspace):
    (workspace / "runs").rename(workspace / "elsewhere")
    config = workspace / "tuner_config.toml"
    config.write_text('[search]\nno_such_key = 1\n[output]\nruns = "elsewhere"\n')
    assert find_run("late").path.resolve() == workspace / "elsewhere" / "late"
    config.write_text("[output]\nruns = 3\n")
    with pytest.raises(ConfigError, match=r"output\.runs"):
        find_run("late")
    config.write_text("[output\n")
    with pytest.raises(ConfigError, match="TOML"):
        find_run("late")
