"""Forecast of a job: seconds of each of its parts, by kind, on the reference machine and on this one.

One model for all that a user is told of time: a dry run, a run's header, the live view, `status`, and what the nested
protocol would take. It counts the multiply-adds of the convolutions, the drawn unfreeze depths, graphs, baselines,
final models, reading, audit and report; `search.machine.speed` says how fast this machine is. After the first trial the
measured times of `search.plan.cost` take the place of the search's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.bit.architecture import R50X1, BitArchitecture
from search.config.schema import Config
from search.machine.speed import REFERENCE_GFLOPS, Speed
from search.plan.hyperband import HyperbandPlan
from search.plan.protocol import planned_configurations, search_shares

# Of the reference machine's float32 matrix products; measured with R50x1 at 128 to 224 px, and with the small backbone,
# whose layers are too narrow for more, at 96.
_TRUNK_SHARE, _TAIL_SHARE = 0.6, 0.7
_SMALL_SHARE = 0.35
# How many times faster than in float32.
_BFLOAT16_GAIN = 1.5
_HEAD_SECONDS = 1e-4  # training and validating the head alone, for an image
_BUILD_SECONDS, _BUILD_SECONDS_A_UNIT = 0.6, 1.0
_TRIAL_SECONDS = 0.06  # of a fold of a trial, beside its arithmetic
_START_SECONDS = 6.0
# Of a film: its checks, and preparing it; and the trunk's graphs.
_CHECK_SECONDS, _PREPARE_SECONDS, _TRUNK_SECONDS = 0.015, 0.0125, 3.0
_PROBE_SECONDS = 5e-7  # of the linear probe, for a view, a feature and a fold
# The shortcut probe and the search's figures are made beside retraining, which takes longer for it.
_AUDIT_SECONDS, _REPORT_SECONDS, _BESIDE_SECONDS = 0.5, 2.6, 3.0
# Opening the exported file, a tail for each other model, and the maps' gradients; each makes its graph.
_OPEN_SECONDS_A_UNIT, _MODEL_SECONDS, _MODEL_SECONDS_A_UNIT = 0.3, 0.1, 0.2
_LOCALISE_SECONDS, _LOCALISE_SECONDS_A_UNIT = 4.0, 1.0


@dataclass(frozen=True)
class SearchSize:
    """What one search of a job reads.

    Attributes:
        development: Images of the development patients.
        held_out: Images of the held-out ones; 0 where nobody is.
    """

    development: int
    held_out: int


@dataclass(frozen=True)
class Forecast:
    """Seconds of a job, on the machine that it is for.

    Attributes:
        parts: Part to kind to seconds, in the order of the job: "start", "trunk", "search", "retrain", "baselines",
            "evaluate", "localise", "audit", "report"; of a nested job all its searches together. A kind is a part,
            "check" and "prepare" of films, "depth 2" for training at it, "build", "trial" (what each costs beside its
            arithmetic) or "probe".
        epochs: Unfreeze depth to an epoch of one fold of the largest search.
        builds: Unfreeze depth to making a graph.
        images: Images that the largest search reads.
        searches: How many searches share the parts.
    """

    parts: Mapping[str, Mapping[str, float]]
    epochs: Mapping[int, float]
    builds: Mapping[int, float]
    images: int = 0
    searches: int = 1

    def seconds(self, *parts: str) -> float:
        """Seconds of some parts, of all where none is named."""
        return sum(sum(self.parts[part].values()) for part in (parts or self.parts))

    @property
    def later(self) -> Mapping[str, float]:
        """Seconds of each part that follows a search."""
        names = list(self.parts)
        return {name: self.seconds(name) for name in names[names.index("search") + 1 :]}

    def on(self, speed: Speed) -> Forecast:
        """This forecast of the reference machine, for another one."""
        parts = {
            part: {kind: seconds * speed.factor(kind) for kind, seconds in kinds.items()}
            for part, kinds in self.parts.items()
        }
        epochs = {depth: seconds * speed.factor(f"depth {depth}") for depth, seconds in self.epochs.items()}
        builds = {depth: seconds * speed.factor("build") for depth, seconds in self.builds.items()}
        return Forecast(parts, epochs, builds, self.images, self.searches)


def search_sizes(config: Config, images: int, held_out: int) -> tuple[SearchSize, ...]:
    """What each search of the protocol reads.

    Args:
        config: The configuration.
        images: Development images; of the nested protocol all images.
        held_out: Held-out images; not asked for by the nested protocol.
    """
    if config.split.protocol != "nested":
        return (SearchSize(images, held_out),)
    counts = [int(share * images + 1e-9) for share in search_shares(config)]
    return (*(SearchSize(count, images - count) for count in counts[:-1]), SearchSize(counts[-1], 0))


def forecast(
    config: Config,
    plan: HyperbandPlan,
    architecture: BitArchitecture,
    sizes: Sequence[SearchSize],
    *,
    views: int,
    precision: str,
    recomputed: Sequence[int] = (),
    films: int = 0,
) -> Forecast:
    """Seconds of a job on the reference machine.

    Args:
        config: The configuration.
        plan: The plan of each search.
        architecture: The backbone's.
        sizes: What each search reads.
        views: Stored views that the trunk is run over, 0 where their values are there or are not kept.
        precision: Its name, see `search.bit.precision`.
        recomputed: Depths whose boundary values are computed whenever they are read.
        films: How many films are checked and prepared first.
    """
    depths, side = config.space.depths, config.preparation.image_size
    flop = architecture.convolution_flop(side)
    folds, seeds = config.search.folds or config.split.folds, config.retrain.seeds
    trunk = sum(flop) / _rate(architecture, tail=False, precision=precision)
    builds = {depth: graph_seconds(depth) for depth in depths}
    work, shapes = _planned_epochs(config, plan)
    wins = _shares(work)
    deepest = max(depths)
    names = ("start", "trunk", "search", "retrain", "baselines", "evaluate", "localise", "audit", "report")
    parts: dict[str, defaultdict[str, float]] = {name: defaultdict(float) for name in names}
    parts["start"] |= {"start": _START_SECONDS, "check": films * _CHECK_SECONDS, "prepare": films * _PREPARE_SECONDS}
    parts["trunk"]["trunk"] = views * trunk + (_TRUNK_SECONDS if views else 0.0)
    for depth, graphs in shapes.items():  # all searches share them
        parts["search"]["build"] += graphs * builds[depth]
    epochs: dict[int, float] = {}
    for size in sizes:
        training, validation = images_an_epoch(config, size.development)
        epochs = {
            depth: _epoch_seconds(architecture, flop, depth, training, validation, precision)
            + (trunk * (training + validation) * (depth in recomputed))
            for depth in depths
        }
        for depth, count in work.items():
            parts["search"][f"depth {depth}"] += folds * count * epochs[depth]
        parts["search"]["trial"] += plan.trials * folds * _TRIAL_SECONDS
        own_seeds = seeds if size.held_out or len(sizes) == 1 else 1
        for depth, share in wins.items():
            parts["retrain"][f"depth {depth}"] += own_seeds * plan.max_epochs * share * epochs[depth]
        parts["retrain"]["report"] += _BESIDE_SECONDS
        if not size.held_out:
            continue
        parts["baselines"][f"depth {deepest}"] += (folds + seeds) * plan.max_epochs * epochs[deepest]
        parts["baselines"]["build"] += builds[deepest]
        views_read = views / max(1, len(sizes)) if views else 4 * size.development
        parts["baselines"]["probe"] += _PROBE_SECONDS * views_read * architecture.n_features * (folds + 1)
        passes = 3 * size.held_out * trunk  # the exported file's, all other models' and the baselines' share one each
        models, opened = 2 * seeds + folds, _OPEN_SECONDS_A_UNIT * architecture.max_depth
        trained = sum(share * depth for depth, share in wins.items())
        parts["evaluate"]["evaluate"] += passes + opened + models * (_MODEL_SECONDS + _MODEL_SECONDS_A_UNIT * trained)
        parts["localise"]["localise"] += passes + _LOCALISE_SECONDS + _LOCALISE_SECONDS_A_UNIT * trained
        parts["audit"]["audit"] += _AUDIT_SECONDS
        parts["report"]["report"] += _REPORT_SECONDS
    return Forecast(parts, epochs, builds, sizes[-1].development, len(sizes))


def graph_seconds(depth: int) -> float:
    """Seconds that making the graph of an unfreeze depth takes on the reference machine."""
    return _BUILD_SECONDS + _BUILD_SECONDS_A_UNIT * depth


def images_an_epoch(config: Config, images: int) -> tuple[int, int]:
    """Images trained and validated in an epoch of a fold, of so many development images."""
    batch = config.search.batch_size
    validation = images // config.split.folds
    steps = config.search.steps_per_epoch or -(-(images - validation) // batch)
    return steps * batch, validation


def _rate(architecture: BitArchitecture, *, tail: bool, precision: str) -> float:
    """Operations a second of the reference machine in a part of the network."""
    share = (_TAIL_SHARE if tail else _TRUNK_SHARE) if architecture.width >= R50X1.width else _SMALL_SHARE
    faster = precision == "bfloat16" or (tail and precision == "bfloat16-tail")
    return share * (_BFLOAT16_GAIN if faster else 1.0) * REFERENCE_GFLOPS * 1e9


def _epoch_seconds(
    architecture: BitArchitecture, flop: Sequence[int], depth: int, training: int, validation: int, precision: str
) -> float:
    tail = sum(flop[len(flop) - depth :]) if depth < len(flop) else sum(flop)
    rate = _rate(architecture, tail=True, precision=precision)
    # A training step is three passes.
    return tail * (3 * training + validation) / rate + _HEAD_SECONDS * (training + validation)


def _planned_epochs(config: Config, plan: HyperbandPlan) -> tuple[dict[int, float], Counter[int]]:
    """Unfreeze depth to the epochs of a fold that the plan trains at it, and to the graphs that it makes.

    Who is promoted nobody knows: of a rung's configurations each is as likely.
    """
    drawn, depths = planned_configurations(config, plan), config.space.depths
    work: defaultdict[int, float] = defaultdict(float)
    shapes: set[tuple[int, int]] = set()
    for position, bracket in enumerate(plan.brackets):
        tried = plan.configurations_of(position)[: bracket.rungs[0].trials]  # behind them are spares
        known = [drawn[number] for number in tried if number in drawn]
        shapes |= {(each.unfreeze_depth, each.head_width) for each in known}
        shares = Counter(each.unfreeze_depth for each in known) or Counter(depths)
        for rung in bracket.rungs:
            for depth, count in shares.items():
                work[depth] += rung.trials * (rung.epochs - rung.initial_epoch) * count / shares.total()
    if not drawn:
        each_depth = min(len(set(config.space.head_width)), -(-plan.configurations // len(depths)))
        return dict(work), Counter(dict.fromkeys(depths, each_depth))
    return dict(work), Counter(depth for depth, _ in shapes)


def _shares(work: Mapping[int, float]) -> dict[int, float]:
    total = sum(work.values()) or 1.0
    return {depth: epochs / total for depth, epochs in work.items()}
