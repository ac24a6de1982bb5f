"""The whole job, killed by SIGKILL in the place of each of its writes, and again and again at random instants."""

import io
import itertools
import shutil
import time
import zipfile
from dataclasses import replace

import h5py
import numpy as np
import pytest

from search.config.writing import to_toml
from search.run_folder.directory import RunDirectory
from search.run_folder.trial_log import read_records
from tests.support.tiny import tiny_config

LEDGER = "holdout_ledger"
ONE_DEPTH = {"space__unfreeze_depth": [0], "retrain__seeds": 1}


def make_workspace(phantom, folder, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, folder, **changes)))
    return folder


@pytest.fixture(scope="module")
def workspace(phantom, tmp_path_factory):
    return make_workspace(phantom, tmp_path_factory.mktemp("kills"))


def table(directory):
    clocks = {"started": "", "seconds": 0, "overhead_seconds": 0}
    return [replace(record, **clocks) for record in read_records(directory.trials_file)]


def weights(directory):
    arrays = {}
    with zipfile.ZipFile(directory.model_file) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def assert_same(directory, expected, *, evaluated):
    assert table(directory) == table(expected)
    found, wanted = weights(directory), weights(expected)
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    if evaluated:
        assert (directory.best / "predictions.csv").read_bytes() == (expected.best / "predictions.csv").read_bytes()


def survive(server, workspace, name, number, expected, first_of_evaluation):
    """Kill at a write and type the command again."""
    killed = server.run(workspace, "run", "--name", name, kill_at=number)
    # Checkpoints are written by a thread: the order of writes, and with it their number, is not quite fixed.
    assert killed.code in (-9, 0), killed.messages
    directory = RunDirectory(workspace / "runs" / name)
    if killed.code == -9 and not directory.is_complete:
        # What is the same up to the exported model is evaluated in the same way: that part need not be done each time.
        stop = LEDGER if number < first_of_evaluation else ""
        again = server.run(workspace, "run", "--name", name, kill_in=stop)
        assert again.code == (-9 if stop else 0), again.messages
        assert "failed" not in again.messages
    assert_same(directory, expected, evaluated=directory.is_complete)
    assert not list(directory.path.rglob(".fold-*")), "leftovers of the killed process"
    where = killed.writes[-1]
    shutil.rmtree(directory.path)
    return where


def survive_all(server, workspace, expected, numbers, first_of_evaluation):
    began, places = time.monotonic(), []
    for number in numbers:
        place = survive(server, workspace, f"killed-{number}", number, expected, first_of_evaluation)
        places.append(place)
        print(f"{number}: {place}", flush=True)
    print(f"{len(places)} kills in {time.monotonic() - began:.0f} s")


def different_kills(writes):
    """Numbers of the writes in whose place a kill leaves the disk in another state than a kill in the place before."""
    return [number for number, pair in enumerate(itertools.pairwise(("", *writes)), start=1) if not repeats(*pair)]


def repeats(before, write):
    """A process that dies loses nothing of what it has written: dying where a file is renamed that was flushed just
    before is dying where it was flushed, and where its temporary name is removed, that is gone already."""
    what, _, path = write.partition(" ")
    return before == f"fsync {path}" if what in ("replace", "rename") else what == "unlink" and ".part" in path


def first_with(words, writes):
    return next(number for number, write in enumerate(writes, start=1) if words in write)


@pytest.mark.slow
def test_a_kill_in_each_kind_of_write_changes_nothing(server, workspace, finished):
    _, result = finished
    cold = server.run(workspace, "run", "--name", "cold", kill_in="/.bank-")
    assert cold.code == -9
    for kill_in in ("checkpoints/0001", "bit_mammography_final"):
        attempt = server.run(workspace, "run", "--name", "cold", kill_in=kill_in)
        assert attempt.code in (-9, 0), attempt.messages
    again = server.run(workspace, "run", "--name", "cold")
    assert again.code == 0, again.messages
    assert_same(RunDirectory(workspace / "runs" / "cold"), result.directory, evaluated=True)


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_a_kill_at_every_write_of_a_job_changes_nothing(server, phantom, tmp_path, half):
    workspace = make_workspace(phantom, tmp_path / "one-depth", **ONE_DEPTH)
    whole = server.run(workspace, "run", "--name", "whole")
    assert whole.code == 0, whole.messages
    warm = server.run(workspace, "run", "--name", "warm")
    # Shuffled, so that a part of them is of all kinds.
    numbers = np.random.default_rng(0).permutation(different_kills(warm.writes)).tolist()[half::2]
    print(f"half of {len(different_kills(warm.writes))} states of the disk, of {len(warm.writes)} writes")
    expected = RunDirectory(workspace / "runs" / "whole")
    survive_all(server, workspace, expected, numbers, first_with(LEDGER, warm.writes))


@pytest.mark.slow
def test_a_kill_at_every_write_of_the_caches_changes_nothing(server, phantom, tmp_path):
    workspace = make_workspace(phantom, tmp_path / "whole", **ONE_DEPTH)
    whole = server.run(workspace, "run", "--name", "whole")
    numbers = [number for number, write in enumerate(whole.writes, start=1) if "/cache/" in write]
    print(f"{len(numbers)} writes")
    for number in numbers:
        cold = make_workspace(phantom, tmp_path / str(number), **ONE_DEPTH)
        expected = RunDirectory(workspace / "runs" / "whole")
        survive_all(server, cold, expected, [number], first_with(LEDGER, whole.writes))


@pytest.mark.slow
def test_fifty_kills_at_random_instants_of_one_search(server, phantom, tmp_path):
    longer = {"search__max_trials": 23, "search__max_epochs": 9, "search__folds": 3}
    folder = make_workspace(phantom, tmp_path / "longer", **longer)
    whole = server.run(folder, "run", "--name", "whole")
    assert whole.code == 0, whole.messages
    directory, expected = (RunDirectory(folder / "runs" / name) for name in ("killed", "whole"))
    rng, kills, in_search, began = np.random.default_rng(0), 0, 0, time.monotonic()
    while kills < 50 and not directory.model_file.is_file():
        before = state(directory)
        # Some while it starts, most from the end of the first fold on that it trains.
        where = {"kill_at": int(rng.integers(1, 30))} if rng.random() < 0.3 else {"kill_in": "in_flight/"}
        # Soon after: where nothing else runs, a search would be over before its fiftieth kill.
        attempt = server.run(folder, "run", "--name", "killed", **where, kill_after=rng.uniform(0.001, 0.12))
        assert attempt.code < 0, attempt.messages
        kills += 1
        in_search += state(directory) != before
    print(f"{kills} kills, {in_search} after new folds, {state(directory)[0]} runs, {time.monotonic() - began:.0f} s")
    assert kills == 50, "the search was over before it was killed fifty times"
    last = server.run(folder, "run", "--name", "killed")
    assert last.code == 0, last.messages
    assert "failed" not in last.messages
    assert_same(directory, expected, evaluated=True)


def state(directory):
    """Finished runs, and finished folds of the one in progress."""
    runs = len(read_records(directory.trials_file)) if directory.trials_file.is_file() else 0
    return runs, len(list((directory.path / "in_flight").glob("*/fold-*.npz")))
