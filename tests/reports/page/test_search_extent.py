"""Pages of a search that was not carried out in full say so, and take the full budget from the plan."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reports.page.extent import SearchExtent
from reports.page.report import render_model_card, render_report
from reports.page.run_summary import RunSummary
from reports.page.summary_file import SUMMARY_NAME, read_summary, write_summary
from reports.page.tensorboard import write_trials
from tests.reports.page.test_report import Reader

TIMED = SearchExtent(1, 15, 38, 0, 60, 420, 0, 10, 30, ("max_minutes",))
SAID = "stopped by max_minutes after 15 of 38 trials; none at the full budget of 30 epochs"


@pytest.fixture
def cut(summary: RunSummary) -> RunSummary:
    """The time ended the search after its first rung: 15 trials of 4 epochs."""
    return replace(summary, trials=summary.trials[:15], search_figures={}, extent=TIMED)


def test_the_report_and_the_card_say_how_far_the_search_came(cut: RunSummary) -> None:
    text, card = Reader(render_report(cut)).text, render_model_card(cut)
    assert f"The search was not carried out in full. It was {SAID}." in text
    assert f"- The search was not carried out in full: it was {SAID}." in card
    assert f"{SAID}; {cut.objective}" in card
    # One of the fifteen has failed.
    below = "the largest of 14 trials of 4 epochs, below the full budget of 30"
    assert below in text
    assert below in card
    assert "the rank is among 14 trials of 4 epochs, below the full budget of 30." in text
    assert "full-budget" not in text + card
    assert "that was carried out" not in text + card


def test_the_plan_stands_beside_what_was_completed_of_it(cut: RunSummary) -> None:
    html = render_report(cut)
    table = html[html.index("<caption>The plan") :].partition("</table>")[0]
    assert "2 0 15 14 0 → 4 2 1 5 0 4 → 10 2 2 2 0 10 → 30" in Reader(f"<table>{table}</table>").text


def test_a_search_that_was_carried_out_says_at_which_budget_and_no_more(summary: RunSummary) -> None:
    whole = replace(summary, extent=SearchExtent(1, 38, 38, 0, 420, 420, 10, 10, 30))
    text, card = Reader(render_report(whole)).text, render_model_card(whole)
    assert "the largest of 10 trials at the full budget of 30 epochs" in text
    assert "carried out in full" not in text + card
    replaced = replace(whole, extent=replace(whole.extent, failed=1))
    said = "carried out in full; 1 trial failed, and others took their places"
    assert f"The search was {said}." in Reader(render_report(replaced)).text
    assert said in render_model_card(replaced)
    assert "not carried out" not in Reader(render_report(replaced)).text


def read_again(folder: Path, summary: RunSummary) -> RunSummary:
    return read_summary(
        folder, trials=summary.trials, metrics=summary.metrics, config_toml="", embed_images=False, checksums={}
    )


def test_the_summary_keeps_it_and_one_of_an_older_version_is_read_without(cut: RunSummary, tmp_path: Path) -> None:
    bare = replace(cut, figures={}, cases=())
    file = write_summary(bare, tmp_path)
    assert read_again(tmp_path, bare).extent == TIMED
    content = json.loads(file.read_text())
    del content["extent"]
    (tmp_path / SUMMARY_NAME).write_text(json.dumps(content))
    older = read_again(tmp_path, bare)
    assert older.extent is None
    text = Reader(render_report(older)).text
    assert "below the full budget of 30" in text
    assert "carried out" not in text


def test_tensorboard_says_it_where_it_describes_the_search(cut: RunSummary, tmp_path: Path) -> None:
    write_trials(cut.trials[:1], tmp_path, class_names=(), note=SAID)
    (file,) = tmp_path.rglob("events.out.*")
    assert f"The search was {SAID}.".encode() in file.read_bytes()


OTHERS = {"splits": 3, "runs": ["first", "second", "third"], "unknown": 0}


@pytest.mark.parametrize(
    ("others", "readings", "said"),
    [
        (None, 1, "once"),
        ({"splits": 0, "runs": [], "unknown": 0}, 2, "2 times"),
        (
            OTHERS,
            1,
            "once under this split; the same data set was read under 3 other splits (runs first, second, third)",
        ),
        (
            {"splits": 1, "runs": [f"r{n}" for n in range(7)], "unknown": 2},
            1,
            "once under this split; the same data set was read under 1 other split (runs r0, r1, r2, r3, r4 and 2 "
            "more); 2 older readings under other splits may be of the same data set",
        ),
    ],
)
def test_readings_under_other_splits_stand_beside_the_count(
    others: dict[str, object] | None, readings: int, said: str, summary: RunSummary
) -> None:
    metrics = dict(summary.metrics) | ({} if others is None else {"other_splits": others})
    run = replace(summary, metrics=metrics, holdout_readings=readings)
    html, card = render_report(run), render_model_card(run)
    text = Reader(html).text
    assert f"Held-out patients evaluated {said}." in text
    assert f"evaluated {said}. In brackets" in card
    assert f"patients held out of everything else, evaluated {said} |" in card
    chosen = bool(others and others["splits"])
    assert ("or to another split, makes the figures above more optimistic" in text) == chosen
    item = next(line for line in html.splitlines() if "Held-out patients evaluated" in line)
    assert ('class="pass"' in item) == (readings == 1 and not chosen)
