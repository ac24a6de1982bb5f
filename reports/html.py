"""report.html: one self-contained file that answers, in this order, what was asked, what came out, and whether to
believe it.

Nothing is fetched: figures are embedded, styles are inline, and a content security policy forbids the rest.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.atomic_write import write_atomically
from reports.run_summary import CaseToSee, RunSummary
from reports.trial_record import TrialRecord
from reports.trial_table import fold_objectives, ranked

TEMPLATE = "report.html.j2"

HEADLINE = (
    ("primary_auc", None),
    ("abnormal_auc", "Abnormal versus normal, AUC"),
    ("macro_ovr_auc", "Macro one-vs-rest AUC"),
)

OTHER_METRICS = (
    # key, name, how to read it, and what a model that knows nothing would score: a key of `chance` below, or "".
    ("accuracy", "Accuracy", "0 to 1; the majority class alone gives {majority}", "majority"),
    ("balanced_accuracy", "Balanced accuracy", "mean recall; chance is {chance}", "chance"),
    ("macro_f1", "Macro F1", "mean F1 of the classes", ""),
    ("matthews", "Matthews correlation", "−1 to 1; chance is 0", ""),
    ("quadratic_kappa", "Quadratic kappa", "−1 to 1; chance is 0; classes taken as ordered", ""),
    ("average_precision", "Average precision, {worst}", "chance is their share, {prevalence}", "prevalence"),
    ("partial_auc", "Partial AUC, {worst}", "specificity 90 % and more, McClish; chance is 0.50", "half"),
    ("sensitivity_at_90_specificity", "Sensitivity at 90 % specificity", "{worst}; threshold from these images", "0.1"),
    (
        "sensitivity_at_95_specificity",
        "Sensitivity at 95 % specificity",
        "{worst}; threshold from these images",
        "0.05",
    ),
    ("brier", "Brier score", "0 to 2; lower is better", ""),
    ("log_loss", "Log loss", "nats; lower is better", ""),
    ("classwise_ece", "Class-wise calibration error", "0 to 1; lower is better", ""),
)

FIGURES = {
    "outer_folds": ("Outer folds", "AUC of each fold's model on the fold's own patients, and the mean over folds."),
    "outer_roc": ("ROC curves of the outer folds", "The primary endpoint within each outer fold, and the mean curve."),
    "roc": ("ROC curves", "How well each class is told apart from the other two, whatever the threshold."),
    "confusion_matrix": ("Confusion matrix", "Which class was taken for which, when the most probable one is chosen."),
    "class_metrics": ("Class metrics", "Precision, recall, F1 and specificity of each class."),
    "training_curves": (
        "Training curves of the winning run",
        "Cross-validation inside the search; these patients are not the held-out ones.",
    ),
    "reliability": ("Reliability", "Observed share against the predicted probability: on the diagonal, they agree."),
    "decision_curve": ("Decision curve", "Net benefit against recalling all women and recalling none."),
    "subgroups": ("Subgroups", "How well slices of the held-out patients are ranked; small slices have no value."),
}

SEARCH_FIGURES = {
    "learning_curves": (
        "Learning curves",
        "Mean over the folds; a panel for each kind of bracket. At one epoch, all lines are the same quantity.",
    ),
    "timeline": ("Timeline", "When each run was at work; the paler, the lower its rung."),
    "history": ("History", "Objectives in the order of the runs of one epoch count, and the best so far."),
    "parallel_coordinates": ("Parallel coordinates", "A line a run; the darker, the better."),
    "slice": ("Slices", "The objective against each hyperparameter, over its whole range; the best run in wine."),
    "rank": ("Ranks", "Pairs of hyperparameters, each run coloured by its rank."),
    "importance": (
        "Importance",
        "What moved the objective, as two methods see it. A bar that stays below its mark is what shuffled scores "
        "give, too: no evidence of anything.",
    ),
}

WIDE_FIGURES = {"learning_curves", "parallel_coordinates"}
"""Too wide for half a page."""


def write_report(summary: RunSummary, path: Path) -> Path:
    """Renders the report and writes it atomically.

    Args:
        summary: The finished run.
        path: The HTML file.

    Returns:
        ``path``.

    Raises:
        OSError: If a figure can't be read.
    """
    return write_atomically(path, render_report(summary))


def render_report(summary: RunSummary) -> str:
    """The report as HTML text.

    Args:
        summary: The finished run.

    Returns:
        A whole document; everything that comes from the run is escaped.
    """
    template = environment().get_template(TEMPLATE)
    return template.render(
        run=summary,
        metrics=summary.metrics,
        headline=_headline(summary.metrics),
        verdict=_verdict(summary.metrics),
        other_metrics=_other_metrics(summary.metrics),
        figures=[_figure(name, path, FIGURES) for name, path in summary.figures.items()],
        search_figures=[_figure(name, path, SEARCH_FIGURES) for name, path in summary.search_figures.items()],
        trials=_trial_rows(summary.trials),
        hyperparameter_names=sorted({name for record in summary.trials for name in record.hyperparameters}),
        winner=summary.winner,
        folds=len(fold_objectives(summary.winner)) if summary.winner else 0,
        wrong=_wrong(summary.cases),
        pictures=[_picture(seen) for seen in summary.cases if seen.picture],
        localisation_verdict=_localisation_verdict(summary.metrics),
    )


def environment() -> Any:
    """The jinja2 environment of the package's templates; HTML is escaped, undefined names are errors."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "signed": signed,
        "interval": interval_text,
        "duration": duration,
        "moment": moment,
        "hyper": hyperparameter,
        "value_of": value_of,
    }
    return made


