"""model_card.md: what the exported model is, for whom, and how well it does, as a Markdown file beside it.

The items follow CLAIM 2024 (Tejani et al., Radiology: AI) and TRIPOD+AI (Collins et al., BMJ 2024). What the run knows
is filled in; what only people can know stands as "author: …" and is for them to write.
"""

from __future__ import annotations

from pathlib import Path

from reports.files import write_atomically
from reports.page.html import environment
from reports.page.run_summary import RunSummary

TEMPLATE = "model_card.md.j2"


def write_model_card(summary: RunSummary, path: Path) -> Path:
    """Renders the card and writes it atomically.

    Args:
        summary: The finished run.
        path: The Markdown file.

    Returns:
        ``path``.
    """
    return write_atomically(path, render_model_card(summary))


def render_model_card(summary: RunSummary) -> str:
    """The card as Markdown text.

    Args:
        summary: The finished run.

    Returns:
        The document; text of the run stands in code spans wherever it could be taken for markup.
    """
    return environment().get_template(TEMPLATE).render(run=summary, metrics=summary.metrics, winner=summary.winner)
