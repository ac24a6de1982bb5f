"""The state of a run, read from its folder without disturbing it.

States: "starting" (at work, nothing written down yet), "running", "interrupted" (nobody is at work, and it goes on
when its command is typed again), "failed" (ended in an error; the same command goes on once the cause is mended),
"complete" and "damaged" (run.json can't be read, or a complete run lacks what it had left).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from reports import SearchExtent, TrialRecord, ranked
from search.config.reading import load_config
from search.errors import UserError
from search.plan.clock import search_clock
from search.plan.cost import CostModel
from search.plan.protocol import plan_run
from search.run_folder.directory import RunDirectory, require_plain_folder
from search.run_folder.extent import run_extent
from search.run_folder.interruption import command_to_resume
from search.run_folder.lifecycle import devices_in_words
from search.run_folder.lookup import all_runs, runs_folder
from search.run_folder.manifest import Manifest, OuterFold
from search.run_folder.session import Session, read_session
from search.run_folder.trial_log import recorded

State = Literal["starting", "running", "interrupted", "failed", "complete", "damaged"]


@dataclass(frozen=True)
class Progress:
    """How much of a plan is done; of a nested run, all its searches together.

    Attributes:
        trials: Trials that have ended, failed ones included.
        failed: How many of them failed.
        planned_trials: Trials of the plan.
        epochs: Epochs trained, continued ones counted once.
        planned_epochs: Epochs of the plan.
        searches: Searches: 1, of a nested run one more than it has outer folds.
    """

    trials: int
    failed: int
    planned_trials: int
    epochs: int
    planned_epochs: int
    searches: int = 1


@dataclass(frozen=True)
class BestSoFar:
    """The leading trial: of those at the largest epoch count that any trial has completed.

    ``full_epochs`` is the full budget of the plan, None where an older version has not written it down.
    """

    trial: int
    objective: float
    epochs: int
    full_epochs: int | None
    best_epoch: int | None
    hyperparameters: dict[str, Any]


@dataclass(frozen=True)
class RunStatus:
    """A run at one moment.

    Attributes:
        name: The run's name.
        path: Its folder.
        device: What it computes on, in words, None before it is known.
        state: See the module.
        demo: Whether it is a demonstration on synthetic data.
        protocol: "holdout" or "nested".
        outer: Its place in a nested run, where it is an outer search of one.
        created: When it began, ISO 8601, or None while it starts.
        finished: When it was completed, ISO 8601.
        pid: Number of the process at work, or of the last one where that did not end well.
        host: Its host.
        since: When that process began, ISO 8601.
        waiting_for: The other process that it waits for, in words, while it is at work.
        workers: What each of its worker processes does, in words, by its name, while it is at work.
        error: What ended it, where it failed; what is damaged or missing.
        progress: How much of the plan is done, or None while it starts.
        best: The leading trial, or None.
        cut_short: How far the searches came that have ended, where one of them is short of its plan; else None.
        seconds_spent: Wall time of the search's trials.
        seconds_left: The estimate for the rest of the run while it is running or interrupted: of the searches by
            `search.plan.clock`, of what follows them as it was expected when the run began. None where nobody knows.
        resume: The command that goes on with it, where there is something to go on with.
        report: The report, once there.
    """

    name: str
    path: str
    state: State
    demo: bool = False
    protocol: str = "holdout"
    outer: OuterFold | None = None
    device: str | None = None
    created: str | None = None
    finished: str | None = None
    pid: int | None = None
    host: str | None = None
    since: str | None = None
    waiting_for: str | None = None
    workers: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    progress: Progress | None = None
    best: BestSoFar | None = None
    cut_short: SearchExtent | None = None
    seconds_spent: float = 0.0
    seconds_left: float | None = None
    resume: str | None = None
    report: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The attributes as a JSON-able dict."""
        return asdict(self) | {"outer": self.outer and self.outer.model_dump()}


def all_statuses(runs: Path | None = None) -> tuple[RunStatus, ...]:
    """Of all runs of a folder, the one last worked on first; runs that only just start come before them.

    One that can't be read is damaged, and keeps nobody from seeing the others.
    """
    folder = runs or runs_folder()
    folders = [RunDirectory(path) for path in sorted(folder.iterdir() if folder.is_dir() else ()) if path.is_dir()]
    starting = [run for run in folders if not run.has_manifest and run.is_in_use]
    return tuple(_status_or_damage(run) for run in (*starting, *all_runs(folder)))


def run_status(run: RunDirectory, *, now: datetime.datetime | None = None) -> RunStatus:
    """Of one run.

    Args:
        run: Its folder.
        now: The time, by default the clock's.

    Raises:
        RunError: If run.json or trials.jsonl is damaged.
    """
    # Asked first: a run that ends in between is then complete in its manifest, not seemingly interrupted.
    in_use = run.is_in_use
    session = read_session(run.path)
    if not run.has_manifest:
        return RunStatus(run.name, str(run.path), "starting", waiting_for=_waiting_for(session), **_process(session))
    manifest = run.read_manifest()
    missing = _missing(run, manifest)
    state = "damaged" if missing else _state(manifest, session, in_use=in_use)
    searches = _records_of_searches(run)
    records = [record for search in searches.values() for record in search]
    progress, extent = _progress(manifest, records), run_extent(run)
    is_open = state in ("running", "interrupted", "failed")
    workers = session.workers if session else {}
    until = (now or datetime.datetime.now(datetime.UTC)) if state == "running" else None
    return RunStatus(
        name=run.name,
        path=str(run.path),
        state=state,
        demo=manifest.demo,
        protocol=manifest.protocol,
        outer=manifest.outer,
        device=devices_in_words(manifest) or None,
        created=manifest.created,
        finished=manifest.finished,
        waiting_for=_waiting_for(session) if state == "running" else None,
        workers=workers if state == "running" else {},
        error=missing or (session.error if state == "failed" and session else None),
        progress=progress,
        best=_best(searches.get(run.path.name, ()), manifest),
        cut_short=extent if extent and extent.ended_by else None,
        seconds_spent=sum(record.seconds for record in records),
        seconds_left=(
            _seconds_left(run, manifest, progress, searches, now=until, workers=len(workers) or 1) if is_open else None
        ),
        resume=command_to_resume(manifest.argv) if is_open and state != "running" and manifest.argv else None,
        report=str(run.report_file) if run.report_file.is_file() else None,
        **(_process(session) if is_open else {}),
    )


