"""The result of a run in words: the model that is handed over, and what it is worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reports import SearchExtent, readings_text
from reports.page.words import outer_convergence
from reports.page.worth import worth_verdict
from search.cohort import NOTICE, ROI_NOTICE
from search.plan.execution import SearchOutcome
from search.run_folder.directory import RunDirectory
from search.run_folder.extent import run_extent
from search.run_folder.metrics import read_metrics
from search.run_folder.trial_log import read_records
from search.text import interval_text, rounded


@dataclass(frozen=True, repr=False)
class FinalModel:
    """The result of a run; it shows itself as text, and in a notebook as a table.

    Attributes:
        directory: The run's folder.
        demo: Whether it is a demonstration.
        metrics: Metrics of the exported model on the held-out patients.
        outcome: What the search found.
    """

    directory: RunDirectory
    demo: bool
    metrics: dict[str, Any]
    outcome: SearchOutcome

    @cached_property
    def extent(self) -> SearchExtent | None:
        """How far its searches came."""
        return run_extent(self.directory)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Those of the best configuration."""
        return self.outcome.winner.hyperparameters

    @property
    def model(self) -> Path:
        """The exported model, a .keras file."""
        return self.directory.model_file

    @property
    def report(self) -> Path:
        """report.html."""
        return self.directory.report_file

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict."""
        return {
            "run": str(self.directory.path),
            "demo": self.demo,
            "mode": self.metrics["mode"],
            "configuration": self.hyperparameters,
            "cross_validated_macro_auc": self.outcome.winner.objective,
            "converged": self.metrics["convergence"]["converged"],
            "cut_short": asdict(self.extent) if self.extent and self.extent.ended_by else None,
            "metrics": self.metrics,
            "model": str(self.model),
            "report": str(self.report),
        }

    def as_text(self) -> str:
        """The answer as lines of text."""
        notices = [NOTICE] if self.demo else []
        return "\n".join([*notices, *(f"{label:<20}{text}" for label, text in self._rows())])

    __repr__ = as_text

    def _repr_html_(self) -> str:
        """The answer as a table: what a notebook shows."""
        notice = f"<p><b>{escape(NOTICE)}</b></p>" if self.demo else ""
        report = str(self.report)
        rows = "".join(
            f"<tr>{_cell('th', label)}{_cell('td', text, link=text == report)}</tr>" for label, text in self._rows()
        )
        return f"{notice}<table>{rows}</table>"

    def _rows(self) -> list[tuple[str, str]]:
        """Label and text of each line."""
        rows = [("task", ROI_NOTICE)] if self.metrics["mode"] == "roi" else []
        rows += [("the search was", str(self.extent))] if self.extent and str(self.extent) else []
        rows += self._found()
        read = readings_text(self.metrics["holdout_readings"], self.metrics.get("other_splits"))
        rows.append(("patients were read", read))
        rows += [("worth the search?", verdict)] if (verdict := worth_verdict(self.metrics)) else []
        rows += [("model", str(self.model)), ("report", str(self.report))]
        if "nested_seconds" in self.metrics:
            text = "--protocol nested evaluates the procedure on every patient, in about "
            rows.append(("on all patients", text + rounded(self.metrics["nested_seconds"])))
        return rows

    def _found(self) -> list[tuple[str, str]]:
        """Label and text of what this protocol has found."""
        return [
            ("best configuration", self._configuration()),
            ("cross-validated", self._selected()),
            ("convergence", self.metrics["convergence"]["sentence"]),
            ("held-out patients", self._areas()),
        ]

    def _configuration(self) -> str:
        return "  ".join(f"{name} {value:g}" for name, value in self.hyperparameters.items())

    def _selected(self) -> str:
        winner = self.outcome.winner
        scored = f"macro AUC {winner.objective:.3f} after {winner.objective_epoch} epochs (selected, optimistic)"
        return f"trial {winner.trial}: {scored}"

    def _areas(self, mean: str = "") -> str:
        metrics, noun = self.metrics, "crops" if self.metrics["mode"] == "roi" else "images"
        worst = metrics["class_names"][-1]
        return (
            f"{metrics['primary_endpoint']}: AUC {interval_text(metrics['primary_auc'])}{mean} with "
            f"{metrics['class_counts'][worst]} {worst} among {metrics['n']} {noun}; "
            f"macro AUC {interval_text(metrics['macro_ovr_auc'])}"
        )


@dataclass(frozen=True, repr=False)
class NestedModel(FinalModel):
    """The result of a nested run.

    Attributes:
        directory: The run's folder.
        demo: Whether it is a demonstration.
        metrics: Means over the outer folds, each measured on patients that its search had not seen.
        outcome: What the search on all patients found.
    """

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict."""
        return super().as_json() | {"protocol": "nested", "estimates": self.metrics["estimates"]}

    def _found(self) -> list[tuple[str, str]]:
        return [
            ("nested estimate", self._areas(f", mean over {len(self.metrics['outer_folds'])} outer folds")),
            ("", self.metrics["estimates"]),
            *(("", note) for note in self.metrics["notes"]),
            ("final configuration", self._configuration()),
            ("cross-validated", self._selected()),
            ("convergence", self.metrics["convergence"]["sentence"]),
            ("", outer_convergence(self.metrics)),
        ]


def read_final_model(directory: RunDirectory) -> FinalModel:
    """The result of a complete run, from its folder.

    Raises:
        RunError: If the run is not complete, or a file of it has changed since.
    """
    manifest = directory.read_manifest()
    directory.check_output(directory.best / "metrics.json")
    outcome = SearchOutcome.of(
        read_records(directory.check_output(directory.trials_file)), cut_short=bool(manifest.cut_short)
    )
    kind = NestedModel if manifest.protocol == "nested" else FinalModel
    return kind(directory, manifest.demo, read_metrics(directory), outcome)


def _cell(kind: str, text: str, *, link: bool = False) -> str:
    # A notebook sets the text of tables to the right.
    shown = f'<a href="{quote(text)}" target="_blank">{escape(text)}</a>' if link else escape(text)
    wrap = "nowrap" if kind == "th" else "normal"
    return f'<{kind} style="text-align: left; vertical-align: top; white-space: {wrap}">{shown}</{kind}>'
