"""The figures of a report: their order, titles, captions, and the PNG files as text.

``REPORT_FIGURES`` and ``SEARCH_FIGURES`` map a kind of figure to its title and caption, in the order of the page; in
two columns, neighbours are of like height.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORT_FIGURES = {
    "outer_folds": ("Outer folds", "AUC of each fold's model on the fold's own patients, and the mean over folds."),
    "outer_roc": ("ROC curves of the outer folds", "The primary endpoint within each outer fold, and the mean curve."),
    "roc": ("ROC curves", "How well each class is told apart from the other two, whatever the threshold."),
    "confusion_matrix": ("Confusion matrix", "Which class was taken for which, when the most probable one is chosen."),
    "class_metrics": ("Class metrics", "Precision, recall, F1 and specificity of each class."),
    "decision_curve": ("Decision curve", "Net benefit against recalling all women and recalling none."),
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
        "Mean over the folds; a panel for each kind of bracket. At one epoch, all lines are the same quantity.",
    ),
    "timeline": ("Timeline", "When each trial was at work; the paler, the lower its rung."),
    "history": ("History", "Objectives in the order of the trials of one epoch count, and the best so far."),
    "parallel_coordinates": ("Parallel coordinates", "A line a trial; the darker, the better."),
    "slice": ("Slices", "The objective against each hyperparameter, over its whole range; the best trial in wine."),
    "rank": ("Ranks", "Pairs of hyperparameters, each trial coloured by its rank."),
    "importance": (
        "Importance",
        "What moved the objective, as two methods see it. A bar that stays below its mark is what shuffled scores "
        "give, too: no evidence of anything.",
    ),
}

WIDE_FIGURES = {"learning_curves", "parallel_coordinates"}
"""Too wide for half a page."""


def embedded_figures(figures: Mapping[str, Path], captions: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """What the page prints of each figure: name, title, caption, source (a ``data:`` address) and wide.

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
        figure = {"name": name, "title": title, "caption": caption, "source": embedded(figures[name])}
        shown.append(figure | {"wide": kinds[name] in WIDE_FIGURES})
    return shown


def embedded(path: Path) -> str:
    """A PNG file as a ``data:`` address."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
