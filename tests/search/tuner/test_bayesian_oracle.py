"""The Gaussian process as an oracle, driven by made-up scores without any training."""

import time
from dataclasses import asdict

import keras_tuner
import pytest

from reports.trials import OBJECTIVE_CURVE, TrialRecord
from search.config.schema import SpaceSection
from search.plan.execution import TimeBound
from search.plan.space import Configuration, declare_space, known_configurations
from search.tuner.bayesian import BayesianOracle

DISCRETE = {
    "head_width": (8, 16, 32, 64),
    "unfreeze_depth": (0, 1, 2, 3),
    "dropout": {"min": 0.1, "max": 0.1},
    "l2": {"min": 1e-4, "max": 1e-4},
    "learning_rate": {"min": 1e-2, "max": 1e-2},
}
KNOWN = [
    {"head_width": 48, "dropout": 0.5, "l2": 1.0, "learning_rate": 0.7, "unfreeze_depth": 7},
    {"head_width": 64, "dropout": 0.1, "l2": 1e-4, "learning_rate": 1e-2, "unfreeze_depth": 3},
]


def oracle_of(folder, max_trials, **choices):
    space = SpaceSection(**{key: value for key, value in choices.items() if key != "bound"})
    hyperparameters = keras_tuner.HyperParameters()
    declare_space(hyperparameters, space)
    oracle = BayesianOracle(
        hyperparameters=hyperparameters,
        max_trials=max_trials,
        epochs=3,
        seed=0,
        known=known_configurations(space),
        bound=choices.get("bound"),
    )
    oracle._set_project_dir(folder, "search")
    return oracle


def objective(configuration):
    return 0.9 - abs(configuration.head_width - 32) / 100 - configuration.unfreeze_depth / 100


def configuration_of(trial):
    return Configuration.from_values(trial.hyperparameters.values)


def carry_out(oracle):
    """All its runs, or the rest of them; the configurations that were tried, in their order."""
    while (trial := oracle.create_trial("tuner")).status != "STOPPED":
        oracle.update_trial(trial.trial_id, {OBJECTIVE_CURVE: objective(configuration_of(trial))})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    return [configuration_of(trial) for trial in oracle.trials.values()]


@pytest.fixture(scope="module")
def exhausted(tmp_path_factory):
    return carry_out(oracle_of(tmp_path_factory.mktemp("whole"), 40, known=KNOWN, **DISCRETE))


def test_an_exhausted_space_ends_the_search(exhausted):
    assert len(set(exhausted)) == len(exhausted) == 16 + 1  # one of the known is not in the space


def test_known_configurations_come_first_wherever_they_lie(exhausted):
    assert [asdict(configuration) for configuration in exhausted[:2]] == KNOWN


@pytest.mark.slow  # test_run_failures has it on a continuous space, by default
def test_a_resumed_search_proposes_what_it_would_have(exhausted, tmp_path):
    resumed = oracle_of(tmp_path, 40, known=KNOWN, **DISCRETE)
    records = [
        TrialRecord(
            trial=run,
            configuration=run,
            bracket=0,
            rung=0,
            parent=None,
            initial_epoch=0,
            epochs=3,
            hyperparameters=asdict(configuration),
            status="completed",
            objective=objective(configuration),
            best_epoch=1,
            curves={},
        )
        for run, configuration in enumerate(exhausted[:16])
    ]
    resumed.restore(records)
    assert carry_out(resumed) == exhausted


def test_after_the_deadline_no_run_is_started_but_the_first(tmp_path):
    assert len(carry_out(oracle_of(tmp_path, 5, bound=TimeBound(time.monotonic() - 1)))) == 1
