"""Intervals hold the truth: on a hundred sets here, and on two thousand a world in the table that was kept."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest

from tests.benchmarks.bench_coverage import WORLDS, figures, truth
from tests.conftest import ROOT

TABLE = ROOT / "tests" / "benchmarks" / "tables" / "coverage.csv"


@pytest.mark.parametrize("name", ["80, 0.8", "80, 0.997"])
def test_coverage_is_not_far_off_on_a_hundred_sets(name: str) -> None:
    (world,) = (each for each in WORLDS if each.name == name)
    separation = world.separation()
    true, thresholds = truth(world, separation)
    inside: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for number in range(100):
        tables = world.tables(np.random.default_rng((20, number)), separation)
        for figure, found in figures(world, tables, thresholds):
            if found.lower is not None and found.upper is not None:
                given[figure] += 1
                inside[figure] += found.lower - 1e-9 <= true[figure] <= found.upper + 1e-9
    always = {"primary_auc", "abnormal_auc", "macro_ovr_auc", "balanced_accuracy", "brier", "accuracy"}
    assert all(given[figure] == 100 for figure in always)
    # Four standard errors of 93 % over a hundred sets.
    assert {figure: inside[figure] for figure in given if inside[figure] < 0.83 * given[figure]} == {}


def test_the_table_that_was_kept_has_no_figure_that_covers_too_little() -> None:
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["world"] for row in rows} == {world.name for world in WORLDS}
    # Two standard errors of 93 % over two thousand sets.
    low = {(row["world"], row["figure"]): row["coverage"] for row in rows if float(row["coverage"] or 1) < 0.9186}
    assert low == {}
