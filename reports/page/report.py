"""report.html and model_card.md: what was asked, what came out, and whether to believe it.

The report is one self-contained file: figures are embedded, styles are inline, and a content security policy forbids
the rest. The card's items follow CLAIM 2024 (Tejani et al., Radiology: AI) and TRIPOD+AI (Collins et al., BMJ 2024);
what the run knows is filled in, and what only people can know stands as "author: …" and is for them to write.

A phone shows a row of a table of class ``cards`` as a block of "name value" pairs (see ``report.css``). Style sheets
can take the name from an attribute of the cell only, so each cell is given its column's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.evaluation.confident_cases import ConfidentCase
from reports.evaluation.subgroups import slice_title, tissue
from reports.files import write_atomically
from reports.page.answer import auc_in_words, behind_it, checks, conclusions, headline
from reports.page.report_figures import (
    REPORT_FIGURES,
    SEARCH_FIGURES,
    embedded,
    embedded_figures,
    importance_words,
)
from reports.page.run_summary import RunSummary
from reports.page.words import (
    HYPERPARAMETERS,
    calibration_verdict,
    duration,
    hyperparameter_text,
    interval_text,
    intervals_leave_out,
    intervals_made_how,
    localisation_verdict,
    metric_titles,
    moment,
    number,
    outer_convergence,
    range_text,
    readings_text,
    rounded,
    short_duration,
    signed,
    value_of,
)
from reports.page.worth import enough_words, worth_verdict
from reports.trials import TrialRecord, best_first, fold_objectives, objective_sd, ranks

_TABLE = re.compile(r'<table class="[^"]*\bcards\b.*?</table>', re.DOTALL)
_BODY = re.compile(r"(?<=<tbody>).*?(?=</tbody>)", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_CELL = re.compile(r"<(t[dh])\b")

HEADLINE = (
    ("primary_auc", None),
    ("abnormal_auc", "Abnormal versus normal, AUC"),
    ("macro_ovr_auc", "Macro one-vs-rest AUC"),
)

_CARD_METRICS = {
    "primary_auc": "roc_auc",
    "abnormal_auc": "roc_auc",
    "macro_ovr_auc": "roc_auc",
    "balanced_accuracy": "balanced_accuracy",
    "brier": "brier_score",
}
"""What Hugging Face's block lists, in its words."""

OTHER_METRICS = (
    # key, name, how to read it, and what a model that knows nothing would score: a key of `chance` below, or "".
    ("accuracy", "Accuracy", "share given the right class; the most frequent class alone gives {majority}", "majority"),
    ("balanced_accuracy", "Balanced accuracy", "recall, averaged over the classes; chance is {chance}", "chance"),
    ("macro_f1", "Macro F1", "F1 (below), averaged over the classes; 1 is perfect", ""),
    ("matthews", "Matthews correlation", "of the given with the right class, −1 to 1; chance is 0", ""),
    ("quadratic_kappa", "Quadratic kappa", "agreement beyond chance, −1 to 1; a miss by two classes counts four", ""),
    (
        "average_precision",
        "Average precision, {worst}",
        "precision over all thresholds; chance is {prevalence}",
        "prevalence",
    ),
    ("partial_auc", "Partial AUC, {worst}", "at specificities of 90 % and more, rescaled; chance is 0.50", "half"),
    ("sensitivity_at_90_specificity", "Sensitivity at 90 % specificity", "{worst}; threshold from these images", "10"),
    ("sensitivity_at_95_specificity", "Sensitivity at 95 % specificity", "{worst}; threshold from these images", "5"),
    ("brier", "Brier score", "squared error of the probabilities, 0 to 2; lower is better", ""),
    ("log_loss", "Log loss", "−ln of what the right class was given (nats), averaged; lower is better", ""),
    ("classwise_ece", "Class-wise calibration error", "gap of predicted and observed shares; lower is better", ""),
    (
        "calibration_intercept",
        "Calibration in the large, {worst}",
        "0 is right, below 0 too high; in log odds, ln p/(1−p)",
        "",
    ),
    ("calibration_slope", "Calibration slope, {worst}", "1 is right, below 1 too sure: too near 0 and 1", ""),
)


def write_report(summary: RunSummary, path: Path) -> Path:
    """Writes report.html, atomically.

    Args:
        summary: The finished run.
        path: The HTML file.

    Returns:
        ``path``.

    Raises:
        OSError: If a figure can't be read.
    """
    return write_atomically(path, render_report(summary))


def write_model_card(summary: RunSummary, path: Path) -> Path:
    """Writes model_card.md, atomically.

    Args:
        summary: The finished run.
        path: The Markdown file.

    Returns:
        ``path``.
    """
    return write_atomically(path, render_model_card(summary))


