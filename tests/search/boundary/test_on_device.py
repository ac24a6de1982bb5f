"""Banks that are kept on a device: results to the bit as from the host, and what is done where there is no room.

The device is the second of two that TensorFlow makes of a child's CPU; a GPU has not been tried.
"""

from dataclasses import replace

import numpy as np
import pytest

from search.machine.child import Child, arrived
from search.plan.execution import Assignment
from search.plan.space import Configuration
from tests.support import on_two_devices


@pytest.fixture(scope="module")
def on_device(tmp_path_factory):
    """Calls a function in the child and gives what it answers."""
    child = Child(tmp_path_factory.mktemp("child") / "log")

    def call(function, *arguments):
        number = child.call(function, *arguments)
        while True:
            arrived([child], 5.0)
            for message in child.messages():
                assert message.kind not in ("failed", "lost"), message.value
                if message.number == number and message.kind == "done":
                    return message.value

    call(on_two_devices.start)
    yield call
    child.end()


@pytest.fixture(scope="module")
def works():
    """A fold of a trial of each unfreeze depth, the deeper one first."""
    from search.trials.worker import FoldWork

    configurations = [Configuration(16, 0.3, 1e-3, 1e-2, depth) for depth in (1, 0)]
    return [FoldWork(Assignment(n, n, 0, 0, None, 0, 3), each, 1) for n, each in enumerate(configurations)]


@pytest.fixture(scope="module")
def worker_in(engine):
    from search.trials.worker import TrainerPool, Worker

    def worker(folder, data=engine.data):
        trainers = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")
        return Worker(data, engine.settings, trainers, folder)

    return worker


@pytest.fixture(scope="module")
def expected(worker_in, works, tmp_path_factory):
    """Results, and the folder with states, of a process that reads memory."""
    folder = tmp_path_factory.mktemp("host")
    worker = worker_in(folder)
    results = [worker.carry_out(work, lambda epoch: None) for work in works]
    worker.checkpoints.wait()
    assert worker.trainers.banks.kept == (), "on a CPU nothing is kept"
    return results, states(folder)


def states(folder):
    return {file.parent.name + file.name: file.read_bytes() for file in (folder / "checkpoints").glob("*/fold-*")}


def assert_same(results, expected):
    for one, other in zip(results, expected, strict=True):
        assert one.failure is None
        assert one.curves == other.curves
        np.testing.assert_array_equal(one.logits, other.logits)


def test_folds_end_in_the_bits_of_the_host(on_device, worker_in, works, expected, tmp_path):
    results, kept = on_device(on_two_devices.carried_out, worker_in(tmp_path), works, on_two_devices.PLENTY)
    assert_same(results, expected[0])
    assert len(expected[1]) == 2
    assert states(tmp_path) == expected[1]
    assert [each[1:] for each in kept] == [("float16", "CPU:1"), ("float32", "CPU:1")]


def test_for_a_bank_that_is_needed_the_one_goes_that_was_not_used_for_longest(
    on_device, engine, worker_in, works, expected, tmp_path
):
    deep, flat = (engine.data.banks[depth].values for depth in (1, 0))
    results, kept = on_device(on_two_devices.carried_out, worker_in(tmp_path), works, max(deep.nbytes, flat.nbytes))
    assert_same(results, expected[0])
    assert [each[0] for each in kept] == [flat.shape]


def test_a_bank_that_is_too_large_stays_with_the_host(on_device, engine, worker_in, works, expected, tmp_path):
    deep, flat = (engine.data.banks[depth].values for depth in (1, 0))
    assert flat.nbytes < deep.nbytes
    results, kept = on_device(on_two_devices.carried_out, worker_in(tmp_path), works, deep.nbytes - 1)
    assert_same(results, expected[0])
    assert [each[0] for each in kept] == [flat.shape]


def test_of_chosen_views_all_are_kept_and_the_chosen_ones_read(on_device, engine, worker_in, works, expected, tmp_path):
    from search.boundary.values import SelectedValues

    bank = engine.data.banks[1]
    order = np.random.default_rng(0).permutation(len(bank.values) + 5)
    shared = np.zeros((len(order), *bank.shape), bank.values.dtype)
    shared[order[: len(bank.values)]] = bank.values
    chosen = replace(bank, values=SelectedValues(shared, order[: len(bank.values)]))
    worker = worker_in(tmp_path, replace(engine.data, banks={**engine.data.banks, 1: chosen}))
    results, kept = on_device(on_two_devices.carried_out, worker, works[:1], on_two_devices.PLENTY)
    assert_same(results, expected[0][:1])
    assert [each[0] for each in kept] == [shared.shape]


def test_a_device_without_room_for_a_bank_has_it_read_on_the_host(on_device, worker_in, works, expected, tmp_path):
    worker, file = worker_in(tmp_path), tmp_path / "large"
    result, on_the_host, kept = on_device(on_two_devices.too_large_for_the_memory, worker, works[0], file)
    assert on_the_host
    assert kept == [worker.data.banks[0].values.shape], "what is there stays, and no more comes"
    assert_same([result], expected[0][:1])


def test_memory_that_runs_out_beside_a_bank_is_tried_again_without(on_device, worker_in, tmp_path):
    hungry = [on_two_devices.Hungry()]
    answer = on_device(on_two_devices.carried_out, worker_in(tmp_path), hungry, on_two_devices.PLENTY)
    assert answer == (["done from the host"], [])


def test_a_file_that_two_searches_map_is_kept_once_and_has_no_views_beyond_its_end(on_device, tmp_path):
    np.save(tmp_path / "values.npy", np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float16))
    read, kept, refused = on_device(on_two_devices.mapped_twice, tmp_path / "values.npy")
    assert (read, kept) == ([True, True], 1)
    assert refused == "views 4 to 4 of a bank of 4"
