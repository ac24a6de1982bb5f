"""The figures of a report: their order, titles, captions, and the PNG files as text.

``REPORT_FIGURES`` and ``SEARCH_FIGURES`` map a kind of figure to its title and caption, in the order of the page; in
two columns, neighbours are of like height.
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.trials import TrialRecord

REPORT_FIGURES = {
    "outer_folds": ("Outer folds", "AUC of each fold's model on the fold's own patients, and the mean over folds."),
    "outer_roc": ("ROC curves of the outer folds", "The primary endpoint within each outer fold, and the mean curve."),
    "roc": (
        "ROC curves",
        "Sensitivity against false alarms at every threshold, of each class against the others; the area is the AUC.",
    ),
    "confusion_matrix": ("Confusion matrix", "Which class was taken for which, when the most probable one is chosen."),
    "class_metrics": ("Class metrics", "Precision, recall, F1 and specificity of each class."),
    "decision_curve": (
        "Decision curve",
        "Net benefit (found, less false alarms weighed by the odds of the threshold) against recalling all and none.",
    ),
    "training_curves": (
        "Training curves of the winning trial",
        "Cross-validation inside the search, on the patients that it had.",
    ),
    "enough": (
        "Was there enough?",
        "What more trials and more women gave: the best trial so far, and the linear probe on parts of the women.",
    ),
    "reliability": ("Reliability", "Observed share against the predicted probability: on the diagonal, they agree."),
    "subgroups": ("Subgroups", "How well slices of the patients are ranked; small slices have no value."),
}

SEARCH_FIGURES = {
    "learning_curves": (
        "Learning curves",
        "Mean over the folds, a panel a kind of bracket. Trials of different budgets compare only at the same epoch.",
    ),
    "timeline": ("Timeline", "When each trial was at work; the paler, the lower its rung."),
    "history": ("History", "Objectives in the order of the trials of one epoch count, and the best so far."),
    "parallel_coordinates": (
        "Parallel coordinates",
        "A line a trial over the whole range that was searched; the darker, the better, and the best in wine.",
    ),
    "slice": ("Slices", "The objective against each hyperparameter, over its whole range; the best trial in wine."),
    "rank": ("Ranks", "Pairs of hyperparameters, each trial coloured by its rank."),
    "importance": (
        "Importance",
        "What moved the objective, as two methods see it. A bar that stays below its mark is what shuffled scores "
        "give, too: no evidence of anything.",
    ),
}

FEWEST_WEIGHED = 10
"""Trials of one budget, below which importances say nothing: with two trials a hyperparameter a forest takes what the
best one has for causes."""


def embedded_figures(figures: Mapping[str, Path], captions: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """What the page prints of each figure: name, title, caption and source (a ``data:`` address).

    Args:
        figures: Figure name to PNG file.
        captions: `REPORT_FIGURES` or `SEARCH_FIGURES`.

    Returns:
        In the order of the captions, unknown ones last.

    Raises:
        OSError: If a file can't be read.
    """
    order = list(captions)
    kinds = {name: re.sub(r"_\d+_epochs$", "", name) for name in figures}
    shown = []
    for name in sorted(figures, key=lambda name: order.index(kinds[name]) if kinds[name] in order else len(order)):
        title, caption = captions.get(kinds[name], (name.replace("_", " ").capitalize(), ""))
        shown.append({"name": name, "title": title, "caption": caption, "source": embedded(figures[name])})
    return shown


def importance_words(trials: Sequence[TrialRecord], figures: Mapping[str, Path]) -> str:
    """Why a search has no picture of importances; "" where it has one.

    Args:
        trials: All trials.
        figures: Its figures by name.
    """
    counts = Counter(record.epochs for record in trials if record.objective is not None)
    if "importance" in figures or not counts:
        return ""
    ((epochs, most),) = counts.most_common(1)
    if most < FEWEST_WEIGHED:
        return (
            f"Which hyperparameter mattered can't be said: that takes {FEWEST_WEIGHED} trials of one budget, and at "
            f"most {most} have the same ({epochs} epochs)."
        )
    return "Which hyperparameter mattered was not asked: that needs optuna, and scores that differ."


def embedded(path: Path) -> str:
    """A PNG file as a ``data:`` address."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
