"""Functions for a child process whose CPU TensorFlow takes for two devices; banks are kept on the second one."""

import resource
from pathlib import Path

import numpy as np

from search.machine.libraries import start_tensorflow

DEVICE, PLENTY = "CPU:1", 2**40
_before = []


def start(told):
    start_tensorflow(deterministic=True)
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def _keeping_banks(worker, room):
    """Let a worker keep banks on the second device, with the graphs of the worker before it."""
    from search.boundary.on_device import DeviceBanks

    for before in _before:
        worker.trainers.adopt(before.trainers)
    _before[:] = [worker]
    worker.trainers.banks = DeviceBanks(DEVICE, room)


def carried_out(told, worker, works, room):
    """Results of some works, and of each bank that is kept in the end: views, type, and where it gives values."""
    _keeping_banks(worker, room)
    results = [worker.carry_out(work, told) for work in works]
    worker.checkpoints.wait()
    kept = [(each.shape, each.dtype.name, each[[0]].device[-5:]) for each in worker.trainers.banks.kept]
    return results, kept


def mapped_twice(told, file):
    """Where values of a file are read that two searches map, and how many banks are kept of it."""
    from search.boundary.on_device import DeviceBanks

    banks, (first, second) = DeviceBanks(DEVICE, PLENTY), (np.load(file, mmap_mode="r") for _ in range(2))
    rows = np.array([[3, 0], [1, 3]])
    read = [np.array_equal(banks.of(values)[rows].numpy(), values[rows]) for values in (first, second)]
    try:
        banks.of(first)[[len(first)]]
    except IndexError as error:
        return read, len(banks.kept), str(error)


def too_large_for_the_memory(told, worker, work, file):
    """The result of a work, and what is kept, where the device has no memory for one more bank."""
    large = np.memmap(file, np.float16, "w+", shape=(2**12, 2**19))
    _keeping_banks(worker, PLENTY)
    worker.trainers.banks.of(worker.data.banks[0].values)
    pages, bounds = int(Path("/proc/self/statm").read_text().split()[0]), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**30, bounds[1]))
    on_the_host = worker.trainers.banks.of(large) is large
    resource.setrlimit(resource.RLIMIT_AS, bounds)
    return worker.carry_out(work, told), on_the_host, [each.shape for each in worker.trainers.banks.kept]


class Hungry:
    """A work that finds no memory as long as its bank takes some of it."""

    name, shape = "what needs all memory", (1, 16, "")

    def carry_out(self, worker, on_epoch):
        import tensorflow as tf

        values = worker.data_at(1).banks[1].values
        if not isinstance(values, np.ndarray):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return "done from the host"
