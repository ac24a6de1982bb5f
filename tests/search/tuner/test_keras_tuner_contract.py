"""KerasTuner's private parts that the subclasses rely on; a new release that moves them fails here, by name."""

import inspect

import keras_tuner
import pytest

BASE = keras_tuner.engine.base_tuner.BaseTuner


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [
        (keras_tuner.Oracle, "populate_space", ["self", "trial_id"]),
        (keras_tuner.Oracle, "create_trial", ["self", "tuner_id"]),
        (keras_tuner.Oracle, "end_trial", ["self", "trial"]),
        (keras_tuner.Oracle, "_duplicate", ["self", "values"]),
        (keras_tuner.Oracle, "_random_values", ["self"]),
        (BASE, "_populate_initial_space", ["self"]),
        (BASE, "search", ["self", "fit_args", "fit_kwargs"]),
        (keras_tuner.Oracle, "update_trial", ["self", "trial_id", "metrics", "step"]),
        (keras_tuner.Oracle, "_record_values", ["self", "trial"]),
        (keras_tuner.Oracle, "_save_trial", ["self", "trial"]),
        (BASE, "load_model", ["self", "trial"]),
    ],
)
def test_an_overridden_method_is_where_it_was(owner, method, parameters):
    function = getattr(owner, method)
    function = inspect.unwrap(function)
    closure = inspect.getclosurevars(function).nonlocals.get("func", function)  # keras_tuner.synchronized
    assert list(inspect.signature(closure).parameters) == parameters


def test_a_hyperparameter_maps_probabilities_to_values():
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Float("x", 1e-4, 1e-1, sampling="log")
    (x,) = hyperparameters.space
    assert (x.min_value, x.max_value) == (1e-4, 1e-1)
    assert x.prob_to_value(0.5) == pytest.approx(10**-2.5)


def test_a_finished_search_answers_kerastuners_own_questions(tmp_path, engine):
    """Everything that documentation teaches of a finished tuner works on ours."""
    from search.config.schema import SpaceSection
    from search.plan.hyperband import plan_hyperband
    from search.plan.space import declare_space, draw_configurations
    from search.trials.worker import TrainerPool, Worker
    from search.tuner.executors.in_process import InProcessExecutor
    from search.tuner.oracle import PlannedOracle
    from search.tuner.tuner import MammoTuner

    class Silent:
        def trial_begins(self, run, assignment, configuration): ...

        def epoch_ended(self, run, fold, epoch): ...

        def trial_ended(self, record): ...

    space = SpaceSection(head_width=(16,), unfreeze_depth=(0,))
    plan = plan_hyperband(9, max_epochs=9)
    hyperparameters = keras_tuner.HyperParameters()
    declare_space(hyperparameters, space)
    oracle = PlannedOracle(
        plan,
        draw_configurations(space, plan.configurations + plan.spares, seed=0),
        hyperparameters=hyperparameters,
        seed=0,
    )
    pool = TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd")
    worker = Worker(engine.data, engine.settings, pool, tmp_path)
    with InProcessExecutor(worker) as executor:
        place = {"data": engine.data, "settings": engine.settings, "run_directory": tmp_path}
        tuner = MammoTuner(oracle, executor=executor, listener=Silent(), **place)
        tuner.search()
    assert len(oracle.trials) == plan.trials == len(tuner.records)
    best = max((record for record in tuner.records), key=lambda record: (record.objective, -record.trial))
    assert tuner.get_best_hyperparameters()[0].get("learning_rate") == best.hyperparameters["learning_rate"]
    trial = oracle.get_best_trials()[0]
    assert trial.score == pytest.approx(best.objective)
    assert set(trial.metrics.metrics) >= {"val_macro_auc", "val_loss", "loss"}
