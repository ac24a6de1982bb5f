from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reports.search_plots.importance import FANOVA, PED_ANOVA, compare_importances
from reports.trials import TrialRecord
from tests.support.simulated import SPACE, simulated_trials


def runs(count: int, *, seed: int, noise: float) -> list[TrialRecord]:
    """Runs of one epoch whose objective follows from the learning rate's decade alone, but for noise."""
    rng = np.random.default_rng(seed)
    template = simulated_trials()[0]
    records = []
    for run in range(count):
        values = {
            "dense_width": int(rng.choice([64, 128, 256, 512, 1024])),
            "dropout": float(rng.uniform(0, 0.6)),
            "l2": float(10 ** rng.uniform(-6, -2)),
            "learning_rate": float(10 ** rng.uniform(-4, -1)),
            "unfreeze_depth": int(rng.choice([0, 1, 2, 3])),
        }
        score = 0.8 - 0.1 * abs(np.log10(values["learning_rate"]) + 3.5) + noise * rng.normal()
        records.append(replace(template, run=run, configuration=run, epochs=1, objective=score, hyperparameters=values))
    return records


def test_what_moved_the_objective_is_found_by_both_and_stands_above_shuffled_scores() -> None:
    found = compare_importances(runs(24, seed=0, noise=0.01), 1, SPACE, shuffles=5)
    assert found is not None
    assert found.trials == 24
    assert found.order[0] == "learning_rate"
    assert found.above_chance == ("learning_rate",)
    assert found.same_first
    assert 0 <= found.disagreement < 0.3
    for method in found.methods.values():
        assert sum(method.shares.values()) == pytest.approx(1)
        assert set(method.chance) == set(method.shares)


def test_noise_is_seldom_called_a_finding() -> None:
    findings = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        noise = [replace(record, objective=float(rng.normal())) for record in runs(12, seed=seed, noise=0)]
        found = compare_importances(noise, 1, SPACE, shuffles=6)
        assert found is not None
        findings += len(found.above_chance)
    assert findings <= 2


def test_other_budgets_do_not_count_and_the_answer_repeats() -> None:
    trials = simulated_trials()
    alone = [record for record in trials if record.epochs == 10]
    first = compare_importances(trials, 10, SPACE, shuffles=2)
    assert first == compare_importances(alone, 10, SPACE, shuffles=2)
    assert first is not None
    assert set(first.methods) == {FANOVA, PED_ANOVA}
    assert first.trials == 13


def test_too_few_runs_equal_scores_and_one_value_everywhere_are_not_assessed() -> None:
    some = runs(8, seed=1, noise=0.1)
    assert compare_importances(some[:5], 1, SPACE) is None
    assert compare_importances([replace(record, objective=0.7) for record in some], 1, SPACE) is None
    assert compare_importances([replace(r, hyperparameters=some[0].hyperparameters) for r in some], 1, ()) is None
