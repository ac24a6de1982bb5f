"""Banks on the device: boundary values that are copied to a GPU's memory once and gathered there.

Gathered on the host, the values of every call have to travel; here row numbers do. They are moved and never computed
with, so that results are the same to the bit. Where nothing has to travel, on a CPU, no bank is kept.
"""

from __future__ import annotations

import logging
import mmap
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.boundary.values import BoundaryValues, SelectedValues
from search.machine.failures import is_out_of_memory
from search.machine.places import own_gpu


class DeviceValues:
    """Boundary values in a device's memory: indexed with view numbers they give a tensor there.

    Args:
        values: A bank, [views, ...].
        device: TensorFlow's name of the device.

    Attributes:
        source: The bank.
        shape: (views, ...).
        dtype: As the bank's, float16 or float32.
    """

    def __init__(self, values: NDArray[Any], device: str) -> None:
        self.source, self.shape, self.dtype, self._device = values, values.shape, values.dtype, device
        with tf.device(device):
            self._tensor = tf.constant(values)

    def __getitem__(self, rows: Any) -> Any:
        """Values of the views ``rows``.

        Raises:
            IndexError: If there is no such view; a GPU would give zeros.
        """
        wanted = np.asarray(rows, np.int64)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < self.shape[0]:
            raise IndexError(f"views {wanted.min()} to {wanted.max()} of a bank of {self.shape[0]}")
        with tf.device(self._device):
            return tf.gather(self._tensor, wanted)


class DeviceBanks:
    """The banks that a process keeps on its device; for a new one those go that were not used for longest.

    Args:
        device: TensorFlow's name of the device.
        room: Bytes that they may take together.
    """

    def __init__(self, device: str, room: int) -> None:
        self._device, self._room = device, room
        self._kept: OrderedDict[Hashable, DeviceValues] = OrderedDict()

    @classmethod
    def of_own_gpu(cls, room_of: Callable[[int], int]) -> DeviceBanks:
        """Those of the GPU that this process computes on; none on a CPU.

        Args:
            room_of: Bytes of a GPU's memory to those that banks may take.
        """
        gpu = own_gpu()
        return cls("GPU:0", room_of(gpu.memory_bytes)) if gpu else cls("CPU:0", 0)

    @property
    def kept(self) -> tuple[DeviceValues, ...]:
        """What is there now, what was used last at the end."""
        return tuple(self._kept.values())

    def of(self, values: BoundaryValues) -> BoundaryValues:
        """The same values, on the device where they are stored ones that have room there."""
        if isinstance(values, SelectedValues):
            return values.kept_by(self.of)
        if not isinstance(values, np.ndarray) or values.nbytes > self._room:
            return values
        place = _place(values)
        if place not in self._kept:
            while self._bytes + values.nbytes > self._room:
                self._kept.popitem(last=False)
            try:
                self._kept[place] = DeviceValues(values, self._device)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._room = self._bytes  # others are at home there, too: no more than what was seen to fit
                logging.getLogger(__name__).warning("No room for a bank on %s: it is read on the host.", self._device)
                return values
        self._kept.move_to_end(place)
        return self._kept[place]

    def give_up(self) -> None:
        """Free the device of them, for good."""
        self._kept.clear()
        self._room = 0

    @property
    def _bytes(self) -> int:
        return sum(each.source.nbytes for each in self._kept.values())


def _place(values: NDArray[Any]) -> Hashable:
    """What tells a bank from others: its file, which each search maps anew, or else itself."""
    if isinstance(values, np.memmap) and values.filename and isinstance(values.base, mmap.mmap):
        return str(values.filename), values.offset, values.shape, values.dtype.str
    return id(values)
