"""A run on a Ray cluster of four nodes, two of which are killed and then the driver: the files of a run without.

Every wait has a bound; nothing may hang beyond it.
"""

import importlib.util
import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from search.config.writing import to_toml
from search.run_folder.directory import RunDirectory
from tests.durability.test_killed_runs import lines, start, table, wait_for
from tests.durability.test_workers import OUTPUTS
from tests.search.tuner.test_ray import token  # noqa: F401  # a fixture
from tests.support.tiny import tiny_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here (mammo-search[cluster])"),
]
REPETITIONS = 10
RUN_SECONDS, ORPHAN_SECONDS = 300, 60
PLAN = {"search__max_trials": 40, "search__max_epochs": 9, "retrain__seeds": 1}


@pytest.fixture(scope="module")
def whole(phantom, tmp_path_factory):
    """The run in one process."""
    workspace = tmp_path_factory.mktemp("whole")
    (workspace / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, workspace, **PLAN)))
    process = start(workspace)
    said = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 0, said
    return RunDirectory(workspace / "runs" / "killed")


@pytest.fixture(scope="module")
def cluster(token):  # noqa: F811
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    started.those = []
    yield started
    started.shutdown()


def worker_processes():
    """Numbers of the processes in which workers train."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if b"search.machine.child" in words:
            found.add(int(entry.parent.name))
    return found


def wait_until(happened, seconds, what):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@pytest.mark.parametrize("repetition", range(REPETITIONS))
def test_two_nodes_and_the_driver_killed_leave_the_files_of_one_process(
    phantom, whole, cluster, tmp_path, repetition, request
):
    while len(cluster.those) < 4:
        cluster.those.append(cluster.add_node(num_cpus=1))
    cluster.wait_for_nodes()
    before = worker_processes()
    (tmp_path / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, tmp_path, **PLAN)))
    directory = RunDirectory(tmp_path / "runs" / "killed")
    process = start(tmp_path, "--ray-address", cluster.address, "--workers", "4")
    request.addfinalizer(process.kill)  # a test that fails leaves no run to the next
    first, second, driver = moments = sorted(random.Random(repetition).sample(range(36), 3))

    def wait_for_trials(number):
        assert wait_for(process, lambda: lines(directory.trials_file) >= number, RUN_SECONDS), process.communicate()

    for moment in (first, second):
        wait_for_trials(moment)
        cluster.remove_node(cluster.those.pop(), allow_graceful=False)
    wait_for_trials(driver)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: worker_processes() <= before, ORPHAN_SECONDS, "the workers of a driver that was killed end")

    again = start(tmp_path, "--ray-address", cluster.address, "--workers", "2")
    try:
        said = again.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        again.kill()
        pytest.fail(f"hangs, with {lines(directory.trials_file)} trials: {again.communicate()[1][-2000:]}")
    assert again.returncode == 0, said
    assert table(directory) == table(whole), moments
    for name in OUTPUTS:
        if (whole.path / name).exists():
            assert (directory.path / name).read_bytes() == (whole.path / name).read_bytes(), (name, moments)
    one, other = (json.loads((each.best / "metrics.json").read_text()) for each in (directory, whole))
    for clocked in ("nested_seconds", "holdout_readings", "other_splits"):
        one.pop(clocked, None), other.pop(clocked, None)
    assert one == other
