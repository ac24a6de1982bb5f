"""The final stage's inputs and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mammo_data.preparation.prepared import PreparedSet
from mammo_data.splits import Split
from search.audit.shortcuts import Probe
from search.bit.architecture import BitArchitecture
from search.bit.weights import BitWeights
from search.cohort import NOTICE, ROI_NOTICE
from search.config.schema import Config
from search.plan.hyperband import HyperbandPlan
from search.run_folder.cut_short import CutShort
from search.run_folder.directory import RunDirectory
from search.text import duration, interval_text
from search.trials.data import TrainingSettings, TrialData
from search.tuner.search import SearchOutcome


@dataclass(frozen=True)
class FinalStage:
    """Everything that the stations before have made."""

    config: Config
    demo: bool
    directory: RunDirectory
    manifest: dict[str, Any]
    plan: HyperbandPlan
    films: PreparedSet
    """All images whole; ``prepared`` is the same, or crops of them."""
    prepared: PreparedSet
    split: Split
    architecture: BitArchitecture
    weights: BitWeights
    data: TrialData
    settings: TrainingSettings
    outcome: SearchOutcome
    clock: float
    """``time.perf_counter()`` when the run started."""
    probes: Callable[[], tuple[Probe, ...]] | None = None
    """The shortcut probe of ``prepared``, where it is shared with other searches on the same images."""


@dataclass(frozen=True)
class FinalModel:
    """The result of a run.

    Attributes:
        directory: The run's folder.
        demo: Whether it is a demonstration.
        metrics: Metrics of the exported model on the held-out patients.
        outcome: What the search found.
        cut_short: How far the searches came that the time limit ended, or None.
    """

    directory: RunDirectory
    demo: bool
    metrics: dict[str, Any]
    outcome: SearchOutcome
    cut_short: CutShort | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict."""
        return {
            "run": str(self.directory.path),
            "demo": self.demo,
            "mode": self.metrics["mode"],
            "configuration": self.outcome.winner.hyperparameters,
            "cross_validated_macro_auc": self.outcome.winner.objective,
            "cut_short": asdict(self.cut_short) if self.cut_short else None,
            "metrics": self.metrics,
            "model": str(self.directory.model_file),
            "report": str(self.directory.report_file),
        }

    def as_text(self) -> str:
        """The answer as lines of text."""
        lines = []
        if self.demo:
            lines.append(f"{NOTICE}")
        if self.metrics["mode"] == "roi":
            lines.append(f"task                {ROI_NOTICE}")
        if self.cut_short:
            lines.append(f"search cut short    {self.cut_short}")
        values = self.outcome.winner.hyperparameters
        lines.append("best configuration  " + "  ".join(f"{name} {value:g}" for name, value in values.items()))
        lines.append(
            f"cross-validated     macro AUC {self.outcome.winner.objective:.3f} "
            f"at epoch {self.outcome.winner.best_epoch} (selected, optimistic)"
        )
        counts = self.metrics["class_counts"]
        worst = self.metrics["class_names"][-1]
        noun = "crops" if self.metrics["mode"] == "roi" else "images"
        lines.append(
            f"held-out patients   {self.metrics['primary_endpoint']}: AUC {interval_text(self.metrics['primary_auc'])} "
            f"with {counts[worst]} {worst} among {self.metrics['n']} {noun}; "
            f"macro AUC {interval_text(self.metrics['macro_ovr_auc'])}"
        )
        lines.append(f"model               {self.directory.model_file}")
        lines.append(f"report              {self.directory.report_file}")
        if "nested_seconds" in self.metrics:
            lines.append(
                "on all patients     --protocol nested evaluates the procedure on every patient, in about "
                f"{duration(self.metrics['nested_seconds'])}"
            )
        return "\n".join(lines)
