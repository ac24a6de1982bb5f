"""The whole evaluation of a model on held-out patients: what metrics.json holds.

``metrics.json`` has the table of `reports.metrics.table` (``n`` to ``confusion_matrix``; each metric as ``{"value",
"lower", "upper", "level", "method", "undefined"}``, value and limits null where not defined), ``intervals`` (how the
limits were made), and these sections, each only where its inputs are given:

    calibration        candidates (list of `reports.decisions.correction.CandidateCorrection`), chosen (the name of the
                       one that is applied; "none": nothing is, the temperature is 1 and the shifts are 0), temperature,
                       log_prior_shift, prior_shift (whether one was taken; null where training left the prior alone),
                       cases (fitted on), uncorrected and corrected: `CALIBRATION_METRICS` with intervals,
                       calibration_intercept and calibration_slope
    operating_points   list of `reports.decisions.operating_points.OperatingPoint`
    by_patient         `reports.decisions.by_patient.by_patient_section`: figures a woman, the worst of her images
    operating_curve    `reports.decisions.operating_curve.OperatingCurve` of the primary endpoint, out of fold
    decision_curve     thresholds, model, lower, upper, all_positive of the primary endpoint (corrected probabilities)
    subgroups          list of `reports.evaluation.subgroups.SubgroupResult`
    selection          `reports.evaluation.bbc_cv.SelectionCorrection`: the winner's inner score before and after the
                       correction for the choice of trial and epoch
    final_seeds        primary_auc, macro_ovr_auc, balanced_accuracy: a list each, the exported model first
    ensemble           `reports.evaluation.final_models.ensemble_section`: the mean of the winner's fold models
    errors             list of `reports.evaluation.confident_cases.ConfidentCase`: the most confident errors a class

A run adds ``baselines`` and ``enough`` (`reports.evaluation.baselines`), ``localisation``
(`reports.evaluation.localisation.LocalisationResult`: the pointing game, where held-out lesions have a position),
``mode`` ("whole" or "roi"), ``holdout_readings`` (how often the test patients of this split have been read),
``other_splits`` (under how many other splits the same films were read, by which runs, and in ``unknown`` readings that
do not say of which films), ``nested_seconds`` (what the nested protocol would take, estimated), and of its search

    convergence        `reports.evaluation.convergence.Convergence` of the winner; of a nested run, of the search on all
                       patients, with ``outer_searches``: how many of their winners have ``converged``, have
                       ``not_converged``, or of how many it is ``not_told``
    ranking            `reports.evaluation.ranking.Ranking`, where at least two full-budget trials can be compared

The plain metrics stay those of the model as it is exported; corrections stand beside them, never in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.decisions.by_patient import by_patient_section
from reports.decisions.correction import fit_correction
from reports.decisions.decision_curve import DecisionCurve, decision_curve
from reports.decisions.operating_curve import operating_curve
from reports.decisions.operating_points import (
    OperatingThreshold,
    calls,
    fixed_thresholds,
    head_of,
    judged_fixed,
    operating_points,
)
from reports.decisions.probabilities import ProbabilityCorrection, corrected_predictions
from reports.evaluation.baselines import BaselineResult
from reports.evaluation.bbc_cv import SelectionCorrection
from reports.evaluation.confident_cases import confident_errors
from reports.evaluation.final_models import FoldEnsemble, ensemble_section, seed_scores
from reports.evaluation.subgroups import CaseAttributes, SubgroupResult, subgroup_results
from reports.metrics.resampling import Jackknife
from reports.metrics.table import calibration_values, defined_or_none, primary_scores
from reports.metrics.table_intervals import MetricIntervals, with_intervals
from reports.predictions import Predictions

CALIBRATION_METRICS = ("brier", "log_loss", "classwise_ece")


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        metrics: The content of metrics.json.
        predictions: The held-out predictions as exported.
        corrected: The same with corrected probabilities, which are the plain ones where no correction helped; or None.
        curve: Decision curve of the primary endpoint, or None.
        subgroups: Slices; empty where no attributes were given.
        ensemble: The winner's fold models, or None.
        baselines: What the winner was compared with.
    """

    metrics: Mapping[str, Any]
    predictions: Predictions
    corrected: Predictions | None = None
    curve: DecisionCurve | None = None
    subgroups: tuple[SubgroupResult, ...] = ()
    ensemble: FoldEnsemble | None = None
    baselines: tuple[BaselineResult, ...] = ()


