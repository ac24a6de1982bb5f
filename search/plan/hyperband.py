"""Hyperband for at most N trials, planned as a whole before the first one starts.

Hyperband (Li et al., JMLR 2018) is a set of brackets. Bracket ``s`` starts many configurations on few epochs and
promotes the best ``1/factor`` of them ``s`` times, so that the last rung is trained on ``max_epochs``. KerasTuner
carries out whichever brackets follow from ``max_epochs`` and ``factor`` and knows no bound on the trials; cutting it
off after N leaves nothing that was trained past the first rungs. Here the bound chooses the brackets.

Sizes and epochs are KerasTuner's (``HyperbandOracle._get_size`` and ``_get_epochs``, 1.4.8), which rounds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Rung:
    """One level of a bracket.

    Attributes:
        trials: How many configurations are trained on it.
        initial_epoch: Epochs that each of them has behind it.
        epochs: Epochs that each of them has behind it at the end.
    """

    trials: int
    initial_epoch: int
    epochs: int


@dataclass(frozen=True)
class Bracket:
    """Rungs from the widest to the one at the full budget."""

    rungs: tuple[Rung, ...]


@dataclass(frozen=True)
class HyperbandPlan:
    """All trials of a search.

    Attributes:
        brackets: In the order in which they run: the one with most promotions first, repeated for each iteration.
        max_trials: The bound that the plan was made for.
        max_epochs: The full budget of a configuration.
        factor: Reduction factor between rungs.
        spares: Configurations drawn beyond ``configurations``, to take the places of failed ones.
    """

    brackets: tuple[Bracket, ...]
    max_trials: int
    max_epochs: int
    factor: int
    spares: int

    @property
    def trials(self) -> int:
        """Number of trials; never above ``max_trials``."""
        return _trials(self.brackets)

    @property
    def configurations(self) -> int:
        """Number of configurations tried."""
        return sum(bracket.rungs[0].trials for bracket in self.brackets)

    @property
    def epochs(self) -> int:
        """Epochs trained, all trials together; a promotion trains only what its parent has not."""
        rungs = [rung for bracket in self.brackets for rung in bracket.rungs]
        return sum(rung.trials * (rung.epochs - rung.initial_epoch) for rung in rungs)

    @property
    def full_budget_trials(self) -> int:
        """Trials that end at ``max_epochs``."""
        return sum(bracket.rungs[-1].trials for bracket in self.brackets)

    def configurations_of(self, bracket: int) -> tuple[int, ...]:
        """Numbers of the configurations that a bracket tries, then of its own spares.

        Spares are dealt out in proportion to the first rungs: what fails in one bracket must not change another one.
        """
        first = sum(other.rungs[0].trials for other in self.brackets[:bracket])
        tried = range(first, first + self.brackets[bracket].rungs[0].trials)
        spares = [
            self.configurations + number
            for number in range(self.spares)
            if number * self.configurations // self.spares in tried
        ]
        return (*tried, *spares)

    def limited_to(self, drawn: int) -> HyperbandPlan:
        """What can be carried out with so many configurations, spares included: a discrete space may hold no more."""
        brackets = []
        for bracket in self.brackets:
            rungs = tuple(replace(rung, trials=min(rung.trials, drawn)) for rung in bracket.rungs)
            brackets.append(Bracket(rungs))
            drawn -= rungs[0].trials
        return replace(self, brackets=tuple(brackets), spares=drawn)


def plan_hyperband(max_trials: int, *, max_epochs: int = 30, factor: int = 3) -> HyperbandPlan:
    """Find the Hyperband that spends a bound on the trials best.

    Among all sets of brackets 0 … s whose widths are KerasTuner's or scaled down from them, the one is taken that uses
    most of the ``max_trials``; of equals the one with more promotions. It is repeated while it fits as a whole. A
    set without promotions (s = 0, random search) is taken only where nothing else fits. Widths are never scaled up:
    that would trade configurations that Hyperband weighs against each other for more of one kind.

    Args:
        max_trials: Bound on the trials, 1 or more.
        max_epochs: Full budget of a configuration, 1 or more.
        factor: Reduction factor, 2 or more.

    Returns:
        The plan; ``plan.trials <= max_trials``, and at least one trial reaches ``max_epochs``.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if max_trials < 1 or max_epochs < 1 or factor < 2:
        raise ValueError(
            "Expected max_trials >= 1, max_epochs >= 1 and factor >= 2. "
            f"Received: max_trials={max_trials}, max_epochs={max_epochs}, factor={factor}"
        )
    top = max(promotions for promotions in range(max_epochs) if factor**promotions <= max_epochs)
    full_width = math.ceil(1 + math.log(max_epochs, factor))
    candidates = [
        tuple(_bracket(number, width, max_epochs, factor) for number in range(promotions, -1, -1))
        for promotions in range(top + 1)
        for width in range(1, full_width + 1)
    ]
    fitting = [brackets for brackets in candidates if _trials(brackets) <= max_trials]
    promoting = [brackets for brackets in fitting if len(brackets) > 1]
    best = max(promoting or fitting, key=lambda brackets: (_trials(brackets), len(brackets)))
    return _plan(best * (max_trials // _trials(best)), max_trials, max_epochs, factor)


def plan_without_promotions(max_trials: int, *, max_epochs: int) -> HyperbandPlan:
    """Every trial a configuration of its own at the full budget: random and Bayesian search.

    Raises:
        ValueError: If an argument is below 1.
    """
    if max_trials < 1 or max_epochs < 1:
        raise ValueError(f"Expected 1 or more. Received: max_trials={max_trials}, max_epochs={max_epochs}")
    return _plan((Bracket((Rung(max_trials, 0, max_epochs),)),), max_trials, max_epochs, 1)


def _plan(brackets: tuple[Bracket, ...], max_trials: int, max_epochs: int, factor: int) -> HyperbandPlan:
    plan = HyperbandPlan(brackets, max_trials, max_epochs, factor, 0)
    # A third of a bracket's configurations may fail before its promotions lack candidates.
    return replace(plan, spares=max(2, math.ceil(plan.configurations / 3)))


def _bracket(promotions: int, width: int, max_epochs: int, factor: int) -> Bracket:
    """A bracket; ``width`` is the size of the set's bracket 0, KerasTuner's ``bracket0_end_size``."""
    last_size = width / (promotions + 1)
    epochs = [0] + [math.ceil(max_epochs / factor ** (promotions - rung)) for rung in range(promotions + 1)]
    sizes = [math.ceil(last_size * factor ** (promotions - rung)) for rung in range(promotions + 1)]
    return Bracket(tuple(Rung(size, epochs[rung], epochs[rung + 1]) for rung, size in enumerate(sizes)))


def _trials(brackets: tuple[Bracket, ...]) -> int:
    return sum(rung.trials for bracket in brackets for rung in bracket.rungs)
