"""The speed of this machine: what earlier runs took here beside what a reference machine would, and how busy it is now.

Whoever forecasts a job gives each of its parts in seconds of the reference machine, by kind: "trunk", "depth 2",
"report" and so on. Every run that ends writes down how much longer or shorter its own kinds took, in ``speed.json`` of
the cache folder; what other processes took of the machine meanwhile is left out. Where no run has told yet, the rate of
matrix products stands in, by processor time, which others at work hardly change.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from search.files.atomic import write_atomic
from search.machine.environment import cores
from search.machine.libraries import processor_name

REFERENCE_GFLOPS = 200.0
"""Of float32 matrix products on the reference machine: two cores of a Xeon with AMX."""
_FILE = "speed.json"
_RUNS_KEPT, _RUNS_ASKED = 24, 5
_GPU_GFLOPS = 8000.0  # of one of some years ago in float32: an estimate had better be too long
_ARITHMETIC = ("trunk", "evaluate", "localise")
"""Kinds that follow the rate of matrix products, as training at a depth beyond 0 does."""
_EVERYWHERE = ("start", "check", "prepare", "probe", "audit", "report")
"""Kinds that cost the same whatever the backbone and its precision."""
_FORECAST = 4
"""Raise it with the figures of the reference machine in `search.plan.forecast`: older records are of other ones."""
_DOUBTED_SECONDS = 3.0
"""Of the reference machine: what runs have told of a kind draws as much as what was believed before where it is no more
than this. A few epochs of the head alone, whose first step makes a graph, say little of hundreds."""
_LEAST, _MOST = 0.02, 50.0
_CONVOLUTIONS_OF_AVX2 = 0.6
"""What convolutions reach of the rate of matrix products, beside the reference machine's part, without AVX-512: R50x1
on a Zen 3, with oneDNN."""
_BUSY, _BUSIEST = 1.15, 4.0


@dataclass(frozen=True)
class Speed:
    """How fast this machine is.

    Attributes:
        gflops: Rate of float32 matrix products; of a GPU guessed, not measured.
        convolutions: What convolutions reach of that rate, 1 being the reference machine's part.
        factors: Kind to its time here over that on the reference machine, as far as runs have told.
        runs: How many runs have told.
        precision: The precision of the last of them, None without one.
    """

    gflops: float
    factors: Mapping[str, float] = field(default_factory=dict)
    runs: int = 0
    precision: str | None = None
    convolutions: float = 1.0

    def factor(self, kind: str) -> float:
        """Time here over that on the reference machine.

        A depth that no run has told of is taken to be as slow as the nearest one that a run has trained, else as the
        trunk, else as the rate of matrix products gives to expect.

        Args:
            kind: For example "trunk" or "depth 2".
        """
        if kind in self.factors:
            return self.factors[kind]
        if (depth := _depth(kind)) > 0:
            told = {_depth(other): factor for other, factor in self.factors.items() if _depth(other) > 0}
            if told:
                return told[min(told, key=lambda other: (abs(other - depth), other))]
        if depth > 0 or kind in _ARITHMETIC:
            by_rate = REFERENCE_GFLOPS / (self.gflops * self.convolutions)
            return self.factors.get("trunk", min(_MOST, max(_LEAST, by_rate)))
        return 1.0

    @property
    def basis(self) -> str:
        """What times are judged by, in words."""
        if self.runs:
            return f"as {'the last run' if self.runs == 1 else f'the last {self.runs} runs'} took here"
        if self.gflops == _GPU_GFLOPS:
            return "by what a GPU of some years ago does; the first run here will tell better"
        return f"by {self.gflops:.0f} GFLOP/s of matrix products on this CPU; the first run here will tell better"


def _depth(kind: str) -> int:
    word, _, number = kind.partition(" ")
    return int(number) if word == "depth" and number.isdigit() else -1


@dataclass(frozen=True)
class _Told:
    """What one run has written down: kind to its seconds here and on the reference machine."""

    backbone: str
    precision: str
    image_size: int
    kinds: dict[str, tuple[float, float]]
    on_gpu: bool


def this_machine(
    cache: Path,
    backbone: str,
    precision: str | None,
    image_size: int,
    *,
    on_gpu: bool = False,
    narrow: bool = False,
    gflops: float | None = None,
    cpuinfo: Path = Path("/proc/cpuinfo"),
) -> Speed:
    """The speed of this machine.

    Args:
        cache: The cache folder.
        backbone: Its name; another one's arithmetic tells nothing.
        precision: Likewise; None where it is not chosen yet: that of the last run with this backbone.
        image_size: Side of its images in pixels: runs of another size tell of kinds that no run of this one has told
            of, for small images cost more than their arithmetic.
        on_gpu: Whether the arithmetic is known to be done on a GPU, of which nothing is measured before a run; what a
            CPU took tells nothing of one, nor the other way round.
        narrow: Whether its layers are too narrow for the rate of convolutions to tell.
        gflops: Rate of matrix products, instead of measuring it and asking runs.
        cpuinfo: What the processor announces.
    """
    if gflops is not None:
        return Speed(gflops)
    told = _read(cache)
    runs = [run for run in told if run.on_gpu == on_gpu]
    precision = precision or next((run.precision for run in reversed(runs) if run.backbone == backbone), None)
    same = [run for run in runs if (run.backbone, run.precision) == (backbone, precision)]
    everywhere = [
        replace(run, kinds={kind: seconds for kind, seconds in run.kinds.items() if kind in _EVERYWHERE})
        for run in told
    ]
    gflops = _GPU_GFLOPS if on_gpu else matrix_product_gflops()
    convolutions = 1.0 if on_gpu or narrow or _has_avx512(cpuinfo) else _CONVOLUTIONS_OF_AVX2
    speed = Speed(gflops, {}, min(len(same), _RUNS_ASKED), precision, convolutions)
    for nearer in (everywhere, same, [run for run in same if run.image_size == image_size]):
        speed = _told_by(nearer, speed)
    return speed


def _told_by(runs: Sequence[_Told], speed: Speed) -> Speed:
    """What was believed, drawn to what the last runs tell of each kind, the trunk first: depths are taken after it."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for run in runs:
        for kind, seconds in run.kinds.items():
            found[kind].append(seconds)
    for kind in sorted(found, key=lambda kind: kind != "trunk"):
        took, expected = map(sum, zip(*found[kind][-_RUNS_ASKED:], strict=True))
        factor = (took + _DOUBTED_SECONDS * speed.factor(kind)) / (expected + _DOUBTED_SECONDS)
        speed = replace(speed, factors={**speed.factors, kind: factor})
    return speed


