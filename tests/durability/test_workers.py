"""Whole runs with worker processes: the files of a run without, whatever is asked of them and whoever is killed."""

import json
import signal
import time
from pathlib import Path

import pytest

from search.job import Job
from search.protocols.run import run_job
from search.run_folder.directory import RunDirectory
from tests.durability.test_killed_runs import assert_same_result, lines, start, wait_for
from tests.support.tiny import tiny_config

OUTPUTS = (
    *("split.csv", "best/bit_mammography_final.keras", "best/predictions.csv", "best/predictions_corrected.csv"),
    *("best/predictions_linear-probe.csv", "best/predictions_fixed-configuration.csv"),
)


def descendants(process_id):
    """Numbers of a process and of all that it has started."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(after_name[1])
    found = {process_id}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening(process_id):
    """Inodes of the TCP sockets that a process listens on."""
    folder = Path(f"/proc/{process_id}")
    waits = {
        line.split()[9]
        for table in ("tcp", "tcp6")
        for line in (folder / "net" / table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    held = {str(each.readlink()) for each in (folder / "fd").iterdir() if each.is_symlink()}
    return {inode for inode in waits if f"socket:[{inode}]" in held}


def assert_same_files(directory, expected):
    assert_same_result(directory, expected)
    for name in OUTPUTS:
        if (expected.path / name).exists():
            assert (directory.path / name).read_bytes() == (expected.path / name).read_bytes(), name
    one, other = (json.loads((each.best / "metrics.json").read_text()) for each in (directory, expected))
    for clocked in ("nested_seconds", "holdout_readings", "other_splits"):
        one.pop(clocked, None), other.pop(clocked, None)
    assert one == other


@pytest.mark.slow
def test_a_run_with_two_workers_is_the_run_without(phantom, finished, tmp_path, tensorflow_started):
    config = tiny_config(phantom, tmp_path)
    result = run_job(Job(config, name="first", workers=2))
    assert_same_files(result.directory, finished[1].directory)
    logs = sorted(each.name for each in result.directory.worker_logs.iterdir())
    assert logs == ["worker-1.log", "worker-2.log"]


@pytest.mark.slow
@pytest.mark.parametrize("depths", [[0, 1, 2, 3]])
def test_every_depth_and_the_nested_protocol_too(phantom, tmp_path, tensorflow_started, depths):
    changes = {"space__unfreeze_depth": depths, "search__max_trials": 6, "search__max_epochs": 2, "retrain__seeds": 1}
    nested = {"split__protocol": "nested", "split__outer_folds": 2, "split__folds": 2}
    results = {}
    for workers in (1, 2):
        config = tiny_config(phantom, tmp_path / str(workers), **changes, **nested)
        results[workers] = run_job(Job(config, name="first", workers=workers)).directory
    assert_same_files(results[2], results[1])
    for fold in range(2):
        assert_same_files(results[2].outer(fold), results[1].outer(fold))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_ends_takes_its_workers_with_it_and_the_command_goes_on(phantom, finished, tmp_path, how):
    from search.config.writing import to_toml

    (tmp_path / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, tmp_path)))
    directory = RunDirectory(tmp_path / "runs" / "killed")
    process = start(tmp_path, "--workers", "2")
    assert wait_for(process, lambda: lines(directory.trials_file) >= 2)
    family = descendants(process.pid)
    assert len(family) >= 3, "the driver and two workers"
    assert not any(listening(each) for each in family), "no port is open"
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "The same command goes on: mammo-search run --name killed --workers 2" in said
    assert wait_for_all(family)
    again = start(tmp_path, "--workers", "2")
    assert again.wait(300) == 0
    again.communicate()
    assert_same_result(directory, finished[1].directory)


def wait_for_all(family):
    """Whether all of them have ended within some seconds."""
    end = time.monotonic() + 15
    while any(Path(f"/proc/{each}").exists() for each in family):
        assert time.monotonic() < end, "one lives on"
        time.sleep(0.1)
    return True
