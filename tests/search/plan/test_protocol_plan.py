import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from search.cli.main import app
from search.config.reading import load_config
from search.plan.protocol import nested_seconds
from tests.support.simulated import simulated_trials


def test_the_nested_plan_is_shown_without_starting_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--dry-run", "--protocol", "nested", "--max-trials", "40"]
    plan = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert plan["trials"] == 38
    assert plan["nested"] == {"outer_folds": 5, "searches": 6, "trials": 228, "epochs": 2520}
    text = CliRunner().invoke(app, arguments).stdout
    assert "6 searches" in text
    assert "228 trials" in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 100 * 5 / 0.75 + 6 * 20),
        ({"split.outer_folds": 10}, 100 * 10 / 0.75 + 11 * 20),
        ({"search.steps_per_epoch": 7}, 100 * 6 + 6 * 20),
    ],
)
def test_the_estimated_time_follows_the_images_that_each_search_has(settings, expected):
    records = simulated_trials()
    records = [replace(record, seconds=100 / len(records)) for record in records]
    assert nested_seconds(records, load_config(None, settings), other_seconds=20) == pytest.approx(expected)
