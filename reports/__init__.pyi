from .errors import ReportError as ReportError
from .evaluation.bbc_cv import SelectionCorrection as SelectionCorrection
from .evaluation.bbc_cv import bbc_cv as bbc_cv
from .evaluation.confident_cases import ConfidentCase as ConfidentCase
from .evaluation.confident_cases import confident_cases as confident_cases
from .evaluation.decision_curve import DecisionCurve as DecisionCurve
from .evaluation.decision_curve import decision_curve as decision_curve
from .evaluation.evaluate import Evaluation as Evaluation
from .evaluation.evaluate import evaluate as evaluate
from .evaluation.evaluate import evaluate_fixed as evaluate_fixed
from .evaluation.final_models import FoldEnsemble as FoldEnsemble
from .evaluation.localisation import (
    LocalisationResult as LocalisationResult,
)
from .evaluation.localisation import (
    LocatedCase as LocatedCase,
)
from .evaluation.localisation import (
    localisation_result as localisation_result,
)
from .evaluation.nested import (
    OuterFold as OuterFold,
)
from .evaluation.nested import (
    evaluate_nested as evaluate_nested,
)
from .evaluation.nested import (
    nested_metrics as nested_metrics,
)
from .evaluation.operating_points import (
    OperatingPoint as OperatingPoint,
)
from .evaluation.operating_points import (
    OperatingThreshold as OperatingThreshold,
)
from .evaluation.operating_points import (
    fixed_thresholds as fixed_thresholds,
)
from .evaluation.operating_points import (
    operating_points as operating_points,
)
from .evaluation.probabilities import (
    ProbabilityCorrection as ProbabilityCorrection,
)
from .evaluation.probabilities import (
    corrected_predictions as corrected_predictions,
)
from .evaluation.probabilities import (
    fit_correction as fit_correction,
)
from .evaluation.subgroups import (
    CaseAttributes as CaseAttributes,
)
from .evaluation.subgroups import (
    SubgroupResult as SubgroupResult,
)
from .evaluation.subgroups import (
    radius_terciles as radius_terciles,
)
from .evaluation.subgroups import (
    subgroup_results as subgroup_results,
)
from .figures.overlays import Overlay as Overlay
from .figures.overlays import write_overlay as write_overlay
from .figures.write import (
    write_evaluation_figures as write_evaluation_figures,
)
from .figures.write import (
    write_figures as write_figures,
)
from .figures.write import (
    write_nested_figures as write_nested_figures,
)
from .metrics.calibration import softmax as softmax
from .metrics.intervals import Interval as Interval
from .metrics.table import classification_metrics as classification_metrics
from .metrics.table_intervals import paired_difference as paired_difference
from .metrics.table_intervals import with_intervals as with_intervals
from .page.report import write_model_card as write_model_card
from .page.report import write_report as write_report
from .page.run_summary import (
    AuditResult as AuditResult,
)
from .page.run_summary import (
    CaseToSee as CaseToSee,
)
from .page.run_summary import (
    DataFacts as DataFacts,
)
from .page.run_summary import (
    HoldoutReading as HoldoutReading,
)
from .page.run_summary import (
    PermutationResult as PermutationResult,
)
from .page.run_summary import (
    PlannedRung as PlannedRung,
)
from .page.run_summary import (
    RunSummary as RunSummary,
)
from .page.run_summary import (
    SeedScore as SeedScore,
)
from .page.run_summary import (
    SplitPart as SplitPart,
)
from .page.summary_file import SUMMARY_NAME as SUMMARY_NAME
from .page.summary_file import read_summary as read_summary
from .page.summary_file import write_summary as write_summary
from .page.words import (
    duration as duration,
)
from .page.words import (
    hyperparameter_text as hyperparameter_text,
)
from .page.words import (
    interval_text as interval_text,
)
from .page.words import (
    short_duration as short_duration,
)
from .predictions import Predictions as Predictions
from .search_plots.optuna_export import export_studies as export_studies
from .search_plots.plots import write_optuna_plots as write_optuna_plots
from .search_plots.plots import write_plain_plots as write_plain_plots
from .search_plots.space import Dimension as Dimension
from .search_plots.space import observed_space as observed_space
from .trials import TrialRecord as TrialRecord
from .trials import best_run as best_run
from .trials import ranked as ranked
