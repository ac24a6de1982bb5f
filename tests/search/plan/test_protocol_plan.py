import json

from typer.testing import CliRunner

from search.cli.main import app


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
