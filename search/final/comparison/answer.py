"""The answer of a comparison: JSON, the rows of its tables, a picture, and sentences."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reports import Interval
from reports.figures.forests import draw_comparison
from reports.figures.style import save
from reports.page.words import interval_text, metric_titles, short_duration, signed, value_of
from reports.page.worth import side_of
from search.errors import RunError
from search.final.comparison.runs import FIGURES, ComparedRun


@dataclass(frozen=True)
class AgainstFirst:
    """A run against the first one.

    Attributes:
        paired: Whether both hold out the same images of the same patients.
        shared_patients: Held-out patients that both have.
        held_out: Each of `FIGURES` to the run's less the first one's.
        out_of_fold: The choice of its search less that of the first one's on the same folds, in macro AUC, each
            corrected for having been chosen (BBC-CV); None where the folds differ.
    """

    paired: bool
    shared_patients: int
    held_out: dict[str, Interval]
    out_of_fold: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Attributes:
        runs: At least two, in the order in which they were named.
        against: Of each but the first one.
    """

    runs: tuple[ComparedRun, ...]
    against: tuple[AgainstFirst, ...]

    @property
    def settings(self) -> dict[str, list[Any]]:
        """The settings that are not the same in all runs: by path, one value a run, None where it has none."""
        found: list[dict[str, Any]] = [run.settings for run in self.runs]
        paths = dict.fromkeys(path for each in found for path in each)
        values = {path: [each.get(path) for each in found] for path in paths}
        return {path: each for path, each in values.items() if any(value != each[0] for value in each)}

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict; the schema is in search/cli/README.md."""
        runs = []
        for run, against in zip(self.runs, (None, *self.against), strict=True):
            runs.append(
                {
                    "run": run.name,
                    "path": str(run.directory.path),
                    "protocol": run.protocol,
                    "demo": run.manifest.demo,
                    "images": len(run.held_out.predictions),
                    "patients": run.held_out.predictions.n_patients,
                    "holdout_readings": run.metrics.get("holdout_readings"),
                    "metrics": {name: run.metrics[name] for name in FIGURES},
                    "selection": run.metrics.get("selection"),
                    "cost": run.cost,
                    "difference": asdict(against) if against else None,
                }
            )
        return {"runs": runs, "settings": self.settings}

    def as_rows(self) -> list[tuple[str, str, str, str]]:
        """Lines of a table: what, run, its figure, and what it has over the first run."""
        titles, rows = metric_titles(self.runs[0].metrics), []
        for figure in FIGURES:
            for run, against in zip(self.runs, (None, *self.against), strict=True):
                less = "" if against is None else _less(asdict(against.held_out[figure]), paired=against.paired)
                rows.append((titles[figure], run.name, interval_text(run.metrics[figure]), less))
        for run, against in zip(self.runs, (None, *self.against), strict=True):
            found = (run.metrics.get("selection") or {}).get("corrected")
            less = "other folds" if against else ""
            if against is not None and against.out_of_fold is not None:
                less = _less(asdict(against.out_of_fold), paired=True)
            rows.append(("out of fold, corrected, macro AUC", run.name, interval_text(found) if found else "–", less))
        return rows

    def draw(self, file: Path) -> None:
        """Draw the two areas of each run, and what it has over the first run's.

        Raises:
            RunError: If the file can't be written.
        """
        runs = [(run.name, run.metrics) for run in self.runs]
        less = [{name: asdict(limits) for name, limits in each.held_out.items()} for each in self.against]
        try:
            save(draw_comparison(runs, less), file)
        except OSError as error:
            raise RunError(
                expected=f"a file that can be written at {file}", found=str(error.strerror), remedy="Change --plot."
            ) from None

    def cost_rows(self) -> list[tuple[str, str]]:
        """Lines of a table: run, and what its search has cost."""
        costs = [(run.name, run.cost) for run in self.runs]
        return [
            (name, f"{cost['trials']} trials, {cost['epochs']} epochs, {short_duration(cost['seconds'])}")
            for name, cost in costs
        ]

    def sentences(self) -> list[str]:
        """What follows from the differences, and what to beware of."""
        first, found = self.runs[0], []
        whom = f"the same {first.held_out.predictions.n_patients} {'women' if first.is_nested else 'held-out women'}"
        for run, against in zip(self.runs[1:], self.against, strict=True):
            limits = asdict(against.held_out["primary_auc"])
            side, value = side_of(limits), value_of(limits)
            said = f"can't be compared with {first.name}"
            if value is not None:
                worth = {1: f"does better than {first.name}", -1: f"does worse than {first.name}"}
                said = worth.get(side, f"and {first.name} can't be told apart by these data")
            other = f"other women than {first.name}'s ({against.shared_patients} are in both)"
            found.append(f"On {whom if against.paired else other}, {run.name} {said} (AUC of {self._endpoint}).")
        if any(run.manifest.demo for run in self.runs):
            found.append("A demonstration's figures say nothing about mammography.")
        found.append("A run that is chosen by its held-out figures has optimistic ones: choose by those out of fold.")
        return found

    @property
    def _endpoint(self) -> str:
        return str(self.runs[0].metrics["primary_endpoint"])


def _less(limits: dict[str, Any], *, paired: bool) -> str:
    if value_of(limits) is None:
        return "not defined"
    text = interval_text(limits).split(" ", 1)[1]
    return f"{signed(value_of(limits), 3)} {text}{'' if paired else ', unpaired'}"
