"""What a terminal shows of a search, and what a file gets instead."""

import io
import re
import sys

import pytest
from rich.console import Console

from reports.trials import best_first
from search.plan.clock import SearchClock
from search.plan.execution import Assignment
from search.plan.hyperband import plan_hyperband
from search.screen.layout import Station, layout, trials_table
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
    assert heads[2:6] == ["b/r", "epochs", "macro", "AUC"]
    assert ("dropout" in heads) == (columns == 120)
    best = [line for line in lines if " best " in line]
    assert re.search(r"^ *8 best +0/2 +6-18 +0\.580 ±0\.010 ", best[0])
    (running,) = [line for line in lines if re.match(r" *\d+ running ", line)]
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
    assert len(re.findall(r"^\d{4}-\d\d-\d\d .*  trial +\d+ +\d+/15  epochs", logged, re.MULTILINE)) == 16
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


@pytest.mark.parametrize(
    "place",
    [
        pytest.param({"TERM": "dumb"}, marks=pytest.mark.slow),
        {"JPY_PARENT_PID": "1"},
        pytest.param({"COLAB_RELEASE_TAG": "release"}, marks=pytest.mark.slow),
        pytest.param({"CI": "true"}, marks=pytest.mark.slow),
    ],
    ids=lambda place: next(iter(place)),
)
def test_where_drawings_would_pile_up_each_trial_is_a_line(staged, place):
    """A cell of a notebook gives its program a terminal, too."""
    terminal = staged(pause=0.001, **place)
    terminal.wait()
    assert len(re.findall(r"^trial +\d+ +\d+/15 ", terminal.everything, re.MULTILINE)) == 16
    moved = re.search(rb"\x1b\[[\d;?]*[A-HJKhl]", terminal.output)
    assert not moved, "the cursor was moved, or a line erased"
    assert terminal.output.count(b"\n") == 16 + 4


@pytest.mark.parametrize(("detail", "trials", "epochs"), [("quiet", 0, 0), ("normal", 16, 0), ("verbose", 16, 300)])
def test_a_file_gets_lines_as_many_as_were_asked_for(tmp_path, detail, trials, epochs):
    stream = io.StringIO()
    with RunProgress(messages(stream), log=tmp_path / "log.txt", detail=detail).shown() as progress:
        staged_search.play(progress, 0.0)
    lines = stream.getvalue().splitlines()
    assert sum(bool(re.search(r"trial +\d+ +\d+/15  epochs", line)) for line in lines) == trials
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


def test_the_table_has_the_order_of_the_trials_command_down_to_its_last_row():
    assignments = [Assignment(trial, trial, 2, 0, None, 0, 4) for trial in range(9)]
    assignments += [
        Assignment(9, 5, 2, 1, 5, 4, 10),
        Assignment(10, 7, 2, 1, 7, 4, 10),
        Assignment(11, 7, 2, 2, 10, 10, 30),
    ]
    records = [staged_search.record(each.trial, each, staged_search.configuration(each.trial)) for each in assignments]
    board = SearchClock(plan_hyperband(40), 5, records)
    order = [record.trial for record in best_first(records)]
    assert order == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 0, 1]
    assert trials_of(board, rows=14) == order
    # In less room: the best, and the last to end; those that another goes on from are left out first.
    assert trials_of(board, rows=7) == [11, 9, 8, 6, 4, 3, 2]
    assert trials_of(board, rows=5, flying=False) == [11, 9, 8, 6, 4]
    board.begin(12, Assignment(12, 8, 2, 1, 8, 4, 10), staged_search.configuration(8), 0.0)
    assert trials_of(board, rows=14) == [*order, 12]


def trials_of(board, *, rows, flying=True):
    table = trials_table(board, rows=rows, width=120, flying=flying)
    return [int(str(cell)) for cell in table.columns[0].cells]


def test_a_long_trial_says_once_a_minute_how_far_it_is(monkeypatch):
    stream, now = io.StringIO(), 0.0
    monkeypatch.setattr("search.screen.progress.time.monotonic", lambda: now)
    board = SearchClock(plan_hyperband(40), 5, [])
    assignment, chosen = Assignment(0, 0, 0, 0, None, 0, 30), staged_search.configuration(0)
    with RunProgress(messages(stream)).shown() as progress, progress.search(board):
        progress.trial_begins(0, assignment, chosen)
        for fold in range(2):
            for epoch in range(1, 31):
                now += 5.0
                progress.epoch_ended(0, fold, epoch)
        progress.trial_ended(staged_search.record(0, assignment, chosen))
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines[:5]] == [
        *(f"trial 0  fold 1/5  epoch {epoch}/30" for epoch in (12, 24)),
        *(f"trial 0  fold 2/5  epoch {epoch}/30" for epoch in (6, 18, 30)),
    ]
    assert len(lines) == 5 + 2


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
