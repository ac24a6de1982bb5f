"""Hyperband for at most N runs, planned as a whole before the first one starts.

Hyperband (Li et al., JMLR 2018) is a set of brackets. Bracket ``s`` starts many configurations on few epochs and
promotes the best ``1/factor`` of them ``s`` times, so that the last rung is trained on ``max_epochs``. KerasTuner
carries out whichever brackets follow from ``max_epochs`` and ``factor`` and knows no bound on the runs; cutting it off
after N leaves nothing that was trained past the first rungs. Here the bound chooses the brackets.

Sizes and epochs are KerasTuner's (``HyperbandOracle._get_size`` and ``_get_epochs``, 1.4.8), which rounds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """One level of a bracket.

    Attributes:
        runs: How many configurations are trained on it.
        initial_epoch: Epochs that each of them has behind it.
        epochs: Epochs that each of them has behind it at the end.
    """

    runs: int
    initial_epoch: int
    epochs: int

    @property
    def new_epochs(self) -> int:
        """Epochs trained on this rung, all runs together."""
        return self.runs * (self.epochs - self.initial_epoch)


@dataclass(frozen=True)
class Bracket:
    """Rungs from the widest to the one at the full budget; ``promotions`` is Hyperband's bracket number."""

    rungs: tuple[Rung, ...]

    @property
    def promotions(self) -> int:
        """Number of promotions, Hyperband's ``s``."""
        return len(self.rungs) - 1


@dataclass(frozen=True)
class HyperbandPlan:
    """All runs of a search.

    Attributes:
        brackets: In the order in which they run: the one with most promotions first, repeated for each iteration.
        max_trials: The bound that the plan was made for.
        max_epochs: The full budget of a configuration.
        factor: Reduction factor between rungs.
        iterations: How often the whole set of brackets is repeated.
        spares: Configurations drawn beyond ``configurations``, to take the places of failed ones.
    """

    brackets: tuple[Bracket, ...]
    max_trials: int
    max_epochs: int
    factor: int
    iterations: int
    spares: int

    @property
    def runs(self) -> int:
        """Number of runs; never above ``max_trials``."""
        return sum(rung.runs for bracket in self.brackets for rung in bracket.rungs)

    @property
    def configurations(self) -> int:
        """Number of configurations tried."""
        return sum(bracket.rungs[0].runs for bracket in self.brackets)

    @property
    def epochs(self) -> int:
        """Epochs trained, all runs together; a promotion trains only what its parent has not."""
        return sum(rung.new_epochs for bracket in self.brackets for rung in bracket.rungs)

    @property
    def full_budget_runs(self) -> int:
        """Runs that end at ``max_epochs``."""
        return sum(bracket.rungs[-1].runs for bracket in self.brackets)


def plan_hyperband(max_trials: int, *, max_epochs: int = 30, factor: int = 3) -> HyperbandPlan:
    """Find the Hyperband that spends a bound on the runs best.

    Among all sets of brackets 0 … s whose widths are KerasTuner's or scaled down from them, the one is taken that uses
    most of the ``max_trials`` runs; of equals the one with more promotions. It is repeated while it fits as a whole. A
    set without promotions (s = 0, random search) is taken only where nothing else fits. Widths are never scaled up:
    that would trade configurations that Hyperband weighs against each other for more of one kind.

    Args:
        max_trials: Bound on the runs, 1 or more.
        max_epochs: Full budget of a configuration, 1 or more.
        factor: Reduction factor, 2 or more.

    Returns:
        The plan; ``plan.runs <= max_trials``, and at least one run reaches ``max_epochs``.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if max_trials < 1 or max_epochs < 1 or factor < 2:
        raise ValueError(
            "Expected max_trials >= 1, max_epochs >= 1 and factor >= 2. "
            f"Received: max_trials={max_trials}, max_epochs={max_epochs}, factor={factor}"
        )
    top = _largest_bracket(max_epochs, factor)
    full_width = math.ceil(1 + math.log(max_epochs, factor))
    candidates = [
        _brackets(promotions, width, max_epochs, factor)
        for promotions in range(top + 1)
        for width in range(1, full_width + 1)
    ]
    fitting = [brackets for brackets in candidates if _runs(brackets) <= max_trials]
    promoting = [brackets for brackets in fitting if len(brackets) > 1]
    best = max(promoting or fitting, key=lambda brackets: (_runs(brackets), len(brackets)))
    iterations = max_trials // _runs(best)
    configurations = iterations * sum(bracket.rungs[0].runs for bracket in best)
    return HyperbandPlan(
        brackets=best * iterations,
        max_trials=max_trials,
        max_epochs=max_epochs,
        factor=factor,
        iterations=iterations,
        spares=max(2, math.ceil(configurations / 4)),
    )


def plan_without_promotions(max_trials: int, *, max_epochs: int) -> HyperbandPlan:
    """Every run a configuration of its own at the full budget: random and Bayesian search.

    Raises:
        ValueError: If an argument is below 1.
    """
    if max_trials < 1 or max_epochs < 1:
        raise ValueError(f"Expected 1 or more. Received: max_trials={max_trials}, max_epochs={max_epochs}")
    bracket = Bracket((Rung(max_trials, 0, max_epochs),))
    return HyperbandPlan(
        (bracket,), max_trials, max_epochs, factor=1, iterations=1, spares=max(2, math.ceil(max_trials / 4))
    )


def _largest_bracket(max_epochs: int, factor: int) -> int:
    """The most promotions that leave the first rung with at least one whole epoch."""
    promotions = 0
    while max_epochs >= factor ** (promotions + 1):
        promotions += 1
    return promotions


def _brackets(top: int, width: int, max_epochs: int, factor: int) -> tuple[Bracket, ...]:
    """Brackets ``top`` … 0; ``width`` is the size of bracket 0, KerasTuner's ``bracket0_end_size``."""
    return tuple(_bracket(promotions, width, max_epochs, factor) for promotions in range(top, -1, -1))


def _bracket(promotions: int, width: int, max_epochs: int, factor: int) -> Bracket:
    last_size = width / (promotions + 1)
    epochs = [0] + [math.ceil(max_epochs / factor ** (promotions - rung)) for rung in range(promotions + 1)]
    sizes = [math.ceil(last_size * factor ** (promotions - rung)) for rung in range(promotions + 1)]
    return Bracket(tuple(Rung(size, epochs[rung], epochs[rung + 1]) for rung, size in enumerate(sizes)))


def _runs(brackets: tuple[Bracket, ...]) -> int:
    return sum(rung.runs for bracket in brackets for rung in bracket.rungs)
