"""The expected cost of a job on this machine, before anything of it is done: banks, checkpoints and time.

Sizes are exact for whole images; time is that of `search.plan.forecast`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mammo_data import CaseTable
from search.bit.family import architecture_of
from search.boundary.plan import BankPlan, describe_banks
from search.config.schema import Config
from search.machine.places import ALONE, Crew
from search.machine.speed import slowdown
from search.plan.device_memory import MemoryDemand, describe_kept, describe_peaks, expected_peaks
from search.plan.forecast import Forecast
from search.plan.protocol import plan_run
from search.protocols.expected_banks import checkpoint_bytes, checkpoint_peak
from search.protocols.expected_time import (
    ShorterWay,
    describe_forecast,
    describe_shorter,
    expected_precision,
    shorter_ways,
    speed_here,
    table_forecast,
)
from search.text import size_text


@dataclass(frozen=True)
class ExpectedCost:
    """What a job takes.

    Attributes:
        searches: Searches that the protocol makes.
        development_images: Images that the search reads; of the nested protocol the last one, which reads all.
        banks: Views and stored values.
        checkpoint_bytes: Largest size of the checkpoints that exist at a time.
        memory_bytes: Unfreeze depth to what training at it is expected to need of the device's memory at most.
        kept_banks: Which banks are kept on a GPU, in words; "" without one.
        time: Seconds of each part on this machine, when it is quiet.
        precision: The precision that the run is expected to choose.
        basis: What times are judged by, in words.
        text_of_time: All that in words.
        busy: How many times as long it takes while others are at work on this machine, 1 where they are not.
        shorter: Where the job is long, the settings that would shorten it most.
    """

    searches: int
    development_images: int
    banks: BankPlan
    checkpoint_bytes: int
    memory_bytes: Mapping[int, int]
    kept_banks: str
    time: Forecast
    precision: str
    basis: str
    text_of_time: str
    busy: float
    shorter: tuple[ShorterWay, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; depths are text there."""
        return {
            "searches": self.searches,
            "development_images": self.development_images,
            "views": self.banks.views,
            "views_per_class": self.banks.views_per_class,
            "bank_bytes": {str(depth): size for depth, size in self.banks.bytes.items()},
            "recomputed_depths": self.banks.recomputed,
            "checkpoint_bytes": self.checkpoint_bytes,
            "memory_bytes": {str(depth): size for depth, size in self.memory_bytes.items()},
            "seconds": self.time.seconds(),
            "parts": _by_part(self.time),
            "precision": self.precision,
            "basis": self.basis,
            "busy": self.busy,
            "shorter": [asdict(way) for way in self.shorter],
        }

    def as_text(self) -> str:
        """Lines of text."""
        images = f"{self.development_images} {'development ' if self.searches == 1 else ''}images"
        lines = [
            f"{images}: {describe_banks(self.banks)}",
            f"checkpoints: at most {size_text(self.checkpoint_bytes)} at a time",
            f"memory of the device while training: about {describe_peaks(self.memory_bytes)}{self.kept_banks}",
            f"time: {self.text_of_time}",
        ]
        if self.shorter:
            lines.append(f"shorter, one of these:\n{describe_shorter(self.shorter)}")
        return "\n".join(lines)


def _by_part(time: Forecast) -> Mapping[str, float]:
    return {part: round(time.seconds(part), 1) for part in time.parts}


def expected_cost(
    config: Config, table: CaseTable, *, crew: Crew = ALONE, gflops: float | None = None, films: int = 0
) -> ExpectedCost:
    """The cost of a whole job.

    Args:
        config: The configuration.
        table: All cases; whole images are counted, crops of them are about as many.
        crew: Who trains.
        gflops: Rate of float32 matrix products, instead of measuring it and asking earlier runs.
        films: How many are checked and prepared first.

    Raises:
        DataError: If there are too few patients for the split.
        ConfigError: If there are more known configurations than the plan tries.
    """
    plan = plan_run(config)
    speed = speed_here(config, on_gpu=crew.gpu is not None, gflops=gflops)
    time, banks = table_forecast(config, plan, table, speed, crew, films=films)
    precision = expected_precision(config, speed)
    # Who is at work on the cores takes nothing of a GPU.
    busy, kept = 1.0 if gflops is not None or crew.gpu else slowdown(), ""
    if crew.gpu:
        room = MemoryDemand(config, precision).room_for_banks(crew.gpu.memory_bytes)
        kept = f", of {size_text(crew.gpu.memory_bytes)}; {describe_kept(banks.bytes, room)}"
    return ExpectedCost(
        searches=time.searches,
        development_images=time.images,
        banks=banks,
        checkpoint_bytes=checkpoint_peak(plan)
        * (config.search.folds or config.split.folds)
        * checkpoint_bytes(architecture_of(config.backbone.name), config, len(table.class_names)),
        memory_bytes=expected_peaks(config, precision),
        kept_banks=kept,
        time=time,
        precision=precision,
        basis=speed.basis,
        text_of_time=describe_forecast(time, speed, busy=busy, workers=crew.workers),
        busy=busy,
        shorter=shorter_ways(config, table, speed, crew, time.seconds()),
    )