def record_run(
    cache: Path,
    backbone: str,
    precision: str,
    image_size: int,
    took: Mapping[str, float],
    expected: Mapping[str, float],
    *,
    on_gpu: bool = False,
) -> None:
    """Write down what a run's kinds took, beside what they take on the reference machine.

    Args:
        cache: The cache folder.
        backbone: Its name.
        precision: The run's.
        image_size: Side of its images in pixels.
        took: Kind to seconds, of a machine without others at work.
        expected: Kind to seconds on the reference machine.
        on_gpu: Whether it computed on one.
    """
    kinds = {
        kind: (round(min(_MOST * reference, max(_LEAST * reference, seconds)), 4), round(reference, 4))
        for kind, seconds in took.items()
        if (reference := expected.get(kind, 0.0)) > 1e-3 and seconds > 0
    }
    if kinds:
        kept = [*_read(cache), _Told(backbone, precision, image_size, kinds, on_gpu)][-_RUNS_KEPT:]
        content = {"machine": _machine(), "runs": [asdict(run) for run in kept]}
        with contextlib.suppress(OSError):  # a finished run does not fail for want of room for this
            write_atomic(cache / _FILE, json.dumps(content, indent=1) + "\n")


def _read(cache: Path) -> list[_Told]:
    """What runs have written down on this very machine; nothing where the file is damaged or of another."""
    try:
        content = json.loads((cache / _FILE).read_text(encoding="utf-8"))
        if content["machine"] != _machine():
            return []
        return [
            _Told(
                str(run["backbone"]),
                str(run["precision"]),
                int(run["image_size"]),
                {
                    str(kind): (float(took), float(expected))
                    for kind, (took, expected) in run["kinds"].items()
                    if 0 < took < float("inf") and 0 < expected < float("inf")
                },
                bool(run.get("on_gpu")),
            )
            for run in content["runs"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


@functools.cache
def _machine() -> list[str]:
    try:
        tensorflow = version("tensorflow")
    except PackageNotFoundError:
        tensorflow = "none"
    return [processor_name(), f"{cores()} cores", tensorflow, f"forecast {_FORECAST}"]


def _has_avx512(cpuinfo: Path) -> bool:
    """Whether the processor announces it; also where it announces nothing (macOS, Arm)."""
    try:
        words = cpuinfo.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return True
    return "avx2" not in words or "avx512f" in words


@functools.cache
def matrix_product_gflops(seconds: float = 0.4) -> float:
    """The rate of float32 products of 512 × 512 matrices: of one thread, by its processor time, times the cores.

    Several threads wait for each other with their cores busy: beside other work that would count as arithmetic.
    """
    matrix = np.random.default_rng(0).standard_normal((512, 512), dtype=np.float32)
    with threadpool_limits(1):
        np.matmul(matrix, matrix)
        products, end, used = 0, time.perf_counter() + seconds, time.thread_time()
        while time.perf_counter() < end or products < 10:
            np.matmul(matrix, matrix)
            products += 1
        used = time.thread_time() - used
    return float(2 * 512**3 * products * cores() / max(used, 1e-9) / 1e9)


class OthersAtWork:
    """What other processes take of this machine's cores from now on, as far as the system tells (Linux)."""

    def __init__(self) -> None:
        self._begun = self._ticks()

    def share(self) -> float:
        """Their part of all cores since the beginning, 0 … 1; 0 where the system tells nothing."""
        (busy, total, own), (busy_now, total_now, own_now) = self._begun, self._ticks()
        if total_now <= total:
            return 0.0
        return min(1.0, max(0.0, (busy_now - busy - (own_now - own)) / (total_now - total)))

    @staticmethod
    def _ticks() -> tuple[float, float, float]:
        try:
            first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0].split()[1:9]
        except OSError:
            return 0.0, 0.0, 0.0
        numbers = [int(each) / os.sysconf("SC_CLK_TCK") for each in first]
        idle = numbers[3] + numbers[4]
        used = os.times()
        return sum(numbers) - idle, sum(numbers), used.user + used.system


def slowdown(samples: Sequence[float] | None = None) -> float:
    """How many times longer a job takes that wants all cores now, because others are at work; 1 on a quiet machine.

    At most 4: a machine that is busier is seldom so for long.

    Args:
        samples: Numbers of tasks that wanted a core, this process among them, instead of asking the system.
    """
    waiting = list(samples) if samples is not None else _runnable()
    others = max(0.0, statistics.fmean(waiting) - 1) if waiting else 0.0
    factor = (cores() + others) / (os.cpu_count() or 1)
    return min(factor, _BUSIEST) if factor > _BUSY else 1.0


def _runnable(samples: int = 12, pause: float = 0.025) -> list[float]:
    found = []
    for _ in range(samples):
        try:
            lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
        except OSError:
            return [os.getloadavg()[0] + 1] if hasattr(os, "getloadavg") else []
        found += [float(line.split()[1]) for line in lines if line.startswith("procs_running")]
        time.sleep(pause)
    return found
