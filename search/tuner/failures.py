"""Failures of trials: what they leave behind, and which are tried again.

``failures/TRIAL.txt`` holds the configuration and the traceback. A failed trial's place is taken by a spare
(`search.plan.execution`); three failures in a row, in the plan's order, have a cause that a spare would meet as well,
so the search stops, and resumed, after the cause is mended, it tries these trials again. A trial that diverged is no
such failure: training did what it was asked to, the outcome belongs to the configuration, and another attempt would end
the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.trials import TrialRecord
from search.errors import RunError
from search.files.atomic import write_atomic
from search.run_folder.trial_log import last_failures
from search.trials.cross_validation import FoldFailure
from search.trials.worker import FoldWork

IN_A_ROW = 3


def describe_failure(failure: FoldFailure, folder: Path, work: FoldWork) -> str:
    """Write ``failures/TRIAL.txt`` and say in one line what happened.

    Args:
        failure: What ended the trial.
        folder: The search's folder.
        work: The fold in which that was.

    Raises:
        OSError: If the file can't be written.
    """
    if not failure.traceback:
        return failure.error
    trial = work.assignment.trial
    file = folder / "failures" / f"{trial:04d}.txt"
    write_atomic(file, f"trial {trial}\n{work.assignment}\n{work.configuration}\n\n{failure.traceback}")
    return f"{failure.error} (traceback in {file})"


def without_last_failures(records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The trials that a resumed search goes on from: failures that have stopped it are tried again."""
    failures = last_failures(records)
    return tuple(records[: len(records) - failures] if failures >= IN_A_ROW else records)


def stopped_by_failures(records: Sequence[TrialRecord]) -> RunError:
    """The line that ends a search in which nothing goes any more."""
    return RunError(
        expected="trials that train",
        found=f"{IN_A_ROW} failures in a row, the last: {records[-1].error}",
        remedy="Mend the cause; the same command then tries these trials again.",
    )
