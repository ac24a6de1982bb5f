"""What a run of the search leaves behind that ended in an exception, and which failed runs are tried again.

``failures/RUN.txt`` holds the configuration and the traceback. A failed run's place is taken by a spare
(`plan_execution`); three failures in a row have a cause that a spare would meet as well, so the search stops, and
resumed, after the cause is mended, it tries these runs again. A run that diverged is no such failure: training did what
it was asked to, the outcome belongs to the configuration, and another attempt would end the same way.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

from reports.trials import TrialRecord
from search.errors import RunError
from search.files.atomic import write_atomic
from search.machine.failures import first_line, is_out_of_memory, smaller_batch
from search.plan.execution import Assignment
from search.plan.space import Configuration

IN_A_ROW = 3


def describe_failure(
    error: BaseException, folder: Path, run: int, assignment: Assignment, configuration: Configuration, batch_size: int
) -> str:
    """Write ``failures/RUN.txt`` and say in one line what happened.

    Args:
        error: What ended the run.
        folder: The search's folder.
        run: The run's number.
        assignment: What it was to train.
        configuration: Its hyperparameters.
        batch_size: Images a step.

    Raises:
        OSError: If the file can't be written.
    """
    file = folder / "failures" / f"{run:04d}.txt"
    write_atomic(file, f"run {run}\n{assignment}\n{configuration}\n\n{''.join(traceback.format_exception(error))}")
    if not is_out_of_memory(error):
        return f"{first_line(error)} (traceback in {file})"
    return (
        f"out of memory with {batch_size} images a step at unfreeze depth {configuration.unfreeze_depth}; "
        f"try {smaller_batch(batch_size)}, as a run of another --name (traceback in {file})"
    )


def without_last_failures(records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The runs that a resumed search goes on from: failures that have stopped it are tried again."""
    failures = last_failures(records)
    return tuple(records[: len(records) - failures] if failures >= IN_A_ROW else records)


def last_failures(records: Sequence[TrialRecord]) -> int:
    """How many runs in a row, up to the last one, ended in an exception or without a defined objective."""
    count = 0
    for record in reversed(records):
        if record.status != "failed" or record.diverged_epoch is not None:
            break
        count += 1
    return count


def stopped_by_failures(records: Sequence[TrialRecord]) -> RunError:
    """The line that ends a search in which nothing goes any more."""
    return RunError(
        expected="trials that train",
        found=f"{IN_A_ROW} failures in a row, the last: {records[-1].error}",
        remedy="Mend the cause; the same command then tries these runs again.",
    )
