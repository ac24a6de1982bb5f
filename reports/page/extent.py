"""How much of its plan a search has carried out, and why not all of it: one text for the screen and for every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Cause = Literal["max_minutes", "failures", "space"]

_ENDED_BY: dict[Cause, str] = {
    "max_minutes": "max_minutes",
    "failures": "failed trials",
    "space": "an exhausted search space",
}


@dataclass(frozen=True)
class SearchExtent:
    """How far searches came that have ended; of a nested run, all such searches together.

    Attributes:
        searches: How many have ended.
        trials: Their completed trials.
        planned_trials: Trials of their plans.
        failed: Their failed trials; others take their places while there are any.
        epochs: Epochs of the completed trials, continued ones counted once.
        planned_epochs: Epochs of their plans.
        full_budget_trials: Completed trials that reached the full budget of the plan.
        planned_full_budget_trials: Those of their plans.
        full_epochs: The full budget in epochs; None where an older version has not written it down.
        ended_by: What kept a plan from being carried out, one cause or several; empty where nothing did.
    """

    searches: int
    trials: int
    planned_trials: int
    failed: int
    epochs: int
    planned_epochs: int
    full_budget_trials: int
    planned_full_budget_trials: int
    full_epochs: int | None = None
    ended_by: tuple[Cause, ...] = ()

    def __str__(self) -> str:
        """What a reader has to know, as words that follow "the search was"; "" where nothing went amiss."""
        if not self.ended_by:
            failed = f"{self.failed} trial{'s' if self.failed > 1 else ''} failed"
            return f"carried out in full; {failed}, and others took their places" if self.failed else ""
        text = f"stopped by {' and '.join(_ENDED_BY[cause] for cause in self.ended_by)}"
        text += f" after {self.trials} of {self.planned_trials} trials"
        text += f" in {self.searches} searches" if self.searches > 1 else ""
        text += f" ({self.failed} failed)" if self.failed else ""
        if self.full_epochs is None:
            return text
        reached = f"{self.full_budget_trials} of {self.planned_full_budget_trials}"
        return (
            f"{text}; {reached if self.full_budget_trials else 'none'} at the full budget of {self.full_epochs} epochs"
        )


def all_together(extents: Sequence[SearchExtent]) -> SearchExtent | None:
    """The extents of several searches of one plan as one; None of no search."""
    if not extents:
        return None
    counts = {
        name: sum(getattr(extent, name) for extent in extents)
        for name in SearchExtent.__dataclass_fields__
        if name not in ("full_epochs", "ended_by")
    }
    causes = tuple(cause for cause in _ENDED_BY if any(cause in extent.ended_by for extent in extents))
    return SearchExtent(**counts, full_epochs=extents[0].full_epochs, ended_by=causes)
