"""The expected time of a job on this machine, in words; of a long one the settings that would shorten it most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mammo_data import CaseTable, patient_split
from search.bit.architecture import R50X1
from search.bit.family import architecture_of
from search.bit.precision import has_bfloat16_instructions
from search.boundary.plan import BankPlan
from search.config.schema import Config, cache_directory
from search.machine.places import Crew
from search.machine.speed import Speed, this_machine
from search.plan.forecast import Forecast, forecast, search_sizes
from search.plan.hyperband import HyperbandPlan
from search.plan.job_clock import among
from search.plan.protocol import plan_search
from search.protocols.expected_banks import plan_search_banks
from search.text import rounded

LONG_SECONDS = 4 * 3600.0
"""A job of more than this is said to be long before it starts."""
_WORTH_SAYING = 0.85
_WAYS = 3


@dataclass(frozen=True)
class ShorterWay:
    """A setting with which a job would take less.

    Attributes:
        words: What to type.
        seconds: How long the job would take with it.
    """

    words: str
    seconds: float


def speed_here(
    config: Config, precision: str | None = None, *, on_gpu: bool = False, gflops: float | None = None
) -> Speed:
    """The speed of this machine for a configuration.

    Args:
        config: The configuration.
        precision: The name of the precision; by default the configured one, for "auto" that of the last run here.
        on_gpu: As `search.machine.speed.this_machine` takes it; so is ``gflops``.
        gflops: See there.
    """
    configured = None if config.search.precision == "auto" else config.search.precision
    name, size = config.backbone.name, config.preparation.image_size
    narrow = architecture_of(name).width < R50X1.width
    return this_machine(
        cache_directory(config), name, precision or configured, size, on_gpu=on_gpu, narrow=narrow, gflops=gflops
    )


def expected_precision(config: Config, speed: Speed) -> str:
    """The precision that a run will choose, as far as it can be told without TensorFlow."""
    if config.search.precision != "auto":
        return config.search.precision
    # Where no run has told: a probe favours bfloat16 where the processor has tiles for it.
    return speed.precision or ("bfloat16-tail" if has_bfloat16_instructions() else "float32")


def table_forecast(
    config: Config, plan: HyperbandPlan, table: CaseTable, speed: Speed, crew: Crew, *, films: int = 0
) -> tuple[Forecast, BankPlan]:
    """Seconds of a job on this machine, and its banks, from the labels alone.

    Args:
        config: The configuration.
        plan: The plan of each search.
        table: All cases; whole images are counted, crops of them are about as many.
        speed: This machine's.
        crew: Who trains.
        films: How many are checked and prepared first.

    Raises:
        DataError: If there are too few patients for the split.
    """
    nested, architecture = config.split.protocol == "nested", architecture_of(config.backbone.name)
    split = patient_split(
        table,
        test_fraction=0.0 if nested else config.split.test_fraction,
        folds=config.split.folds,
        seed=config.split.seed,
    )
    images = len(split.development_rows(table))
    banks = plan_search_banks(config, architecture, table, split)
    sizes = search_sizes(config, images, len(table) - images)
    # Whole images share one set of banks; crops lie elsewhere in each search.
    passes = sum(size.development for size in sizes) / images if config.data.mode == "roi" else 1.0
    reference = forecast(
        config,
        plan,
        architecture,
        sizes,
        views=int(passes * banks.views) if banks.stored else 0,
        precision=expected_precision(config, speed),
        recomputed=banks.recomputed,
        films=films,
    )
    return among(reference.on(speed), config, plan, crew), banks


def describe_forecast(here: Forecast, speed: Speed, *, busy: float, workers: int = 1) -> str:
    """How long a job takes, in words.

    Args:
        here: Of this machine.
        speed: What it was judged by.
        busy: How many times as long it takes while others are at work.
        workers: How many train at a time.
    """
    trunk, search, baselines = (here.seconds(part) for part in ("trunk", "search", "baselines"))
    rest = here.seconds() - trunk - search - baselines
    named = {"trunk": trunk, "search": search, "baselines": baselines, "the rest": rest}
    parts = ", ".join(f"{name} {rounded(seconds)}" for name, seconds in named.items() if seconds)
    by = f" with {workers} workers" if workers > 1 else ""
    lines = [
        f"about {rounded(here.seconds() * busy)}{by}, {speed.basis}",
        f"{parts} (no trunk where its values are kept)",
    ]
    if busy > 1:
        lines[1] += f"; on a quiet machine {rounded(here.seconds())} in all"
        lines.append(f"others are at work on this machine: that makes it {busy:.1f} times as long while it lasts")
    return "\n".join(lines)


def shorter_ways(config: Config, table: CaseTable, speed: Speed, crew: Crew, seconds: float) -> tuple[ShorterWay, ...]:
    """The settings that would shorten a long job most, the best first; none of one that is not long.

    Args:
        config: The configuration.
        table: All cases.
        speed: This machine's.
        crew: Who trains.
        seconds: How long the job takes.
    """
    if seconds < LONG_SECONDS:
        return ()
    found = []
    for words, changed in _changes(config):
        here, _ = table_forecast(changed, plan_search(changed.search), table, speed, crew)
        found.append(ShorterWay(words, here.seconds()))
    found.sort(key=lambda way: way.seconds)
    return tuple(way for way in found if way.seconds < _WORTH_SAYING * seconds)[:_WAYS]


def describe_shorter(ways: tuple[ShorterWay, ...]) -> str:
    """These settings, a line each."""
    return "\n".join(f"{way.words}: about {rounded(way.seconds)}" for way in ways)


def _changes(config: Config) -> Iterator[tuple[str, Config]]:
    side, depths, search = config.preparation.image_size, config.space.depths, config.search
    folds = search.folds or config.split.folds
    if side >= 192:
        smaller = config.preparation.model_copy(update={"image_size": side // 2})
        yield f"--image-size {side // 2}", config.model_copy(update={"preparation": smaller})
    if max(depths) > 1:
        kept = [depth for depth in depths if depth <= 1] or [min(depths)]
        space = config.space.model_copy(update={"unfreeze_depth": kept, "known": ()})
        yield f"--set 'space.unfreeze_depth={kept}'", config.model_copy(update={"space": space})
    if folds > 2:
        yield "--folds 2", config.model_copy(update={"search": search.model_copy(update={"folds": 2})})
    if search.max_trials >= 10:
        fewer = search.model_copy(update={"max_trials": search.max_trials // 2})
        yield f"--max-trials {search.max_trials // 2}", config.model_copy(update={"search": fewer})