def evaluate(
    held_out: Predictions,
    *,
    development: Predictions | None = None,
    folds: NDArray[np.integer] | None = None,
    training_shares: Sequence[float] | None = None,
    attributes: Mapping[str, CaseAttributes] | None = None,
    radius_cuts: tuple[float, float] | None = None,
    selection: SelectionCorrection | None = None,
    other_seeds: Sequence[Predictions] = (),
    ensemble: FoldEnsemble | None = None,
    seed: int = 0,
) -> Evaluation:
    """Evaluates held-out predictions with everything that the inputs allow.

    Args:
        held_out: Predictions of the exported model on the held-out patients.
        development: The winner's out-of-fold predictions, natural prevalence. Temperature, prior and
            thresholds come from these alone.
        folds: Fold that each of these was predicted in, int [n]; None for one fold.
        training_shares: Class shares that the training sampler drew, for the prior correction; equal ones for the
            balanced sampler, None where it drew at natural prevalence.
        attributes: Image id to attributes, for the subgroups.
        radius_cuts: From `reports.evaluation.subgroups.radius_terciles` on development images.
        selection: BBC-CV's correction of the winner's score.
        other_seeds: Predictions of the final models that were not exported.
        ensemble: The winner's fold models.
        seed: Of the folds that a correction is chosen by.

    Returns:
        The evaluation.

    Raises:
        ReportError: If a patient is in both tables.
    """
    table = with_intervals(held_out)
    corrected, curve = None, None
    if development is not None:
        choice = fit_correction(development, training_shares, folds=folds, seed=seed)
        if choice is not None:
            correction = choice.correction
            corrected = corrected_predictions(held_out, correction)
            development = corrected_predictions(development, correction)
            shifted = None if training_shares is None else any(correction.log_prior_shift)
            section = _calibration(table, corrected, correction, fixed=True)
            candidates = [asdict(candidate) for candidate in choice.candidates]
            table["calibration"] = {"candidates": candidates} | section | {"prior_shift": shifted}
            curve = decision_curve(corrected, *primary_scores(corrected))
            table["decision_curve"] = curve_section(curve)
        points = operating_points(development, corrected or held_out, folds=folds)
        table["operating_points"] = [point.as_dict() for point in points]
        known = fixed_thresholds(development, folds)
        table["by_patient"] = _by_patient(held_out, corrected or held_out, known, fixed=True)
        if (thresholds := operating_curve(development)) is not None:
            table["operating_curve"] = asdict(thresholds)
    slices: tuple[SubgroupResult, ...] = ()
    if attributes is not None:
        slices = subgroup_results(held_out, attributes, radius_cuts=radius_cuts)
        table["subgroups"] = [asdict(result) for result in slices]
    if selection is not None:
        table["selection"] = asdict(selection)
    table["final_seeds"] = seed_scores([held_out, *other_seeds])
    if ensemble is not None:
        table["ensemble"] = ensemble_section(held_out, ensemble)
    table["errors"] = [asdict(case) for case in confident_errors(held_out)]
    return Evaluation(table, held_out, corrected, curve, slices, ensemble)


def evaluate_fixed(
    predictions: Predictions,
    *,
    correction: ProbabilityCorrection | None,
    thresholds: Sequence[OperatingThreshold] = (),
    fixed: bool = False,
) -> dict[str, Any]:
    """Metrics of a model whose calibration and thresholds stand already: nothing is fitted on the cases at hand.

    Args:
        predictions: The model's own probabilities, of patients that it has not been developed on.
        correction: From them to calibrated ones, fitted on development patients; None for none.
        thresholds: On calibrated probabilities.
        fixed: Whether a split has dealt out the patients of each class (`reports.metrics.resampling.Jackknife`).

    Returns:
        Plain values that `json.dumps` takes: the table of metrics, ``calibration`` as the module's docstring has it
        (without ``candidates`` and ``prior_shift``), and ``operating_points``, each with endpoint, target_specificity
        and threshold, ``asked`` for a user's own point alone, sensitivity and specificity with intervals, the four
        counts, and wilson_sensitivity; and ``by_patient``.
    """
    table = with_intervals(predictions, fixed=fixed)
    scored = predictions
    if correction is not None:
        scored = corrected_predictions(predictions, correction)
        table["calibration"] = _calibration(table, scored, correction, fixed=fixed)
    jackknife = Jackknife.of(predictions.patient_ids, predictions.labels, fixed=fixed)
    table["operating_points"] = [judged_fixed(scored, threshold, jackknife) for threshold in thresholds]
    table["by_patient"] = _by_patient(predictions, scored, thresholds, fixed=fixed)
    return table


def _by_patient(
    plain: Predictions, corrected: Predictions, thresholds: Sequence[OperatingThreshold], *, fixed: bool
) -> dict[str, Any]:
    points = [(head_of(threshold), *calls(corrected, threshold)) for threshold in thresholds]
    return by_patient_section(plain, points, fixed=fixed)


def curve_section(curve: DecisionCurve) -> dict[str, list[float | None]]:
    """The decision curve as metrics.json holds it; null where there is no limit."""
    return {name: [defined_or_none(value) for value in values] for name, values in vars(curve).items()}


def _calibration(
    plain: Mapping[str, Any], corrected: Predictions, correction: ProbabilityCorrection, *, fixed: bool
) -> dict[str, Any]:
    after = MetricIntervals(corrected, fixed=fixed)
    line = calibration_values(corrected)
    return {
        "chosen": correction.kind,
        "temperature": correction.temperature,
        "log_prior_shift": list(correction.log_prior_shift),
        "cases": correction.cases,
        "uncorrected": {metric: plain[metric] for metric in (*CALIBRATION_METRICS, *line)},
        "corrected": {metric: asdict(after.interval((metric,))) for metric in CALIBRATION_METRICS} | line,
    }