def _status_or_damage(run: RunDirectory) -> RunStatus:
    try:
        require_plain_folder(run.path)
        return run_status(run)
    except (UserError, OSError) as error:
        return RunStatus(run.name, str(run.path), "damaged", error=str(error))


def _missing(run: RunDirectory, manifest: Manifest) -> str | None:
    """What a complete run has left beside ``best/`` and is gone, in a sentence."""
    known = {run.trials_file.name, run.config_file.name, *manifest.records}
    gone = [path.name for path in run.records if path.name in known and not path.is_file()]
    if manifest.status != "complete" or not gone:
        return None
    return f"{' and '.join(gone)} of this complete run {'are' if gone[1:] else 'is'} missing; restore it"


def _state(manifest: Manifest, session: Session | None, *, in_use: bool) -> State:
    if manifest.status == "complete":
        return "complete"
    if in_use:
        return "running"
    return "failed" if session is not None and session.error and not session.interrupted else "interrupted"


def _process(session: Session | None) -> dict[str, Any]:
    return {} if session is None else {"pid": session.pid, "host": session.host, "since": session.since}


def _waiting_for(session: Session | None) -> str | None:
    return (session and session.waiting_for) or None


def _records_of_searches(run: RunDirectory) -> dict[str, tuple[TrialRecord, ...]]:
    """By folder: of a hold-out run its own alone, of a nested one the outer searches' too."""
    files = (run.trials_file, *sorted(run.path.glob("outer-*/trials.jsonl")))
    return {file.parent.name: recorded(RunDirectory(file.parent)) for file in files if file.is_file()}


def _progress(manifest: Manifest, records: Sequence[TrialRecord]) -> Progress:
    return Progress(
        trials=len(records),
        failed=sum(record.status == "failed" for record in records),
        planned_trials=manifest.searches * manifest.plan.trials,
        epochs=sum(record.epochs - record.initial_epoch for record in records if record.status == "completed"),
        planned_epochs=manifest.searches * manifest.plan.epochs,
        searches=manifest.searches,
    )


def _best(records: Sequence[TrialRecord], manifest: Manifest) -> BestSoFar | None:
    leading = ranked(records)
    if not leading or leading[0].objective is None:
        return None
    best, full = leading[0], manifest.plan.max_epochs or None
    return BestSoFar(best.trial, leading[0].objective, best.epochs, full, best.best_epoch, dict(best.hyperparameters))


def _seconds_left(
    run: RunDirectory,
    manifest: Manifest,
    progress: Progress,
    searches: Mapping[str, Sequence[TrialRecord]],
    *,
    now: datetime.datetime | None,
    workers: int,
) -> float | None:
    """What is left of all searches, by the trials that have ended, and of what follows them, as it was expected.

    Of what is at work now, what it has done by ``now`` is taken off; nobody can see more of it from here.
    """
    records = [record for search in searches.values() for record in search]
    folders = [run, *(RunDirectory(folder) for folder in sorted(run.path.glob("outer-*")))]
    begun = {each.path.name: each.read_manifest() for each in folders if each.has_manifest}
    complete = sum(each.status == "complete" for each in begun.values())
    expected = dict(manifest.expected)
    before = sum(expected.pop(part, 0.0) for part in ("start", "trunk"))
    whole_search = expected.pop("search", None)
    later = sum(expected.values()) * (1 - complete / progress.searches)
    if not records:
        return None if whole_search is None else before + whole_search + later
    try:
        config, costs = load_config(run.config_file), CostModel()
        plan, unbegun = plan_run(config), [()] * progress.searches
        # All have told their costs before the first is asked.
        clocks = [
            search_clock(config, plan, costs, search, workers=workers) for search in (*searches.values(), *unbegun)
        ]
    except (UserError, KeyError, ValueError):  # the last two: records of another space than config.toml's
        return None
    # A search that has ended by the time starts no other trial.
    over = {name for name, each in begun.items() if each.ended_after}
    named = zip((*searches, *[""] * progress.searches), clocks[: progress.searches], strict=False)
    times = [0.0 if name in over else clock.seconds_left(0.0) for name, clock in named]
    if None in times:
        return None
    searching = sum(time for time in times if time is not None)
    latest = max(records, key=lambda record: record.started)
    if now is None or not latest.started:
        return searching + later
    ended = datetime.datetime.fromisoformat(latest.started) + datetime.timedelta(seconds=latest.seconds)
    since = max(0.0, (now - ended).total_seconds())
    # No more than a usual trial, for nobody can see how far this one is.
    usual = sum(record.seconds for record in records) / len(records)
    return searching - min(since, usual, searching) + later if searching else max(0.0, later - since)
