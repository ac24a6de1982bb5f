"""A split that is given is used as it stands, by every command that takes one; none is drawn then."""

import shutil

import pytest

from mammo_data.splits import Split, patient_split
from search.errors import RunError
from tests.support.command_line import typed
from tests.support.tiny import tiny_config


@pytest.fixture(scope="module")
def films(phantom, tmp_path_factory):
    from mammo_data.preparation.prepared import PreparationSettings, prepare
    from mammo_data.sources.open import open_source

    return prepare(open_source(phantom), PreparationSettings(image_size=32), tmp_path_factory.mktemp("films"))


@pytest.fixture
def given(films, tmp_path):
    """Files of splits that no configuration here would draw."""
    for name, settings in {"split": {"folds": 3}, "outer_split": {"folds": 5, "test_fraction": 0}}.items():
        patient_split(films.table, seed=9, **settings).write_csv(tmp_path / f"{name}.csv", films.table)
    return tmp_path


def test_the_split_of_a_file_takes_the_place_of_a_drawn_one(films, given, phantom):
    from search.cohort import holdout_split
    from search.protocols.nested.split import outer_split

    for take, name, protocol in ((holdout_split, "split", "holdout"), (outer_split, "outer_split", "nested")):
        file = given / f"{name}.csv"
        drawn = take(tiny_config(phantom, given, split__protocol=protocol), films.table)
        found = take(tiny_config(phantom, given, split__protocol=protocol, split__file=file), films.table)
        assert found.fingerprint == Split.read_csv(file).fingerprint
        assert found.fingerprint != drawn.fingerprint
        again = tiny_config(phantom, given, split__protocol=protocol, split__file=file, split__seed=4)
        assert take(again, films.table).fingerprint == found.fingerprint


def test_run_searches_with_the_split_that_it_is_given(given, phantom, capsys, monkeypatch, tensorflow_started):
    """Up to where the search would begin: split.csv and the manifest of the run say who is held out."""
    from search.run_folder.directory import RunDirectory

    def searched(job, backbone, cohort, progress):
        raise RunError(expected="no search", found=cohort.split.fingerprint, remedy="Stop.")

    monkeypatch.setattr("search.protocols.holdout.own_banks", searched)
    small = ("--backbone", "bit-small", "--weights", "random", "--image-size", 48, "--name", "given")
    places = ("--set", f"output.runs={given / 'runs'}", "--set", f"output.cache={given / 'cache'}")
    exact = ("--set", "search.precision=float32", "--set", "split.folds=3", "--folds", 2)
    answer = typed(capsys, "run", "--data", phantom, "--split", given / "split.csv", *small, *places, *exact)
    wanted = Split.read_csv(given / "split.csv").fingerprint
    assert wanted in answer.err
    run = RunDirectory(given / "runs" / "given")
    assert Split.read_csv(run.split_file).fingerprint == wanted
    assert run.read_manifest().fingerprints["split"] == wanted


@pytest.mark.parametrize("command", [("run", "--weights", "random", "--max-trials", 1), ("data", "audit")])
def test_a_split_of_other_patients_is_refused_by_each_command(given, phantom, capsys, command, tensorflow_started):
    lines = (given / "split.csv").read_text().splitlines()
    partial = given / "partial.csv"
    partial.write_text("\n".join(lines[:-4]) + "\n")
    places = ("--set", f"output.cache={given / 'cache'}")
    if command[0] == "run":
        places += ("--set", f"output.runs={given / 'runs'}", "--set", "search.precision=float32")
        places += ("--backbone", "bit-small")
    answer = typed(capsys, *command, "--data", phantom, "--image-size", 48, *places, "--split", partial)
    assert answer.code == 2
    assert f"Expected {partial} to list the patients of the data" in " ".join(answer.err.split())
    shutil.rmtree(given / "cache", ignore_errors=True)
