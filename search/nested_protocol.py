"""The nested protocol: a whole search for each outer fold, and a last one on all patients for the model.

The outer search of a fold is a hold-out run on the other folds' patients, in a folder of its own: its inner folds, its
choice, its retraining, and an evaluation on the patients who were left out. Together the outer predictions estimate
what the procedure is worth. The model that is handed over comes from one more search, on everybody; nobody is left to
evaluate it on.

Killed anywhere, the same command goes on: an outer search that is complete is read and not repeated, one that is not
goes on like any run, and everything after the searches is made anew from what they left.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search.atomic_file import replacing
from search.bank_station import folds_used, own_banks
from search.job_data import JobData, search_data
from search.job_stations import Job, Searched, final_stage, search_trials
from search.nested_banks import SharedBanks, shared_banks, views_of_searches
from search.nested_split import final_split, inner_split, outer_split
from search.run_directory import RunDirectory
from search.run_manifest import begin_or_resume, run_manifest

if TYPE_CHECKING:
    from mammo_data.splits import Split
    from search.nested_outcome import NestedModel
    from search.search_stage import TrainerPool

FINAL = "final"


def run_nested(job: Job) -> NestedModel:
    """Search within each outer fold and on all patients, and report on both.

    Raises:
        DataError: If the images can't be used.
        UserError: If the split, a search or the run's folder are not as they have to be.
    """
    from search.final_stage import retrain_and_export
    from search.nested_outcome import finish_nested

    progress, clock = job.progress, time.perf_counter()
    outer = outer_split(job.config, job.films)
    everyone = search_data(job.films, final_split(job.config, job.films), job.config, progress)
    progress.say(_describe(outer, everyone))
    manifest = _begin(job, outer, everyone)
    searching = _with_share_of_minutes(job, len(outer.folds) + 1)
    banks = _shared_banks(searching, everyone, manifest)
    trainers = None
    for fold in range(len(outer.folds)):
        directory = job.directory.outer(fold)
        if directory.is_complete:
            progress.say(f"[bold]outer fold {fold + 1} of {len(outer.folds)}[/bold]  was finished before")
            continue
        trainers = _outer_search(searching, outer, fold, banks, manifest, trainers)
    progress.say("[bold]the search on all patients[/bold]")
    searched = _search(searching, everyone, job.directory, manifest, banks, trainers)
    stage = final_stage(searching, everyone, searched, directory=job.directory, manifest=manifest, clock=clock)
    retrain_and_export(stage, searched.trainers(searched.outcome.configuration), progress, seeds=1)
    return finish_nested(stage, outer, progress)


def _describe(outer: Split, everyone: JobData) -> str:
    sizes = [len(fold) for fold in outer.folds]
    spread = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    table = everyone.prepared.table
    noun = "images" if everyone.prepared is everyone.films else "crops"
    return (
        f"nested: {len(sizes)} outer folds of {spread} patients, a search for each, and one on all {len(table)} {noun} "
        f"of {len(set(table.patient_ids))} patients for the model"
    )


def _begin(job: Job, outer: Split, everyone: JobData) -> dict[str, Any]:
    """Write down what the run is made of, the number of views of every search included."""
    manifest = run_manifest(job, everyone, job.directory)
    manifest["fingerprints"]["outer_split"] = outer.fingerprint
    manifest["endpoint"] = manifest["endpoint"].replace("held-out patients", "mean over outer folds")
    manifest["views_of_searches"] = None
    if job.config.data.mode == "whole":
        searches = {
            job.directory.outer(fold).path.name: JobData(
                job.films, job.films, inner_split(outer, fold, job.config, job.films)
            )
            for fold in range(len(outer.folds))
        }
        manifest["views_of_searches"] = views_of_searches(job, {**searches, FINAL: everyone})
        manifest["views_per_class"] = manifest["views_of_searches"][FINAL]
    with replacing(job.directory.outer_split_file) as temporary:
        outer.write_csv(temporary, job.films.table)
    return begin_or_resume(job.directory, manifest, job.config, everyone.split, job.films)


def _shared_banks(job: Job, everyone: JobData, manifest: dict[str, Any]) -> SharedBanks | None:
    """Banks of all images, or None for crops: where their centres lie differs from search to search."""
    if manifest["views_of_searches"] is None:
        return None
    return shared_banks(job, everyone.prepared, manifest["views_of_searches"])


def _outer_search(
    job: Job,
    outer: Split,
    fold: int,
    banks: SharedBanks | None,
    nested: dict[str, Any],
    trainers: TrainerPool | None,
) -> TrainerPool:
    """One outer fold from its search to its evaluation; returns the compiled tails for the next one."""
    from search.final_stage import finish

    directory, clock = job.directory.outer(fold), time.perf_counter()
    data = search_data(job.films, inner_split(outer, fold, job.config, job.films), job.config, job.progress)
    job.progress.say(f"[bold]outer fold {fold + 1} of {len(outer.folds)}[/bold]  {data.describe()}")
    manifest = run_manifest(job, data, directory)
    manifest["outer"] = {"run": job.directory.name, "fold": fold + 1, "folds": len(outer.folds)}
    if banks is not None:
        manifest["views_per_class"] = nested["views_of_searches"][directory.path.name]
    manifest = begin_or_resume(directory, manifest, job.config, data.split, data.films)
    searched = _search(job, data, directory, manifest, banks, trainers)
    stage = final_stage(job, data, searched, directory=directory, manifest=manifest, clock=clock)
    finish(stage, searched.trainers(searched.outcome.configuration), job.progress)
    return searched.trainers


def _search(
    job: Job,
    data: JobData,
    directory: RunDirectory,
    manifest: dict[str, Any],
    banks: SharedBanks | None,
    trainers: TrainerPool | None,
) -> Searched:
    if banks is None:
        trials = own_banks(job, data, directory, manifest)
    else:
        trials = banks.trial_data(data.split, manifest["views_per_class"], folds=folds_used(job.config))
    return search_trials(job, trials, directory, trainers)


def _with_share_of_minutes(job: Job, searches: int) -> Job:
    """The same job with an equal share of `search.max_minutes` for each of its searches."""
    search = job.config.search
    if search.max_minutes is None:
        return job
    search = search.model_copy(update={"max_minutes": search.max_minutes / searches})
    return replace(job, request=replace(job.request, config=job.config.model_copy(update={"search": search})))
