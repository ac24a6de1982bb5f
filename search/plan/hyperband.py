"""Hyperband for at most N trials, planned as a whole before the first one starts.

Hyperband (Li et al., JMLR 2018) is a set of brackets. Bracket ``s`` starts many configurations on few epochs and
promotes the best ``1/factor`` of them ``s`` times, so that the last rung is trained on ``max_epochs``. KerasTuner
carries out whichever brackets follow from ``max_epochs`` and ``factor`` and knows no bound on the trials; cutting it
off after N leaves nothing that was trained past the first rungs. Here the bound chooses the brackets.

A *set* is one bracket each of s, s - 1, … 0 promotions; its width is the size of the last one. The plan is the largest
set of at most N trials, then the largest one of at most what that leaves, and so on: of all sequences of sets that fit,
the first in the order of sets. Larger is what has more promotions, two at most, and of equals what is wider.

- Two at most: a promotion is a trial as well. Of 90 trials KerasTuner's four brackets try 62 configurations and bring
  12 of them to 30 epochs, these sets 66 and 26.
- Widest first: the best of 15 is a better one than the best of 6.
- A promotion has to choose: sets in which a rung is as large as the one before it are left out.
- What is left is less than the smallest set: at most 3 trials with a factor of 3. They are not spent on random search.

More trials hardly ever buy less: where a larger set takes the place of two smaller ones, a search has 1 or 2 trials
fewer at the full budget, and no configuration fewer. So it is with 30 epochs and a factor of 3 ("was": of all sets,
with any number of promotions, the one that spends most, repeated where it fits again):

=====  ======  ==============  ============  ===========
    N  trials  configurations  epochs (was)  full budget
=====  ======  ==============  ============  ===========
   10      10               8     180 (180)            5
   20      19              14     236 (290)            6
   30      30              22     332 (332)            8
   40      38              28     420 (420)           10
   54      53              39     586 (420)           14
   60      59              44     696 (348)           17
   80      80              59     910 (442)           22
  100      99              73    1094 (576)           26
  120     120              89    1370 (576)           33
=====  ======  ==============  ============  ===========

Sizes and epochs are KerasTuner's (``HyperbandOracle._get_size`` and ``_get_epochs``, 1.4.8), which rounds up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

_MOST_PROMOTIONS = 2


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
        brackets: In the order in which they run: set after set, in each the one with most promotions first.
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

    @cached_property
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
        return self._dealt[bracket]

    @cached_property
    def _dealt(self) -> tuple[tuple[int, ...], ...]:
        dealt: list[list[int]] = []
        owner: list[list[int]] = []  # of each configuration, the bracket that tries it
        for bracket in self.brackets:
            size, first = bracket.rungs[0].trials, len(owner)
            dealt.append(list(range(first, first + size)))
            owner += [dealt[-1]] * size
        for number in range(self.spares):
            owner[number * self.configurations // self.spares].append(self.configurations + number)
        return tuple(map(tuple, dealt))

    @cached_property
    def numbers(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """By bracket and rung: the number of its first trial, and that of the first one to replace a failed one."""
        numbers, planned, replacing = [], 0, self.trials
        for bracket, dealt in zip(self.brackets, self._dealt, strict=True):
            candidates, of_bracket = len(dealt), []
            for rung in bracket.rungs:
                of_bracket.append((planned, replacing))
                planned, replacing = planned + rung.trials, replacing + candidates - rung.trials
                candidates = rung.trials
            numbers.append(tuple(of_bracket))
        return tuple(numbers)

    def limited_to(self, drawn: int) -> HyperbandPlan:
        """What can be carried out with so many configurations, spares included: a discrete space may hold no more."""
        brackets = []
        for bracket in self.brackets:
            rungs = tuple(replace(rung, trials=min(rung.trials, drawn)) for rung in bracket.rungs)
            brackets.append(Bracket(rungs))
            drawn -= rungs[0].trials
        return replace(self, brackets=tuple(brackets), spares=drawn)


def plan_hyperband(max_trials: int, *, max_epochs: int = 30, factor: int = 3) -> HyperbandPlan:
    """Hyperband for a bound on the trials: the largest set of brackets that fits, then the largest that fits the rest.

    More promotions are larger, two at most; of as many the wider set is. Widths are KerasTuner's or scaled down from
    them, never up: that would trade configurations that Hyperband weighs against each other for more of one kind. Where
    no set with promotions fits, all trials are one bracket without (random search).

    Args:
        max_trials: Bound on the trials, 1 or more.
        max_epochs: Full budget of a configuration, 1 or more.
        factor: Reduction factor, 2 or more.

    Returns:
        The plan; ``plan.trials <= max_trials``, no further set fits, and at least one trial reaches ``max_epochs``.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if max_trials < 1 or max_epochs < 1 or factor < 2:
        raise ValueError(
            "Expected max_trials >= 1, max_epochs >= 1 and factor >= 2. "
            f"Received: max_trials={max_trials}, max_epochs={max_epochs}, factor={factor}"
        )
    brackets: tuple[Bracket, ...] = ()
    left = max_trials
    for candidate in _sets(max_epochs, factor):
        times, left = divmod(left, _trials(candidate))
        brackets += candidate * times
    return _plan(brackets or (_bracket(0, max_trials, max_epochs, factor),), max_trials, max_epochs, factor)


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


def _sets(max_epochs: int, factor: int) -> list[tuple[Bracket, ...]]:
    """Sets of brackets with promotions that choose, the largest first."""
    full_width = math.ceil(1 + math.log(max_epochs, factor))
    sets = [
        tuple(_bracket(number, width, max_epochs, factor) for number in range(promotions, -1, -1))
        for promotions in range(_MOST_PROMOTIONS, 0, -1)
        if factor**promotions <= max_epochs
        for width in range(full_width, 0, -1)
    ]
    return [brackets for brackets in sets if all(map(_narrows, brackets))]


def _narrows(bracket: Bracket) -> bool:
    sizes = [rung.trials for rung in bracket.rungs]
    return all(after < before for before, after in pairwise(sizes))


def _bracket(promotions: int, width: int, max_epochs: int, factor: int) -> Bracket:
    """A bracket; ``width`` is the size of the set's bracket 0, KerasTuner's ``bracket0_end_size``."""
    last_size = width / (promotions + 1)
    epochs = [0] + [math.ceil(max_epochs / factor ** (promotions - rung)) for rung in range(promotions + 1)]
    sizes = [math.ceil(last_size * factor ** (promotions - rung)) for rung in range(promotions + 1)]
    return Bracket(tuple(Rung(size, epochs[rung], epochs[rung + 1]) for rung, size in enumerate(sizes)))


def _trials(brackets: tuple[Bracket, ...]) -> int:
    return sum(rung.trials for bracket in brackets for rung in bracket.rungs)
