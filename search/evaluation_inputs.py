"""What the evaluation is given beside the held-out predictions: attributes of the cases, and the candidates' scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mammo_data.cases import Case, CaseTable
from reports.evaluation.bbc_cv import SelectionCorrection, bbc_cv
from reports.evaluation.subgroups import CaseAttributes, radius_terciles
from reports.trial_record import TrialRecord
from reports.trials import ranked
from search.trials.out_of_fold import read_every_epoch


def case_attributes(table: CaseTable) -> dict[str, CaseAttributes]:
    """Tissue, kinds of finding and the largest located finding's radius of each image, by image id."""
    return {case.image_id: _attributes(case) for case in table.cases}


def radius_cuts(development: CaseTable) -> tuple[float, float] | None:
    """The terciles of the development images' radii; None where none has a radius."""
    attributes = case_attributes(development)
    if all(item.radius is None for item in attributes.values()):
        return None
    return radius_terciles(attributes)


def selection_correction(oof: Path, records: Sequence[TrialRecord], *, seed: int) -> SelectionCorrection | None:
    """BBC-CV over every epoch of every full-budget run: the search's score is the largest of all these.

    Args:
        oof: The folder ``oof`` of the search.
        records: All runs, by their number.
        seed: Seed of the draws.

    Returns:
        The correction; None where no run completed.

    Raises:
        RunError: If a file is missing or damaged.
    """
    # In the order of their numbers, not best first: of equal candidates the first one is chosen.
    finalists = sorted(ranked(records), key=lambda record: record.run)
    if not finalists:
        return None
    stored = [read_every_epoch(oof, record, records) for record in finalists]
    return bbc_cv(
        stored[0].labels,
        np.concatenate([run.probabilities for run in stored]),
        stored[0].patient_ids,
        stored[0].folds,
        runs=np.repeat([record.run for record in finalists], [len(run.probabilities) for run in stored]),
        seed=seed,
    )


def _attributes(case: Case) -> CaseAttributes:
    radii = [finding.film_radius for finding in case.findings if finding.film_radius is not None]
    return CaseAttributes(
        tissue=case.tissue,
        abnormalities=tuple(finding.abnormality for finding in case.findings if finding.abnormality),
        radius=max(radii, default=None),
    )
