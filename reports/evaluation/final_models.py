"""Models beside the exported one: other seeds of the same training, and the ensemble of the winner's fold models.

How much the seed alone moves the score says how far the exported model's figures are its luck. The fold models have
each left out a part of the development patients; their mean often ranks better than any one model, and is compared
with the exported one on the same patients. Neither is chosen: the exported model was fixed in advance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from reports.errors import ReportError
from reports.evaluation.comparison import HeldOut, differences
from reports.metrics.table import classification_metrics
from reports.predictions import Predictions

SEED_METRICS = ("primary_auc", "macro_ovr_auc", "balanced_accuracy")
ENSEMBLE_METRICS = ("primary_auc", "abnormal_auc", "macro_ovr_auc", "balanced_accuracy", "brier", "log_loss")


@dataclass(frozen=True)
class FoldEnsemble:
    """The winner's fold models on the held-out patients.

    Attributes:
        members: Predictions of each fold model, of the same cases in the same order.
        exact: Whether training again gave the very logits that the search stored; False on devices that don't repeat
            bit for bit.
    """

    members: tuple[Predictions, ...]
    exact: bool

    @property
    def mean(self) -> Predictions:
        """The mean of the members' probabilities.

        Raises:
            ReportError: If the members are not about the same cases.
        """
        first = self.members[0]
        if any(member.image_ids != first.image_ids for member in self.members):
            raise ReportError(
                expected="fold models' predictions of the same images",
                found="different images",
                remedy="Predict the same split with each of them.",
            )
        return replace(first, probabilities=np.mean([member.probabilities for member in self.members], axis=0))


def seed_scores(tables: Sequence[Predictions]) -> dict[str, list[float | None]]:
    """A few metrics of each final seed, the exported one first; a list a metric, None where not defined."""
    values = [classification_metrics(table) for table in tables]
    return {name: [value[name] for value in values] for name in SEED_METRICS}


def ensemble_section(exported: Predictions, ensemble: FoldEnsemble) -> dict[str, Any]:
    """The ensemble's metrics and what it has over the exported model.

    Args:
        exported: Held-out predictions of the exported model.
        ensemble: The fold models.

    Returns:
        ``members``, ``exact``, ``metrics`` (name to interval) and ``difference`` (ensemble − exported, name to
        interval).
    """
    mean = HeldOut(ensemble.mean)
    less = differences(mean, HeldOut(exported))
    return {
        "members": len(ensemble.members),
        "exact": ensemble.exact,
        "metrics": {name: asdict(mean.metrics.interval((name,))) for name in ENSEMBLE_METRICS},
        "difference": {name: asdict(limits) for name, limits in less.items()},
    }
