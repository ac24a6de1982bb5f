"""The clock of a job: what of it has ended, how long the rest takes, and what it has taught about this machine."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from search.config.schema import Config
from search.machine.places import Crew
from search.machine.speed import REFERENCE_GFLOPS, OthersAtWork, Speed
from search.plan.clock import SearchClock, search_clock
from search.plan.cost import CostModel
from search.plan.forecast import Forecast
from search.plan.hyperband import HyperbandPlan


def among(one: Forecast, config: Config, plan: HyperbandPlan, crew: Crew) -> Forecast:
    """A job whose training is divided among workers: times pass beside each other, and an epoch is one worker's.

    Args:
        one: The job with one worker that has the machine for itself.
        config: The configuration.
        plan: The plan of each search.
        crew: The workers.
    """
    if crew.workers == 1:
        return one
    epochs = {depth: crew.slower * seconds for depth, seconds in one.epochs.items()}

    def searching(epochs: Mapping[int, float], workers: int) -> float:
        clock = search_clock(config, plan, CostModel(epochs), builds=one.builds, workers=workers)
        return clock.seconds_left(0.0) or 0.0

    def shared(*models: int) -> float:
        return crew.slower * sum(math.ceil(count / crew.workers) for count in models) / sum(models)

    folds, seeds = config.search.folds or config.split.folds, config.retrain.seeds
    search = searching(epochs, crew.workers) / searching(one.epochs, 1)
    shares = {"search": dict.fromkeys(one.parts["search"], search)}
    for part, share in (("retrain", shared(seeds)), ("baselines", shared(folds, seeds))):
        shares[part] = {kind: share for kind in one.parts[part] if kind.startswith("depth ")}
    parts = {
        part: {kind: seconds * shares.get(part, {}).get(kind, 1.0) for kind, seconds in kinds.items()}
        for part, kinds in one.parts.items()
    }
    return replace(one, parts=parts, epochs=epochs)


class JobClock:
    """A job, from the forecast on.

    Args:
        now: Seconds of a monotonic clock when the job began.

    Attributes:
        here: The forecast for this machine; empty before there is one.
        speed: What it was judged by.
        whole: Whether nothing was found done before: then it tells how fast the machine is.
    """

    def __init__(self, now: float) -> None:
        self._began, self._starts = now, 0.0
        self._reference = self.here = Forecast({}, {}, {})
        self._took: defaultdict[str, float] = defaultdict(float)
        self._ended: Counter[str] = Counter()
        self._searches_begun = 0
        self._board: SearchClock | None = None
        self._others = OthersAtWork()
        self.speed = Speed(REFERENCE_GFLOPS)
        self.whole = True

    def expects(self, reference: Forecast, here: Forecast, speed: Speed, now: float) -> None:
        """What is to come is known now: on the reference machine, and here, where the speed is this."""
        self._reference, self.here, self.speed = reference, here, speed
        self._starts = now - self._began

    def search_begins(self, board: SearchClock) -> None:
        """A search is on."""
        self._searches_begun += 1
        self._board = board

    def search_ends(self) -> None:
        """It has ended."""
        self._ended["search"] += 1

    def part_ended(self, part: str, seconds: float, *, first: int = 0, total: int | None = None) -> None:
        """A part of the job has ended.

        Args:
            part: Its name.
            seconds: How long it took.
            first: How much of it was done when it was told of for the first time; beyond a third its time teaches
                nothing.
            total: Of how much; None where it was not told of: films or the trunk's values were then there.
        """
        self._ended[part] += 1
        if not (total is None and part in ("prepare", "trunk")) and 3 * first <= (total or 0):
            self._took[part] += seconds

    def seconds_left(self, now: float, at_work: Iterable[tuple[str, float, float | None]] = ()) -> float | None:
        """Until the job ends; None before it is known.

        Args:
            now: Seconds of a monotonic clock.
            at_work: Parts that are on: name, when it began, and seconds left as it tells itself.
        """
        here = self.here
        if not here.parts:
            return None
        left = 0.0
        running = {name: (began, own) for name, began, own in at_work}
        for part in here.parts:
            each = here.seconds(part) / here.searches
            if part == "start":
                continue
            if part == "search":
                left += each * (here.searches - self._searches_begun)
                if self._board is not None and self._ended["search"] < self._searches_begun:
                    left += self._board.seconds_left(now) or 0.0
                continue
            count = 1 if part == "trunk" else here.searches
            whole = here.seconds(part) if part == "trunk" else each
            to_come = max(0, count - self._ended[part] - (part in running))
            left += whole * to_come
            if part in running:
                began, own = running[part]
                left += own if own is not None else max(0.0, whole - (now - began))
        return left

    def speed_in(self, costs: CostModel) -> Speed:
        """This machine's speed, by the epochs that were measured in a search wherever they were."""
        told = {
            f"depth {depth}": seconds / (epochs * self._reference.epochs[depth])
            for depth, (seconds, epochs) in costs.measured.items()
        }
        return replace(self.speed, factors={**self.speed.factors, **told})

    @property
    def taught(self) -> tuple[dict[str, float], dict[str, float]]:
        """Kinds: what they took, others at work left out, and what they take on the reference machine."""
        reference, board = self._reference, self._board
        if board is None or not self.whole or not reference.parts:
            return {}, {}
        took, expected = {part: self._took[part] for part in ("check", "prepare")}, dict(reference.parts["start"])
        took["start"] = self._starts - sum(took.values()) - self._took["precision"]
        for depth, (seconds, epochs) in board.costs.measured.items():
            took[f"depth {depth}"], expected[f"depth {depth}"] = seconds, epochs * reference.epochs[depth]
        if (longer := board.longer_to_build) is not None:
            # Builds were believed as this machine was thought to make them.
            took["build"], expected["build"] = longer * sum(board.builds.values()), sum(reference.builds.values())
        for part in ("trunk", "evaluate", "localise", "audit", "report"):
            if self._took[part]:
                took[part], expected[part] = self._took[part], reference.seconds(part)
        if self._took["baselines"]:
            others = self.here.parts["baselines"]
            trained = sum(
                reference.parts["baselines"][kind] * took[kind] / expected[kind] if kind in took else others[kind]
                for kind in others
                if kind != "probe"
            )
            expected["probe"] = reference.parts["baselines"]["probe"]
            # Not nothing, where the training took less than it had in the search.
            took["probe"] = max(expected["probe"] / 4, self._took["baselines"] - trained)
        quiet = 1.0 - self._others.share()
        return {kind: seconds * quiet for kind, seconds in took.items()}, expected
