"""The result of a run in words: the model that is handed over, and what it is worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from reports import SearchExtent, best_trial, readings_text
from reports.page.words import outer_convergence
from reports.page.worth import worth_verdict
from search.cohort import NOTICE, ROI_NOTICE
from search.plan.execution import SearchOutcome
from search.plan.space import Configuration
from search.run_folder.directory import RunDirectory
from search.run_folder.extent import run_extent
from search.run_folder.metrics import read_metrics
from search.run_folder.trial_log import recorded
from search.text import duration, interval_text


@dataclass(frozen=True)
class FinalModel:
    """The result of a run.

    Attributes:
        directory: The run's folder.
        demo: Whether it is a demonstration.
        metrics: Metrics of the exported model on the held-out patients.
        outcome: What the search found.
        extent: How far its searches came.
    """

    directory: RunDirectory
    demo: bool
    metrics: dict[str, Any]
    outcome: SearchOutcome
    extent: SearchExtent | None = None

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict."""
        return {
            "run": str(self.directory.path),
            "demo": self.demo,
            "mode": self.metrics["mode"],
            "configuration": self.outcome.winner.hyperparameters,
            "cross_validated_macro_auc": self.outcome.winner.objective,
            "converged": self.metrics["convergence"]["converged"],
            "cut_short": asdict(self.extent) if self.extent and self.extent.ended_by else None,
            "metrics": self.metrics,
            "model": str(self.directory.model_file),
            "report": str(self.directory.report_file),
        }

    def as_text(self) -> str:
        """The answer as lines of text."""
        notices = [NOTICE] if self.demo else []
        lines = [("task", ROI_NOTICE)] if self.metrics["mode"] == "roi" else []
        lines += [("the search was", str(self.extent))] if self.extent and str(self.extent) else []
        lines += self._lines()
        read = readings_text(self.metrics["holdout_readings"], self.metrics.get("other_splits"))
        lines.append(("patients were read", read))
        lines += [("worth the search?", verdict)] if (verdict := worth_verdict(self.metrics)) else []
        lines += [("model", str(self.directory.model_file)), ("report", str(self.directory.report_file))]
        if "nested_seconds" in self.metrics:
            text = "--protocol nested evaluates the procedure on every patient, in about "
            lines.append(("on all patients", text + duration(self.metrics["nested_seconds"])))
        return "\n".join([*notices, *(f"{label:<20}{text}" for label, text in lines)])

    def _lines(self) -> list[tuple[str, str]]:
        """Label and text of what this protocol has found."""
        return [
            ("best configuration", self._configuration()),
            ("cross-validated", self._selected()),
            ("convergence", self.metrics["convergence"]["sentence"]),
            ("held-out patients", self._areas()),
        ]

    def _configuration(self) -> str:
        return "  ".join(f"{name} {value:g}" for name, value in self.outcome.winner.hyperparameters.items())

    def _selected(self) -> str:
        winner = self.outcome.winner
        return f"macro AUC {winner.objective:.3f} after {winner.objective_epoch} epochs (selected, optimistic)"

    def _areas(self, mean: str = "") -> str:
        metrics, noun = self.metrics, "crops" if self.metrics["mode"] == "roi" else "images"
        worst = metrics["class_names"][-1]
        return (
            f"{metrics['primary_endpoint']}: AUC {interval_text(metrics['primary_auc'])}{mean} with "
            f"{metrics['class_counts'][worst]} {worst} among {metrics['n']} {noun}; "
            f"macro AUC {interval_text(metrics['macro_ovr_auc'])}"
        )


@dataclass(frozen=True)
class NestedModel(FinalModel):
    """The result of a nested run.

    Attributes:
        directory: The run's folder.
        demo: Whether it is a demonstration.
        metrics: Means over the outer folds, each measured on patients that its search had not seen.
        outcome: What the search on all patients found.
        extent: How far its searches came.
    """

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict."""
        return super().as_json() | {"protocol": "nested", "estimates": self.metrics["estimates"]}

    def _lines(self) -> list[tuple[str, str]]:
        return [
            ("nested estimate", self._areas(f", mean over {len(self.metrics['outer_folds'])} outer folds")),
            ("", self.metrics["estimates"]),
            *(("", note) for note in self.metrics["notes"]),
            ("final configuration", self._configuration()),
            ("cross-validated", self._selected()),
            ("convergence", self.metrics["convergence"]["sentence"]),
            ("", outer_convergence(self.metrics)),
        ]


def result_of(run: RunDirectory) -> FinalModel:
    """The result of a complete run, from its files.

    Raises:
        RunError: If one of them is missing or has changed.
    """
    manifest, records = run.read_manifest(), recorded(run)
    run.check_output(run.best / "metrics.json")
    winner = best_trial(records)
    outcome = SearchOutcome(records, winner, Configuration.from_values(winner.hyperparameters))
    kind = NestedModel if manifest.protocol == "nested" and manifest.outer is None else FinalModel
    return kind(run, manifest.demo, read_metrics(run), outcome, run_extent(run))
