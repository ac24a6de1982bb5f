from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reports.page.report import render_model_card, write_model_card
from reports.page.run_summary import RunSummary
from tests.support.example import unhappy_summary

CARD_METRICS = ("primary_auc", "abnormal_auc", "macro_ovr_auc", "balanced_accuracy", "brier")


def rows(card: str) -> list[str]:
    return [line for line in card.splitlines() if line.startswith("|")]


def test_the_card_holds_what_the_run_knows_and_the_rest_is_the_author_s(summary: RunSummary, tmp_path: Path) -> None:
    card = write_model_card(summary, tmp_path / "model_card.md").read_text()
    primary = summary.metrics["primary_auc"]
    assert f"{primary['value']:.3f} [{primary['lower']:.3f}, {primary['upper']:.3f}]" in card
    assert "Demonstration on synthetic data" in card
    assert "Research use only" in card
    assert "selected, optimistic" in card
    assert "author: to be written" in card
    assert "held out 40" in card
    assert "mean of 3 fold models" in card
    assert "HiResCAM, 16 px a cell: hits" in card
    assert "Corrected" in card or "corrected for the choice" in card
    assert "Demonstration" not in render_model_card(replace(summary, is_demo=False))


def test_the_card_says_whether_the_winner_has_converged(summary: RunSummary) -> None:
    metrics = summary.metrics
    card = render_model_card(summary)
    assert f"\n\n{metrics['convergence']['sentence']}\n\n{metrics['ranking']['sentence']}\n\n" in card
    older = {key: value for key, value in metrics.items() if key not in ("convergence", "ranking")}
    assert "converged" not in render_model_card(replace(summary, metrics=older))


def test_the_card_has_the_thresholds_with_their_spread_over_the_folds(summary: RunSummary) -> None:
    card = render_model_card(summary).partition("## Thresholds and probabilities")[2].partition("\n## ")[0]
    for point in summary.metrics["operating_points"]:
        (row,) = [line for line in rows(card) if f"{point['endpoint']}, {point['target_specificity']:.2f}" in line]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1] == f"{point['threshold']:.3f}"
        assert cells[2] == ", ".join(f"{each:.3f}" for each in point["fold_thresholds"])
        assert cells[3] == ", ".join(f"{each:.2f}" for each in point["fold_specificities"])
    for kind, words in (("none", "the model's own, for no correction"), ("prior", "with the natural prior put back.")):
        calibration = summary.metrics["calibration"] | {"chosen": kind, "temperature": 1.0, "prior_shift": True}
        metrics = {**summary.metrics, "calibration": calibration}
        assert f"Printed probabilities: {words}" in render_model_card(replace(summary, metrics=metrics))


def test_hugging_face_reads_the_block_at_its_head(summary: RunSummary) -> None:
    from huggingface_hub import ModelCard

    odd = replace(summary, name="a: [b] 'c'", data=replace(summary.data, source='films: "new" # 1'))
    card = ModelCard(render_model_card(odd))
    assert card.text.lstrip().startswith("# Model card")
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == ("other", "keras", "image-classification")
    assert data.model_name == odd.name
    results = {result.metric_name: result for result in data.eval_results}
    primary = results["malignant versus rest, AUC"]
    assert primary.metric_type == "roc_auc"
    assert primary.metric_value == pytest.approx(summary.metrics["primary_auc"]["value"])
    assert primary.dataset_name == odd.data.source
    assert "synthetic-data" in data.tags
    assert data.to_yaml()
    undefined = {**summary.metrics, **{name: {"value": None} for name in CARD_METRICS}}
    assert ModelCard(render_model_card(replace(summary, metrics=undefined))).data.eval_results is None


def test_the_card_says_what_its_intervals_leave_out(summary: RunSummary) -> None:
    scores = summary.metrics["final_seeds"]["primary_auc"]
    said = f"({len(scores)} seeds gave an AUC of malignant versus rest from {min(scores):.3f} to {max(scores):.3f})"
    assert said in render_model_card(summary)
    alone = {**summary.metrics, "final_seeds": {"primary_auc": scores[:1]}}
    assert "another seed of the training, another split" in render_model_card(replace(summary, metrics=alone))


def test_every_table_row_has_as_many_cells_as_its_head(summary: RunSummary) -> None:
    card = render_model_card(replace(summary, name="a|b`c", command="x | y\nz"))
    for block in card.split("\n\n"):
        lines = rows(block)
        assert len({line.count("|") for line in lines}) <= 1
    assert "`a/b'c`" in card


def test_a_class_that_is_missing_is_not_defined(summary: RunSummary) -> None:
    assert "AUC (primary endpoint) | not defined |" in render_model_card(unhappy_summary(summary))


def test_every_item_of_both_checklists_stands_once(summary: RunSummary) -> None:
    card = render_model_card(summary)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows(card)]
    items = [row for row in cells if len(row) == 4 and row[0] not in ("CLAIM", "---")]
    claim = [number for row in items for number in row[0].split(", ") if number != "–"]
    tripod = [number for row in items for number in row[1].split(", ") if number != "–"]
    assert [int(number) for number in claim] == list(range(1, 45))
    # A topic of one list may be spread over several items of the other.
    assert {int(number.rstrip("abcdefg")) for number in tripod} == set(range(1, 28))
    parts = {"3": "abc", "5": "ab", "6": "abc", "8": "abc", "9": "abc", "12": "abcdefg", "18": "abcdef", "20": "abc"}
    parts |= {"23": "ab", "27": "abc"}
    assert set(tripod) >= {number + letter for number, letters in parts.items() for letter in letters}
    assert all(row[3] for row in items)