def value_of(metric: Any) -> float | None:
    """The point estimate of an entry of metrics.json, with or without limits."""
    return metric.get("value") if isinstance(metric, Mapping) else metric


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign, or "not defined"."""
    return "not defined" if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """A difference with its sign, or "not defined"."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value >= 0 else text


def interval_text(metric: Any, digits: int = 2) -> str:
    """ "0.71 to 0.93", or why there is none."""
    lower = metric.get("lower") if isinstance(metric, Mapping) else None
    if lower is None:
        return "no interval"
    return f"{number(lower, digits)} to {number(metric['upper'], digits)}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def moment(text: str) -> str:
    """An ISO 8601 time as "1 March 2030, 14:05 UTC"; other text as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()


def hyperparameter(value: float | str | None) -> str:
    """A hyperparameter in as few characters as tell it apart."""
    if value is None:
        return "–"
    return f"{value:.3g}".replace("e-0", "e-") if isinstance(value, float) else str(value)


def _headline(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    endpoint = str(metrics["primary_endpoint"])
    primary = f"{endpoint[:1].upper()}{endpoint[1:]}, AUC"
    return [(name or primary, metrics[key]) for key, name in HEADLINE if key in metrics]


def _verdict(metrics: Mapping[str, Any]) -> str:
    """What the primary interval says, in one sentence without a medical claim."""
    ranks = "models rank" if metrics.get("protocol") == "nested" else "model ranks"
    primary = metrics["primary_auc"]
    lower = primary.get("lower") if isinstance(primary, Mapping) else None
    if value_of(primary) is None or lower is None:
        return "The primary endpoint is not defined on these patients, so this run answers nothing about it."
    if lower > 0.5:
        return f"The interval lies above 0.5: on these patients the {ranks} better than chance."
    if primary["upper"] < 0.5:
        return f"The interval lies below 0.5: on these patients the {ranks} worse than chance. Look for a mistake."
    return f"The interval contains 0.5: this run does not show that the {ranks} better than chance."


def _other_metrics(metrics: Mapping[str, Any]) -> list[tuple[str, Any, str, float | None]]:
    counts = list(metrics["class_counts"].values())
    chance = {
        "majority": max(counts) / sum(counts),
        "chance": 1 / len(counts),
        "prevalence": counts[-1] / sum(counts),
        "half": 0.5,
        "0.1": 0.1,
        "0.05": 0.05,
    }
    words = {"worst": metrics["class_names"][-1]} | {name: number(value) for name, value in chance.items()}
    return [
        (title.format(**words), metrics[key], note.format(**words), chance.get(nothing))
        for key, title, note, nothing in OTHER_METRICS
        if key in metrics
    ]


def _figure(name: str, path: Path, captions: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    kind = re.sub(r"_\d+_epochs$", "", name)
    title, caption = captions.get(kind, (name.replace("_", " ").capitalize(), ""))
    wide = kind in WIDE_FIGURES
    return {"name": name, "title": title, "caption": caption, "source": _embedded(path), "wide": wide}


def _embedded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _picture(seen: CaseToSee) -> dict[str, str]:
    case = seen.case
    said = "and so predicted" if case.right else f"taken for {case.predicted}"
    source = _embedded(seen.picture) if seen.picture else ""
    return {"title": f"{case.image_id}: {case.label}, {said} ({number(case.confidence)})", "source": source}


def _wrong(cases: Sequence[CaseToSee]) -> list[CaseToSee]:
    return sorted((seen for seen in cases if not seen.case.right), key=lambda seen: -seen.case.confidence)


def _localisation_verdict(metrics: Mapping[str, Any]) -> str:
    """What the pointing game says, in one sentence."""
    game = metrics.get("localisation")
    if game is None:
        return ""
    lower = game["all"]["map_over_random"]["lower"]
    if lower is not None and lower > 0:
        return "The interval of the difference lies above 0: the map points at lesions more often than chance."
    return "The interval of the difference contains 0 or lies below it: these images do not show that it looks there."


def _trial_rows(records: tuple[TrialRecord, ...]) -> list[tuple[int | None, TrialRecord, float | None]]:
    """Rank, run and spread over the folds; comparable runs together, best first, failed ones last."""
    import statistics

    rank = {record.run: position for position, record in enumerate(ranked(records), start=1)}
    ordered = sorted(records, key=lambda r: (r.status != "completed", -r.epochs, -(r.objective or 0.0), r.run))
    rows = []
    for record in ordered:
        folds = fold_objectives(record)
        rows.append((rank.get(record.run), record, statistics.stdev(folds) if len(folds) > 1 else None))
    return rows
