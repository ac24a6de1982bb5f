"""report.html: one self-contained file that answers, in this order, what was asked, what came out, and whether to
believe it.

Nothing is fetched: figures are embedded, styles are inline, and a content security policy forbids the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.files import write_atomically
from reports.page.report_figures import REPORT_FIGURES, SEARCH_FIGURES, embedded, embedded_figures
from reports.page.run_summary import CaseToSee, RunSummary
from reports.page.words import (
    calibration_verdict,
    localisation_verdict,
    primary_verdict,
    slice_title,
    tissue,
    value_of,
    with_column_names,
)
from reports.trials import TrialRecord, fold_objectives, ranked

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
    page = template.render(
        run=summary,
        metrics=summary.metrics,
        headline=_headline(summary.metrics),
        verdict=primary_verdict(summary.metrics),
        other_metrics=_other_metrics(summary.metrics),
        figures=embedded_figures(summary.figures, REPORT_FIGURES),
        search_figures=embedded_figures(summary.search_figures, SEARCH_FIGURES),
        trials=_trial_rows(summary.trials),
        hyperparameter_names=sorted({name for record in summary.trials for name in record.hyperparameters}),
        winner=summary.winner,
        folds=len(fold_objectives(summary.winner)) if summary.winner else 0,
        wrong=_wrong(summary.cases),
        pictures=[_picture(seen) for seen in summary.cases if seen.picture],
        localisation_verdict=localisation_verdict(summary.metrics),
        calibration_verdict=calibration_verdict(summary.metrics),
    )
    return with_column_names(page)


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
        "slice_title": slice_title,
        "tissue": tissue,
    }
    return made


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


def _picture(seen: CaseToSee) -> dict[str, str]:
    case = seen.case
    said = "and so predicted" if case.right else f"taken for {case.predicted}"
    source = embedded(seen.picture) if seen.picture else ""
    return {"title": f"{case.image_id}: {case.label}, {said} ({number(case.confidence)})", "source": source}


def _wrong(cases: Sequence[CaseToSee]) -> list[CaseToSee]:
    return sorted((seen for seen in cases if not seen.case.right), key=lambda seen: -seen.case.confidence)


def _trial_rows(records: tuple[TrialRecord, ...]) -> list[tuple[int | None, TrialRecord, float | None]]:
    """Rank, run and spread over the folds; comparable runs together, best first, failed ones last."""
    import statistics

    rank = {record.trial: position for position, record in enumerate(ranked(records), start=1)}
    ordered = sorted(records, key=lambda r: (r.status != "completed", -r.epochs, -(r.objective or 0.0), r.trial))
    rows = []
    for record in ordered:
        folds = fold_objectives(record)
        rows.append((rank.get(record.trial), record, statistics.stdev(folds) if len(folds) > 1 else None))
    return rows
