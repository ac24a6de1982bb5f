"""What a terminal shows of a search, and what a file gets instead."""

import io
import re
import sys

import pytest
from rich.console import Console

from search.plan.clock import SearchClock
from search.plan.execution import Assignment
from search.plan.hyperband import plan_hyperband
from search.screen.layout import Station, layout
from search.screen.output import messages
from search.screen.progress import RunProgress
from tests.conftest import ROOT
from tests.support import staged_search
from tests.support.terminal import Terminal


@pytest.fixture
def staged(tmp_path):
    """Starts the staged search on a terminal; ends it with the test."""
    terminals = []

    def start(*, columns=80, rows=24, pause=0.02, endless=0, **environment):
        script = [sys.executable, "-m", "tests.support.staged_search", str(pause), "normal", str(tmp_path / "log.txt")]
        environment = {"PYTHONPATH": str(ROOT), **environment}
        terminals.append(
            Terminal([*script, str(endless)], columns=columns, rows=rows, cwd=tmp_path, environment=environment)
        )
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.end()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), pytest.param(120, 40, marks=pytest.mark.slow)])
def test_a_terminal_shows_the_trials_two_bars_and_the_time_left(staged, columns, rows):
    terminal = staged(columns=columns, rows=rows, pause=0.002, endless=12)
    text = terminal.wait_until(lambda text: re.search(r"trial 11 .*fold 2/3 epoch 6/6 .*left", text) is not None)
    lines = text.splitlines()
    assert lines[0] == "mammo-search"
    assert "data      320 images of 160 patients" in text
    heads = next(line for line in lines if line.startswith("trial state")).split()
    assert heads[2:5] == ["bracket", "rung", "epochs"]
    assert ("dropout" in heads) == (columns == 120)
    best = [line for line in lines if " best " in line]
    assert re.search(r"^ *8 best +0 +2 +6→18 +0\.580 +0\.010 ", best[0])
    (running,) = [line for line in lines if " running " in line and "→" in line]
    assert running.split()[0] == "11"
    assert "11 done, 1 failed, 1 running, 3 to come" in text
    assert re.search(r"^search .*epoch \d+/98 +\d+ s left$", text, re.MULTILINE)
    assert re.search(r"^trial 11 .*fold 2/3 epoch 6/6 +\d+ s left$", text, re.MULTILINE)
    assert [line for line in lines if line].index(lines[0]) == 0


def test_after_the_search_the_screen_is_tidy_and_the_log_has_every_trial(staged, tmp_path):
    terminal = staged(pause=0.002)
    assert terminal.wait() == 0
    assert not terminal.screen.cursor.hidden
    assert terminal.colours
    text = terminal.everything
    assert "running" not in text
    assert text.count("trial state") == 1
    assert "16 trials in" in text
    logged = (tmp_path / "log.txt").read_text()
    assert len(re.findall(r"^\d{4}-\d\d-\d\d .*  trial +\d+ +\d+/15  bracket", logged, re.MULTILINE)) == 16
    assert "failed: the loss became nan in epoch 1 of fold 1 [sic]" in logged
    assert "\x1b" not in logged


def test_ctrl_c_leaves_the_cursor_and_no_half_table(staged):
    terminal = staged(endless=8)
    terminal.wait_until(lambda text: "running" in text)
    terminal.interrupt()
    terminal.wait()
    assert not terminal.screen.cursor.hidden
    assert "trial state" not in terminal.text


@pytest.mark.slow
def test_no_color_is_respected(staged):
    terminal = staged(pause=0.001, NO_COLOR="1")
    terminal.wait()
    assert not terminal.colours


@pytest.mark.slow
def test_a_dumb_terminal_gets_lines(staged):
    terminal = staged(pause=0.001, TERM="dumb")
    terminal.wait()
    assert len(re.findall(r"^trial +\d+ +\d+/15 ", terminal.everything, re.MULTILINE)) == 16
    assert b"\x1b[" not in terminal.output


@pytest.mark.parametrize(("detail", "trials", "epochs"), [("quiet", 0, 0), ("normal", 16, 0), ("verbose", 16, 300)])
def test_a_file_gets_lines_as_many_as_were_asked_for(tmp_path, detail, trials, epochs):
    stream = io.StringIO()
    with RunProgress(messages(stream), log=tmp_path / "log.txt", detail=detail).shown() as progress:
        staged_search.play(progress, 0.0)
    lines = stream.getvalue().splitlines()
    assert sum(bool(re.search(r"trial +\d+ +\d+/15  bracket", line)) for line in lines) == trials
    assert sum(bool(re.search(r"trial \d+ +\d+/15  fold", line)) for line in lines) == epochs
    assert "\x1b" not in stream.getvalue()
    if detail == "quiet":
        assert not lines


def board_with(runs):
    board = SearchClock(plan_hyperband(40), 5, [])
    for run in range(runs):
        assignment = Assignment(run, run, 0, 0, None, 0, 4)
        board.begin(run, assignment, staged_search.configuration(run), 0.0)
        board.epoch_ended(run, 0, 1, 1.0)
        board.epoch_ended(run, 0, 2, 2.0)
        if run + 3 < runs:
            board.end(staged_search.record(run, assignment, staged_search.configuration(run)))
    return board


@pytest.mark.parametrize("columns", [20, 40, 60, 70, 80, 100, 120, 250])
@pytest.mark.parametrize("rows", [5, 12, 24, 40, 100])
@pytest.mark.parametrize("runs", [0, 1, 4, 14])
def test_nothing_outgrows_the_terminal(columns, rows, runs):
    console = Console(file=io.StringIO(), width=columns, height=rows)
    stations = [Station("trunk", 0.0, 3, 1200), Station("starting", 0.0)]
    shown = console.render_lines(layout(board_with(runs), stations, width=columns, height=rows, now=10.0))
    assert len(shown) < max(rows, 7)
    for line in shown:
        assert sum(segment.cell_length for segment in line) <= columns


def test_a_long_station_says_where_it_is_in_a_file(monkeypatch):
    stream, now = io.StringIO(), 0.0
    monkeypatch.setattr("search.screen.progress.time.monotonic", lambda: now)
    with RunProgress(messages(stream)).shown() as progress, progress.station("trunk") as moved:
        for done in range(1, 301):
            now = float(done)
            moved(done, 300)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "trunk  60/300, 4 min left"
    assert lines[-1] == "trunk     5 min"
    assert len(lines) == 5
