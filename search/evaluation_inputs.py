"""What the evaluation is given beside the held-out predictions: attributes of the cases, and the candidates' scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammo_data.catalog import Case, CaseTable
from reports.bbc_cv import SelectionCorrection, bbc_cv
from reports.subgroups import CaseAttributes, radius_terciles
from reports.trial_record import TrialRecord
from reports.trial_table import ranked
from search.out_of_fold import read_out_of_fold


def case_attributes(table: CaseTable) -> dict[str, CaseAttributes]:
    """Tissue, kinds of finding and the largest located finding's radius of each image, by image id."""
    return {case.image_id: _attributes(case) for case in table.cases}


def radius_cuts(development: CaseTable) -> tuple[float, float] | None:
    """The terciles of the development images' radii; None where none has a radius."""
    attributes = case_attributes(development)
    if all(item.radius is None for item in attributes.values()):
        return None
    return radius_terciles(attributes)


def selection_correction(
    oof: Path, records: Sequence[TrialRecord], class_names: Sequence[str], *, seed: int
) -> SelectionCorrection | None:
    """BBC-CV over the full-budget runs, each at its own best epoch.

    Args:
        oof: The folder ``oof`` of the search.
        records: All runs, by their number.
        class_names: Ordered class names.
        seed: Seed of the draws.

    Returns:
        The correction; None where no run completed.

    Raises:
        RunError: If a file is missing or damaged.
    """
    candidates = [read_out_of_fold(oof, record, records, class_names) for record in ranked(records)]
    if not candidates:
        return None
    first = candidates[0].predictions
    return bbc_cv(
        first.labels,
        np.stack([candidate.predictions.probabilities for candidate in candidates]),
        first.patient_ids,
        candidates[0].folds,
        seed=seed,
    )


def _attributes(case: Case) -> CaseAttributes:
    radii = [finding.film_radius for finding in case.findings if finding.film_radius is not None]
    return CaseAttributes(
        tissue=case.tissue,
        abnormalities=tuple(finding.abnormality for finding in case.findings if finding.abnormality),
        radius=max(radii, default=None),
    )
