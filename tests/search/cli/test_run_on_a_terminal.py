"""A whole run as a user sees it on a terminal: watched, interrupted, resumed."""

import re
import sys

import pytest

from search.config.writing import to_toml
from tests.conftest import ROOT
from tests.support.terminal import Terminal
from tests.support.tiny import tiny_config


def run(workspace, *words):
    return Terminal(
        [sys.executable, "-m", "search", "run", "--name", "watched", *words],
        columns=80,
        rows=24,
        cwd=workspace,
        environment={"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"},
    )


@pytest.mark.slow
def test_a_run_is_watched_interrupted_and_resumed(tmp_path, phantom):
    (tmp_path / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, tmp_path, search__max_epochs=9)))
    first = run(tmp_path)
    first.wait_until(lambda text: re.search(r"[1-3] done, 1 running", text) is not None, timeout=300)
    assert re.search(r"^search +\S+ epoch \d+/\d+ ", first.text, re.MULTILINE)
    first.interrupt()
    assert first.wait() == 130
    assert "trial state" not in first.text
    said = " ".join(first.everything.split())
    for label in ("folder ", "plan ", "device ", "backbone ", "data ", "views ", "time "):
        assert re.search(rf"^{label}", first.everything, re.MULTILINE), label
    assert "interrupted; what is finished is kept in" in said
    assert said.endswith("The same command goes on: mammo-search run --name watched")
    first.end()

    second = run(tmp_path)
    assert second.wait(timeout=300) == 0
    shown = second.everything
    assert "resuming after" in shown
    assert re.search(r"^time +about .+ left$", shown, re.MULTILINE)
    assert "best configuration" in shown
    assert re.search(r"next:\n  mammo-search trials watched", shown)
    assert not second.screen.cursor.hidden
    second.end()

    logged = (tmp_path / "runs" / "watched" / "log.txt").read_text()
    numbers = re.findall(r"  trial +\d+ +(\d+)/\d+  epochs", logged)
    assert numbers
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    again = run(tmp_path)
    assert again.wait() == 0
    assert "best configuration" in again.everything
    again.end()
