"""Every configuration that is to be tried first has a place in the plan, or the run does not begin."""

import json

import pytest

from search.config.reading import load_config
from search.errors import ConfigError
from search.job import Job
from search.plan.protocol import plan_run
from search.protocols.run import run_job
from tests.support.command_line import typed
from tests.support.tiny import tiny_config

PLANS = [("hyperband", 40, 28), ("random", 4, 4), ("bayesian", 4, 4)]


def known(count):
    values = {"head_width": 64, "l2": 1e-4, "learning_rate": 0.01, "unfreeze_depth": 0}
    return [{**values, "dropout": number / 1000} for number in range(count)]


def config(tuner, max_trials, configurations):
    settings = {"search.tuner": tuner, "search.max_trials": max_trials, "space.known": configurations}
    return load_config(None, settings)


@pytest.mark.parametrize(("tuner", "max_trials", "places"), PLANS)
def test_as_many_known_configurations_as_the_plan_tries_are_taken_and_no_more(tuner, max_trials, places):
    assert plan_run(config(tuner, max_trials, known(places))).configurations == places
    assert plan_run(config(tuner, max_trials, known(places) * 2)).configurations == places, "twice the same is one"
    with pytest.raises(
        ConfigError, match=rf"^Expected at most {places} .* in space\.known.*; found {places + 1}\. Raise --max-trials"
    ) as caught:
        plan_run(config(tuner, max_trials, known(places + 1)))
    assert caught.value.exit_code == 2


def test_a_dry_run_says_so_as_well(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tables = ", ".join(
        "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in each.items()) + "}" for each in known(3)
    )
    (tmp_path / "tuner_config.toml").write_text(f"[space]\nknown = [{tables}]\n[search]\ntuner = 'random'\n")
    answer = typed(capsys, "run", "--dry-run", "--max-trials", "2")
    assert answer.code == 2
    (line,) = answer.error_lines
    assert "at most 2 different configurations in space.known" in line
    assert "found 3" in line
    assert "--max-trials" in line
    assert typed(capsys, "run", "--dry-run", "--max-trials", "3").code == 0


def test_a_run_ends_before_it_has_a_folder(phantom, tmp_path):
    changed = tiny_config(phantom, tmp_path, space__known=known(9), search__tuner="random")
    with pytest.raises(ConfigError, match=r"at most 6 .*found 9"):
        run_job(Job(changed, name="lost"))
    assert not changed.output.runs.exists()
