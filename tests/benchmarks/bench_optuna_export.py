"""What `trials --export-optuna search.db` costs a trial, beside optuna's own storage, which takes trials one by one.

Run: uv run python tests/benchmarks/bench_optuna_export.py [--trials 40 400 2000] [--one-by-one-up-to 40]

Simulated searches of five folds and up to 30 epochs; each trial is in the file twice, in the whole search and among
those of its budget. Goals: 4.5 ms a trial on a quiet machine, and a tenth of what optuna's storage takes in the same
run; both ways write the same rows (tests/reports/search_plots/test_optuna_sqlite.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import optuna

from reports.search_plots.optuna_export import export_studies
from reports.trials import TrialRecord
from tests.support.simulated import SPACE, simulated_trials


def search_of(trials: int) -> tuple[TrialRecord, ...]:
    """Simulated searches, one after the other, as one of so many trials."""
    records: list[TrialRecord] = []
    while len(records) < trials:
        first, configurations = len(records), len({record.configuration for record in records})
        for record in simulated_trials(seed=first, failed=()):
            numbers = {"trial": first + record.trial, "configuration": configurations + record.configuration}
            parent = None if record.parent is None else first + record.parent
            records.append(replace(record, parent=parent, **numbers))
    return tuple(records[:trials])


def copy_one_by_one(names: tuple[str, ...], journal: Path, target: Path) -> None:
    """Bring studies from optuna's journal into SQLite by optuna's storage."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    for name in names:
        optuna.copy_study(from_study_name=name, from_storage=storage, to_storage=f"sqlite:///{target}")


def main() -> None:
    """Print milliseconds a trial."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[40, 400, 2000])
    parser.add_argument("--one-by-one-up-to", type=int, default=40, help="Searches that optuna's storage writes too.")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # What is imported with the first file is no cost of a trial.
        export_studies(search_of(1), SPACE, folder / "first.db", name="first")
        for trials in options.trials:
            records, start = search_of(trials), time.perf_counter()
            export_studies(records, SPACE, folder / f"{trials}.db", name="search")
            at_once = time.perf_counter() - start
            line = f"{trials:>5} trials: {1000 * at_once / trials:.1f} ms a trial"
            if trials <= options.one_by_one_up_to:
                names = export_studies(records, SPACE, folder / f"{trials}.log", name="search")
                start = time.perf_counter()
                copy_one_by_one(names, folder / f"{trials}.log", folder / f"{trials}-slow.db")
                slow = time.perf_counter() - start
                line += f"; one by one {1000 * slow / trials:.1f} ms, {slow / at_once:.0f} times as long"
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
