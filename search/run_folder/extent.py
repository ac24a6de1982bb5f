"""How much of their plans the searches of a run have carried out, from its folder."""

from __future__ import annotations

from collections.abc import Sequence

from reports import TrialRecord
from reports.page.extent import Cause, SearchExtent, all_together
from search.run_folder.directory import RunDirectory
from search.run_folder.manifest import Manifest
from search.run_folder.trial_log import read_records


def run_extent(run: RunDirectory, *, search_ended: bool = False) -> SearchExtent | None:
    """How far a run's searches came, the outer ones of a nested run included; None where none has ended.

    Args:
        run: Its folder.
        search_ended: The search of this folder has ended, though the run is not complete.

    Raises:
        RunError: If a run.json or trials.jsonl is damaged.
    """
    outer = (RunDirectory(folder) for folder in sorted(run.path.glob("outer-*")))
    extents = [search_extent(run, ended=search_ended), *map(search_extent, outer)]
    return all_together([extent for extent in extents if extent is not None])


def search_extent(search: RunDirectory, *, ended: bool = False) -> SearchExtent | None:
    """How far the search of one folder came; None where it has not ended, or nothing says that it has.

    Args:
        search: Its folder.
        ended: It has, though its run is not complete.

    Raises:
        RunError: If run.json or trials.jsonl is damaged.
    """
    if not (search.has_manifest and search.trials_file.is_file()):
        return None
    manifest = search.read_manifest()
    if not (ended or manifest.status == "complete" or manifest.ended_after or manifest.cut_short):
        return None
    return _extent(manifest, read_records(search.trials_file))


def _extent(manifest: Manifest, records: Sequence[TrialRecord]) -> SearchExtent:
    plan, completed = manifest.plan, [record for record in records if record.status == "completed"]
    return SearchExtent(
        searches=1,
        trials=len(completed),
        planned_trials=plan.trials,
        failed=len(records) - len(completed),
        epochs=sum(record.epochs - record.initial_epoch for record in completed),
        planned_epochs=plan.epochs,
        full_budget_trials=sum(0 < plan.max_epochs <= record.epochs for record in completed),
        planned_full_budget_trials=plan.full_budget_trials,
        full_epochs=plan.max_epochs or None,
        ended_by=_ended_by(manifest, records, len(completed)),
    )


def _ended_by(manifest: Manifest, records: Sequence[TrialRecord], completed: int) -> tuple[Cause, ...]:
    if manifest.cut_short:
        return ("max_minutes",)
    if completed >= manifest.plan.trials:
        return ()
    failures = completed < len(records)
    # A failed trial's place is taken by a configuration that was not planned, if the space holds one.
    exhausted = len({record.configuration for record in records}) < manifest.plan.configurations
    return (*(("failures",) if failures else ()), *(("space",) if exhausted or not failures else ()))
