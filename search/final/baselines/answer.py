"""Was the search worth it, and was there enough of what it used: two sections of metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from reports import Evaluation, Predictions, SelectionCorrection, TrialRecord, baselines_section, incumbents, ranked
from search.final.baselines.baseline import Baselines
from search.trials.out_of_fold import read_out_of_fold


def with_answer(
    evaluation: Evaluation,
    baselines: Baselines,
    held_out: Sequence[Predictions],
    selection: SelectionCorrection | None,
    trials: list[dict[str, Any]],
    *,
    seed: int,
) -> Evaluation:
    """The evaluation with its baselines, ``baselines`` and ``enough`` in its metrics (`reports.evaluation.baselines`).

    Args:
        evaluation: Of the exported model.
        baselines: What it is compared with.
        held_out: What their models say of the same patients, in the order of their fingerprints.
        selection: BBC-CV's correction of the winner's score.
        trials: From `by_trials`.
        seed: Of the resamples.
    """
    results = baselines.results(held_out)
    found = {
        "baselines": baselines_section(evaluation.predictions, results, selection, seed=seed),
        "enough": {"by_trials": trials, "by_patients": list(baselines.by_patients)},
    }
    return replace(evaluation, metrics={**evaluation.metrics, **found}, baselines=results)


def by_trials(
    oof: Path, records: Sequence[TrialRecord], class_names: Sequence[str], *, seed: int
) -> list[dict[str, Any]]:
    """The best full-budget trial so far after each of them, corrected for the choice.

    Args:
        oof: The folder ``oof`` of the search.
        records: All trials, by their number.
        class_names: Ordered class names.
        seed: Of the resamples.

    Raises:
        RunError: If a file is missing or damaged.
    """
    finalists = sorted(ranked(records), key=lambda record: record.trial)
    if not finalists:
        return []
    stored = [read_out_of_fold(oof, record, records, class_names) for record in finalists]
    cases = stored[0].predictions
    probabilities = np.stack([trial.predictions.probabilities for trial in stored])
    found = incumbents(cases.labels, probabilities, cases.patient_ids, stored[0].folds, seed=seed)
    return [
        {
            "trials": best.candidates,
            "trial": record.trial,
            "selected": best.selected,
            "macro_ovr_auc": asdict(best.corrected),
        }
        for best, record in zip(found, finalists, strict=True)
    ]
