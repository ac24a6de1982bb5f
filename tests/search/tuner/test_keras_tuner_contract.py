"""What the subclasses rely on in KerasTuner's private parts; a new release that moves them fails here, by name."""

import inspect

import keras_tuner
import pytest


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [
        (keras_tuner.Oracle, "populate_space", ["self", "trial_id"]),
        (keras_tuner.Oracle, "create_trial", ["self", "tuner_id"]),
        (keras_tuner.Oracle, "end_trial", ["self", "trial"]),
        (keras_tuner.Oracle, "_duplicate", ["self", "values"]),
        (keras_tuner.Oracle, "_random_values", ["self"]),
        (keras_tuner.Tuner, "_populate_initial_space", ["self"]),
        (keras_tuner.Tuner, "run_trial", ["self", "trial", "args", "kwargs"]),
        (keras_tuner.Tuner, "on_trial_end", ["self", "trial"]),
        (keras_tuner.Tuner, "load_model", ["self", "trial"]),
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
    from search.trials.worker import TrainerPool
    from search.tuner.oracle import PlannedOracle
    from search.tuner.tuner import MammoTuner

    class Silent:
        def run_begins(self, run, assignment, configuration): ...

        def epoch_ended(self, run, fold, epoch): ...

        def run_ended(self, record): ...

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
    tuner = MammoTuner(
        oracle,
        trainer_of=TrainerPool(engine.architecture, engine.weights, engine.data, optimizer="sgd"),
        data=engine.data,
        settings=engine.settings,
        run_directory=tmp_path,
        listener=Silent(),
    )
    tuner.search(verbose=0)
    assert len(oracle.trials) == plan.runs == len(tuner.records)
    best = max((record for record in tuner.records), key=lambda record: (record.objective, -record.run))
    assert tuner.get_best_hyperparameters()[0].get("learning_rate") == best.hyperparameters["learning_rate"]
    trial = oracle.get_best_trials()[0]
    assert trial.score == pytest.approx(best.objective)
    assert set(trial.metrics.metrics) >= {"val_macro_auc", "val_loss", "loss"}
