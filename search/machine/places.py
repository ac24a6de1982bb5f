"""Places of workers: the GPUs of this machine, or its cores, divided among the processes that train.

GPUs are asked of the driver's own tool, nvidia-smi, so that what is not there is refused before TensorFlow starts. A
process is shown the one that it is to use and no other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from search.errors import ConfigError
from search.machine.environment import cores, host_memory

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_ASKED = re.compile(r"gpu:(\d+(?:,\d+)*)")


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        number: Its number, as nvidia-smi counts.
        name: Its model.
        memory_bytes: Of its memory.
    """

    number: int
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class WorkerPlace:
    """Where one worker works.

    Attributes:
        name: In words, for example "worker 1" or "worker 1 (GPU 0)".
        cores: How many cores it has.
        environment: Variables that its process is started with.
        pinned: Which cores of this machine, where it is to use no other.
        gpu: The GPU that it has, of this machine; else None.
    """

    name: str
    cores: int
    environment: Mapping[str, str] = field(default_factory=dict)
    pinned: tuple[int, ...] = ()
    gpu: Gpu | None = None


@dataclass(frozen=True)
class Crew:
    """All workers together, as far as time and memory depend on them.

    Attributes:
        workers: How many train at a time.
        slower: How many times as long one takes as this machine: those without a device of their own share its cores.
        gpu: The GPU of each, where they have one of this machine.
    """

    workers: int = 1
    slower: float = 1.0
    gpu: Gpu | None = None


ALONE = Crew()
"""One process, which has the machine for itself."""


def gpus() -> tuple[Gpu, ...]:
    """The GPUs that this process may use; none where the driver's tool is absent or answers nothing."""
    command = ["nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        rows = [[part.strip() for part in line.split(",")] for line in answer.splitlines() if line.strip()]
        found = [Gpu(int(number), name, int(megabytes) * 2**20) for number, name, megabytes in rows]
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
    visible = os.environ.get(_VISIBLE)
    if visible is None or not re.fullmatch(r"-?\d+(,-?\d+)*|", visible):  # by their UUIDs, as some schedulers name them
        return tuple(found)
    return tuple(gpu for gpu in found if str(gpu.number) in visible.split(","))


def own_gpu() -> Gpu | None:
    """The GPU that TensorFlow has in this process, the smallest of several; None on a CPU, and before it is loaded."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not tensorflow.config.list_physical_devices("GPU"):
        return None
    return min(gpus(), key=lambda gpu: gpu.memory_bytes, default=None)


def device_memory() -> int:
    """Bytes of memory of what this process computes on: its GPU's, else what it may have of the host's."""
    gpu = own_gpu()
    return gpu.memory_bytes if gpu else host_memory()


def chosen_gpus(device: str) -> tuple[Gpu, ...]:
    """The GPUs that --device names; none for a CPU, and for "auto" those that there are.

    Raises:
        ConfigError: If one of them is not there, they are of several kinds, or the word is none of --device's.
    """
    if device == "cpu":
        return ()
    there = gpus()
    if device == "auto":
        return there
    asked = _ASKED.fullmatch(device)
    if device != "gpu" and asked is None:
        raise ConfigError(expected="--device auto, cpu, gpu or gpu:0,2", found=device, remedy="Name one of these.")
    numbers = dict.fromkeys(map(int, asked.group(1).split(","))) if asked else {gpu.number: None for gpu in there}
    chosen = tuple(gpu for number in numbers for gpu in there if gpu.number == number)
    if len(chosen) < max(1, len(numbers)):
        listed = ", ".join(f"{gpu.number} ({gpu.name})" for gpu in there)
        raise ConfigError(
            expected=f"a GPU for --device {device}",
            found=f"GPUs {listed}" if there else "none that nvidia-smi lists",
            remedy="See what `mammo-search doctor` says of them, or use --device cpu.",
        )
    return _of_one_kind(chosen)


def _of_one_kind(chosen: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    if len({gpu.name for gpu in chosen}) > 1:
        raise ConfigError(
            expected="GPUs of one kind, for results depend on the kind",
            found=", ".join(f"{gpu.number} ({gpu.name})" for gpu in chosen),
            remedy="Choose with --device, for example --device gpu:0.",
        )
    return chosen


def worker_places(workers: int | None, device: str = "auto") -> tuple[WorkerPlace, ...]:
    """Where the workers of a run work, a GPU each where there are any, else a part of the cores.

    Args:
        workers: How many; None for one, or one for each GPU that --device names by its number.
        device: What --device says.

    Raises:
        ConfigError: If there are fewer GPUs or cores than workers, or not those that are named.
    """
    chosen = chosen_gpus(device)
    if workers is None:
        workers = len(chosen) if device.startswith("gpu:") else 1
    if chosen and workers > 1:
        chosen = _of_one_kind(chosen)
    have, kind = (len(chosen), "GPUs") if chosen else (cores(), "cores")
    if not 1 <= workers <= have:
        raise ConfigError(
            expected=f"--workers from 1 to {have}, the {kind} that this process may use",
            found=str(workers),
            remedy="Ask for as many at most.",
        )
    share = max(1, cores() // workers)
    if not chosen:
        hidden = {_VISIBLE: "-1"} if device == "cpu" else {}
        parts = _parts_of_cores(workers)
        return tuple(WorkerPlace(f"worker {n}", share, hidden, part) for n, part in enumerate(parts, start=1))
    return tuple(
        WorkerPlace(f"worker {number} (GPU {gpu.number})", share, _shown(gpu), gpu=gpu)
        for number, gpu in enumerate(chosen[:workers], start=1)
    )


def _parts_of_cores(workers: int) -> tuple[tuple[int, ...], ...]:
    """The numbers of this process's cores, divided; nothing where it is alone, or where the system can't pin."""
    if workers == 1 or not hasattr(os, "sched_getaffinity"):
        return ((),) * workers
    numbers = sorted(os.sched_getaffinity(0))
    bounds = [len(numbers) * part // workers for part in range(workers + 1)]
    return tuple(tuple(numbers[start:end]) for start, end in pairwise(bounds))


def use_first(places: Sequence[WorkerPlace]) -> None:
    """Let this process use the device of the first worker, before it loads TensorFlow."""
    os.environ.update(places[0].environment)


def _shown(gpu: Gpu) -> dict[str, str]:
    # By the bus, as nvidia-smi counts; CUDA's own order is by speed.
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", _VISIBLE: str(gpu.number)}
