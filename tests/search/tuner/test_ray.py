"""Workers on a Ray cluster of several nodes on this machine: the files of one process, also when nodes are lost."""

import importlib.util
import stat

import pytest

from search.errors import ConfigError
from search.machine.environment import cores
from search.machine.libraries import Arithmetic
from tests.search.tuner.test_processes import Heard, expected, search  # noqa: F401  # fixtures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray here (mammo-search[cluster])"),
]


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """Token authentication for everything that these tests start; Ray looks for it when it is imported."""
    file = tmp_path_factory.mktemp("token") / "auth_token"
    file.write_text("a-token-of-these-tests-0123456789abcdef")
    file.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        yield file


@pytest.fixture
def cluster(token, tmp_path):
    """A cluster of nodes with one core each, which can be killed."""
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    started.those = [started.add_node(num_cpus=1) for _ in range(2)]
    started.wait_for_nodes()
    yield started
    started.shutdown()


@pytest.fixture
def executor_of(cluster, tmp_path):
    from search.tuner.executors.processes import ProcessExecutor, WorkerProcesses
    from search.tuner.executors.ray import RayCluster

    said = []
    joined = RayCluster(cluster.address, said.append)
    places = joined.places(2)
    assert [place.cores for place in places] == [1, 1]
    with WorkerProcesses(
        places, tmp_path / "logs", arithmetic=Arithmetic(cores()), deterministic=True, say=said.append, host=joined
    ) as processes:

        def made(worker):
            return ProcessExecutor(worker, processes)

        made.processes, made.said = processes, said
        yield made
    joined.leave()


def test_a_cluster_leaves_the_files_of_one_process(search, expected, executor_of, tmp_path):  # noqa: F811
    (tmp_path / "run").mkdir()
    assert search(tmp_path / "run", executor_of) == expected


def test_a_node_that_is_lost_costs_the_folds_of_its_workers(search, expected, cluster, executor_of, tmp_path):  # noqa: F811
    lost = []

    def lose(trial, fold, epoch):
        if trial == 3 and not lost:
            lost.append(cluster.those.pop())
            cluster.remove_node(lost[0], allow_graceful=False)

    (tmp_path / "run").mkdir()
    assert search(tmp_path / "run", executor_of, Heard(lose)) == expected
    assert any("was lost" in line for line in executor_of.said)


def test_more_workers_than_the_cluster_has_cores_are_refused_in_a_line(cluster):
    from search.tuner.executors.ray import RayCluster

    joined = RayCluster(cluster.address, print)
    try:
        with pytest.raises(ConfigError, match="--workers from 1 to 2, one a core of the cluster; found 3"):
            joined.places(3)
    finally:
        joined.leave()


def test_a_cluster_without_a_token_is_refused_and_a_token_that_others_can_read_is_mended(token, monkeypatch):
    from search.tuner.executors.ray import require_token

    said = []
    token.chmod(0o644)
    require_token(said.append)
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert said == [f"{token} could be read by others; now it can't"]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ConfigError, match="RAY_AUTH_MODE=token"):
        require_token(said.append)