def render_report(summary: RunSummary) -> str:
    """The report as HTML text; everything that comes from the run is escaped."""
    metrics = summary.metrics
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=summary,
            metrics=metrics,
            headline_words=headline(summary),
            behind_it=behind_it(summary),
            auc_in_words=auc_in_words(metrics),
            conclusions=conclusions(metrics),
            checks=checks(summary),
            headline=_headline(metrics),
            left_out=intervals_leave_out(metrics),
            made_how=intervals_made_how(metrics),
            other_metrics=_other_metrics(metrics),
            figures=embedded_figures(summary.figures, REPORT_FIGURES),
            search_figures=embedded_figures(summary.search_figures, SEARCH_FIGURES),
            trials=_trial_rows(summary.trials),
            importance_words=importance_words(summary.trials, summary.search_figures),
            meanings=HYPERPARAMETERS,
            hyperparameter_names=sorted({name for record in summary.trials for name in record.hyperparameters}),
            winner=summary.winner,
            folds=len(fold_objectives(summary.winner)) if summary.winner else 0,
            wrong=sorted(
                (seen for seen in summary.cases if not seen.case.right), key=lambda seen: -seen.case.confidence
            ),
            pictures=[_picture(seen.case, seen.picture) for seen in summary.cases if seen.picture],
            localisation_verdict=localisation_verdict(metrics),
            calibration_verdict=calibration_verdict(metrics),
            worth_verdict=worth_verdict(metrics),
            enough_words=enough_words(metrics),
        )
    )
    return _with_column_names(page)


def render_model_card(summary: RunSummary, *, metadata: bool = True) -> str:
    """The card as Markdown text; text of the run stands in code spans wherever it could be taken for markup.

    Args:
        summary: The finished run.
        metadata: Whether Hugging Face's block of YAML (https://huggingface.co/docs/hub/model-cards) stands at its head.
    """
    environment, metrics = _environment(), summary.metrics
    words = {
        "outer_convergence": outer_convergence(metrics),
        "worth_verdict": worth_verdict(metrics),
        "enough_words": enough_words(metrics),
        "left_out": intervals_leave_out(metrics),
        "made_how": intervals_made_how(metrics),
    }
    card = environment.get_template("model_card.md.j2")
    body = str(card.render(run=summary, metrics=metrics, winner=summary.winner, **words))
    if not metadata:
        return body
    head = environment.get_template("card_metadata.yaml.j2").render(run=summary, results=_card_results(metrics))
    return f"{head}\n{body}"


def _environment() -> Any:
    """The jinja2 environment of the package's templates; HTML is escaped, undefined names are errors."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (number, signed, range_text, interval_text, duration, short_duration, moment, hyperparameter_text)
    others = (rounded, value_of, slice_title, tissue, readings_text)
    made.filters |= {function.__name__: function for function in (*filters, *others)}
    return made


def _card_results(metrics: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Of each metric that is defined: Hugging Face's word for it, its name, its value."""
    titles = metric_titles(metrics)
    values = ((kind, titles[name], value_of(metrics[name])) for name, kind in _CARD_METRICS.items())
    return [(kind, title, value) for kind, title, value in values if value is not None]


def _headline(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    endpoint = str(metrics["primary_endpoint"])
    primary = f"{endpoint[:1].upper()}{endpoint[1:]}, AUC"
    return [(name or primary, metrics[key]) for key, name in HEADLINE if key in metrics]


def _other_metrics(metrics: Mapping[str, Any]) -> list[tuple[str, Any, str, float | None]]:
    counts = list(metrics["class_counts"].values())
    majority, prevalence = max(counts) / sum(counts), counts[-1] / sum(counts)
    chance = {"majority": majority, "chance": 1 / len(counts), "prevalence": prevalence}
    chance |= {"half": 0.5, "10": 0.1, "5": 0.05}
    words = {"worst": metrics["class_names"][-1]} | {name: number(value) for name, value in chance.items()}
    return [
        (title.format(**words), metrics[key], note.format(**words), chance.get(nothing))
        for key, title, note, nothing in OTHER_METRICS
        if key in metrics
    ]


def _picture(case: ConfidentCase, file: Path) -> dict[str, str]:
    said = "and so predicted" if case.right else f"taken for {case.predicted}"
    title = f"{case.image_id}: {case.label}, {said} ({number(case.confidence)})"
    return {"title": title, "source": embedded(file)}


def _trial_rows(records: tuple[TrialRecord, ...]) -> list[tuple[int | None, TrialRecord, float | None]]:
    """Rank, trial and spread over the folds."""
    rank = ranks(records)
    return [(rank.get(record.trial), record, objective_sd(record)) for record in best_first(records)]


def _with_column_names(html: str) -> str:
    """Gives each cell of the tables of class ``cards`` the name of its column as ``data-column``.

    Args:
        html: A document whose tables have one row of heads, and neither nested tables nor spanning cells.
    """
    return _TABLE.sub(lambda table: _labelled(table.group()), html)


def _labelled(table: str) -> str:
    head, _, _ = table.partition("</thead>")
    names = [re.sub(r"<[^>]*>", "", text).strip().replace('"', "&quot;") for text in _HEAD.findall(head)]
    return _BODY.sub(lambda body: _ROW.sub(lambda row: _row(row.group(), names), body.group()), table)


def _row(row: str, names: Sequence[str]) -> str:
    columns = iter(names)
    return _CELL.sub(lambda cell: f'<{cell.group(1)} data-column="{next(columns)}"', row)
