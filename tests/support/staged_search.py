"""A search without training: the events of a plan, shown by the real progress display. Run as a script on a terminal.

Arguments: seconds between events, detail ("normal", "quiet", "verbose"), log file, the run that never ends (0: none).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from reports.trials import TrialRecord
from search.plan.clock import SearchClock
from search.plan.execution import Assignment, RunState, next_assignment
from search.plan.hyperband import plan_hyperband
from search.plan.space import Configuration
from search.screen.output import messages
from search.screen.progress import RunProgress

FOLDS = 3


def configuration(number: int) -> Configuration:
    return Configuration(64 << number % 5, dropout=0.123, l2=1.5e-4, learning_rate=0.0123, unfreeze_depth=number % 4)


def play(progress: RunProgress, pause: float, endless: int = 0) -> None:
    """A search of 15 runs, of which the second fails."""
    plan = plan_hyperband(16, max_epochs=18)
    board = SearchClock(plan, FOLDS, [], depths=(0, 1, 2, 3))
    history: list[RunState] = []
    with progress.search(board):
        while isinstance(assignment := next_assignment(plan, history, drawn=20), Assignment):
            run, chosen = len(history), configuration(assignment.configuration)
            progress.run_begins(run, assignment, chosen)
            for fold in range(FOLDS):
                for epoch in range(assignment.initial_epoch + 1, assignment.epochs + 1):
                    time.sleep(pause)
                    progress.epoch_ended(run, fold, epoch)
                if run + 1 == endless and fold == 1:
                    time.sleep(3600)
            progress.run_ended(record(run, assignment, chosen))
            status, objective = ("failed", None) if run == 1 else ("completed", 0.5 + 0.01 * run)
            history.append(
                RunState(run, assignment.configuration, assignment.bracket, assignment.rung, status, objective)
            )


def record(run: int, assignment: Assignment, chosen: Configuration) -> TrialRecord:
    failed = run == 1
    curve = tuple(tuple(0.5 + 0.01 * run + 0.01 * fold for _ in range(assignment.epochs)) for fold in range(FOLDS))
    return TrialRecord(
        run=run,
        configuration=assignment.configuration,
        bracket=assignment.bracket,
        rung=assignment.rung,
        parent=assignment.parent,
        initial_epoch=assignment.initial_epoch,
        epochs=assignment.epochs,
        hyperparameters=vars(chosen),
        status="failed" if failed else "completed",
        objective=None if failed else 0.5 + 0.01 * run,
        best_epoch=None if failed else assignment.epochs,
        curves={} if failed else {"val_macro_auc": curve},
        seconds=1.5,
        error="the loss became nan in epoch 1 of fold 1 [sic]" if failed else None,
    )


if __name__ == "__main__":
    pause, detail, log, endless = float(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    with RunProgress(messages(), log=log, detail=detail).shown() as progress:  # type: ignore[arg-type]
        progress.say("[bold]mammo-search[/bold]")
        progress.fact("folder", "runs/staged")
        progress.fact("data", "320 images of 160 patients: 240 images for development in 5 folds, 80 of 40 held out")
        play(progress, pause, endless)
