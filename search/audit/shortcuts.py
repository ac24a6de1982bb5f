"""The shortcut probe of an audit: its scores as areas under the curve, with intervals that resample patients."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mammo_data import PreparedSet, RoiSet, grouped_scores, shortcuts
from mammo_data.checks.shortcuts import WARN_ABOVE
from reports.metrics.rates import area_interval
from reports.metrics.resampling import Jackknife


@dataclass(frozen=True)
class Probe:
    """How well a group of trifles tells abnormal from normal.

    Attributes:
        name: See `mammo_data.checks.shortcuts.shortcuts`.
        auc: Patient-grouped, or None where there are too few patients.
        lower: Limit of the 95 % interval over patients, or None.
        upper: The other limit, or None.
        visible: Whether a network could use it.
        trivial: Whether no lesion can be meant by it.
    """

    name: str
    auc: float | None
    lower: float | None
    upper: float | None
    visible: bool
    trivial: bool

    @property
    def warns(self) -> bool:
        """Whether it is worth a look."""
        return self.auc is not None and self.auc > WARN_ABOVE

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {**asdict(self), "warns": self.warns}

    def __str__(self) -> str:
        if self.auc is None:
            return f"{self.name}: too few patients"
        limits = "" if self.lower is None else f" [{self.lower:.2f}, {self.upper:.2f}]"
        # A third digit where two would not show on which side of the limit it is.
        digits = 3 if self.warns and f"{self.auc:.2f}" == f"{WARN_ABOVE:.2f}" else 2
        return f"{self.name} {self.auc:.{digits}f}{limits}"


def shortcut_probes(prepared: PreparedSet, seed: int) -> tuple[Probe, ...]:
    """The shortcut probe: of all images, whichever side they are on.

    Args:
        prepared: The images, or crops of them.
        seed: Of the probe's folds and trees.
    """
    table = prepared.table
    positive = table.labels > 0
    positions = prepared.positions if isinstance(prepared, RoiSet) else None
    jackknife = Jackknife.of(table.patient_ids, positive.astype(np.int64), fixed=False)
    probes = []
    for shortcut in shortcuts(prepared.images, table.image_ids, positions):
        scores = grouped_scores(shortcut.values, positive, table.patient_ids, seed=seed)
        if scores is None:
            probes.append(Probe(shortcut.name, None, None, None, shortcut.visible, shortcut.trivial))
            continue
        found = area_interval(positive, scores, table.patient_ids, jackknife)
        probes.append(Probe(shortcut.name, found.value, found.lower, found.upper, shortcut.visible, shortcut.trivial))
    return tuple(probes)
