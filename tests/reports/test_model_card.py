from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reports.model_card import render_model_card, write_model_card

from .example import example_summary, unhappy_summary


def rows(card: str) -> list[str]:
    return [line for line in card.splitlines() if line.startswith("|")]


def test_the_card_holds_what_the_run_knows_and_leaves_the_rest_to_the_author(tmp_path: Path) -> None:
    summary = example_summary(tmp_path)
    card = write_model_card(summary, tmp_path / "model_card.md").read_text()
    primary = summary.metrics["primary_auc"]
    assert f"{primary['value']:.3f} ({primary['lower']:.3f} to {primary['upper']:.3f})" in card
    assert "Demonstration on synthetic data" in card
    assert "Research use only" in card
    assert "selected, optimistic" in card
    assert "author: to be written" in card
    assert "held out 40" in card
    assert "Demonstration" not in render_model_card(replace(summary, is_demo=False))


def test_every_table_row_has_as_many_cells_as_its_head(tmp_path: Path) -> None:
    card = render_model_card(replace(example_summary(tmp_path), name="a|b`c", command="x | y\nz"))
    for block in card.split("\n\n"):
        lines = rows(block)
        assert len({line.count("|") for line in lines}) <= 1
    assert "`a/b'c`" in card


def test_a_class_that_is_missing_is_not_defined(tmp_path: Path) -> None:
    assert "not defined (no interval)" in render_model_card(unhappy_summary(tmp_path))
