"""Metrics, figures and the report, made from tables alone: nothing here knows of Keras or of the data set.

These are the names for use from outside; each is imported when it is first asked for, so that this package alone loads
neither pandas nor scikit-learn nor matplotlib. What is not named here may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.errors import ReportError as ReportError
    from reports.evaluation.bbc_cv import SelectionCorrection as SelectionCorrection
    from reports.evaluation.bbc_cv import bbc_cv as bbc_cv
    from reports.evaluation.confident_cases import ConfidentCase as ConfidentCase
    from reports.evaluation.confident_cases import confident_cases as confident_cases
    from reports.evaluation.decision_curve import DecisionCurve as DecisionCurve
    from reports.evaluation.decision_curve import decision_curve as decision_curve
    from reports.evaluation.evaluate import Evaluation as Evaluation
    from reports.evaluation.evaluate import evaluate as evaluate
    from reports.evaluation.evaluate import evaluate_fixed as evaluate_fixed
    from reports.evaluation.final_models import FoldEnsemble as FoldEnsemble
    from reports.evaluation.localisation import LocalisationResult as LocalisationResult
    from reports.evaluation.localisation import LocatedCase as LocatedCase
    from reports.evaluation.localisation import localisation_result as localisation_result
    from reports.evaluation.nested import OuterFold as OuterFold
    from reports.evaluation.nested import evaluate_nested as evaluate_nested
    from reports.evaluation.nested import nested_metrics as nested_metrics
    from reports.evaluation.operating_points import OperatingPoint as OperatingPoint
    from reports.evaluation.operating_points import OperatingThreshold as OperatingThreshold
    from reports.evaluation.operating_points import fixed_thresholds as fixed_thresholds
    from reports.evaluation.operating_points import operating_points as operating_points
    from reports.evaluation.probabilities import ProbabilityCorrection as ProbabilityCorrection
    from reports.evaluation.probabilities import corrected_predictions as corrected_predictions
    from reports.evaluation.probabilities import fit_correction as fit_correction
    from reports.evaluation.subgroups import CaseAttributes as CaseAttributes
    from reports.evaluation.subgroups import SubgroupResult as SubgroupResult
    from reports.evaluation.subgroups import radius_terciles as radius_terciles
    from reports.evaluation.subgroups import subgroup_results as subgroup_results
    from reports.figures.overlays import Overlay as Overlay
    from reports.figures.overlays import write_overlay as write_overlay
    from reports.figures.write import write_evaluation_figures as write_evaluation_figures
    from reports.figures.write import write_figures as write_figures
    from reports.figures.write import write_nested_figures as write_nested_figures
    from reports.metrics.calibration import softmax as softmax
    from reports.metrics.intervals import Interval as Interval
    from reports.metrics.table import classification_metrics as classification_metrics
    from reports.metrics.table_intervals import paired_difference as paired_difference
    from reports.metrics.table_intervals import with_intervals as with_intervals
    from reports.page.report import write_model_card as write_model_card
    from reports.page.report import write_report as write_report
    from reports.page.run_summary import AuditResult as AuditResult
    from reports.page.run_summary import CaseToSee as CaseToSee
    from reports.page.run_summary import DataFacts as DataFacts
    from reports.page.run_summary import HoldoutReading as HoldoutReading
    from reports.page.run_summary import PermutationResult as PermutationResult
    from reports.page.run_summary import PlannedRung as PlannedRung
    from reports.page.run_summary import RunSummary as RunSummary
    from reports.page.run_summary import SeedScore as SeedScore
    from reports.page.run_summary import SplitPart as SplitPart
    from reports.page.summary_file import read_summary as read_summary
    from reports.page.summary_file import write_summary as write_summary
    from reports.page.words import duration as duration
    from reports.page.words import hyperparameter_text as hyperparameter_text
    from reports.page.words import interval_text as interval_text
    from reports.page.words import short_duration as short_duration
    from reports.predictions import Predictions as Predictions
    from reports.search_plots.optuna_export import export_studies as export_studies
    from reports.search_plots.plots import write_optuna_plots as write_optuna_plots
    from reports.search_plots.plots import write_plain_plots as write_plain_plots
    from reports.search_plots.space import Dimension as Dimension
    from reports.search_plots.space import observed_space as observed_space
    from reports.trials import TrialRecord as TrialRecord
    from reports.trials import best_run as best_run
    from reports.trials import ranked as ranked

_HOMES = {
    "errors": "ReportError",
    "evaluation.bbc_cv": "SelectionCorrection bbc_cv",
    "evaluation.confident_cases": "ConfidentCase confident_cases",
    "evaluation.decision_curve": "DecisionCurve decision_curve",
    "evaluation.evaluate": "Evaluation evaluate evaluate_fixed",
    "evaluation.final_models": "FoldEnsemble",
    "evaluation.localisation": "LocalisationResult LocatedCase localisation_result",
    "evaluation.nested": "OuterFold evaluate_nested nested_metrics",
    "evaluation.operating_points": "OperatingPoint OperatingThreshold fixed_thresholds operating_points",
    "evaluation.probabilities": "ProbabilityCorrection corrected_predictions fit_correction",
    "evaluation.subgroups": "CaseAttributes SubgroupResult radius_terciles subgroup_results",
    "figures.overlays": "Overlay write_overlay",
    "figures.write": "write_evaluation_figures write_figures write_nested_figures",
    "metrics.calibration": "softmax",
    "metrics.intervals": "Interval",
    "metrics.table": "classification_metrics",
    "metrics.table_intervals": "paired_difference with_intervals",
    "page.report": "write_model_card write_report",
    "page.run_summary": "AuditResult CaseToSee DataFacts HoldoutReading PermutationResult PlannedRung RunSummary "
    "SeedScore SplitPart",
    "page.summary_file": "read_summary write_summary",
    "page.words": "duration hyperparameter_text interval_text short_duration",
    "predictions": "Predictions",
    "search_plots.optuna_export": "export_studies",
    "search_plots.plots": "write_optuna_plots write_plain_plots",
    "search_plots.space": "Dimension observed_space",
    "trials": "TrialRecord best_run ranked",
}
"""Module to its names."""

_HOME = {name: f"reports.{module}" for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
