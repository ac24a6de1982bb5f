"""The nested protocol: a whole search for each outer fold, and a last one on all patients for the model.

The outer search of a fold is a hold-out run on the other folds' patients, in a folder of its own: its inner folds, its
choice, its retraining, and an evaluation on the patients who were left out. Together the outer predictions estimate
what the procedure is worth. The model that is handed over comes from one more search, on everybody; nobody is left to
evaluate it on.

Killed anywhere, the same command goes on: an outer search that is complete is read and not repeated, one that is not
goes on like any run, and everything after the searches is made anew from what they left.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from search.cohort import JobData, search_data
from search.files.atomic import replacing
from search.protocols.banks import folds_used, own_banks
from search.protocols.job import Job, Searched
from search.protocols.manifest import run_manifest
from search.protocols.nested.banks import SharedBanks, shared_banks, views_of_searches
from search.protocols.nested.split import final_split, inner_split, outer_split
from search.protocols.stages import final_stage, search_trials
from search.run_folder.directory import RunDirectory
from search.run_folder.lifecycle import begin_or_resume
from search.trials.data import require_scorable

if TYPE_CHECKING:
    from mammo_data.splits import Split
    from search.audit.shortcuts import Probe
    from search.final.stage import FinalStage
    from search.protocols.nested.outcome import NestedModel
    from search.trials.worker import TrainerPool

FINAL = "final"


def run_nested(job: Job) -> NestedModel:
    """Search within each outer fold and on all patients, and report on both.

    Raises:
        DataError: If the images can't be used.
        UserError: If the split, a search or the run's folder are not as they have to be.
    """
    from search.protocols.nested.outcome import finish_nested

    run = NestedRun(job)
    for fold in range(len(run.outer.folds)):
        run.search_outer(fold)
    return finish_nested(run.search_everyone(), run.outer, job.progress)


class NestedRun:
    """The searches of a nested run, and what they share: outer folds, banks, compiled tails and the shortcut probe.

    Args:
        job: What was asked for; the run's folder is written at once.

    Raises:
        DataError: If the images can't be used, or in one of the searches no fold would give a run a score.
        UserError: If the split is not as it has to be, or the run can't go on with it.
    """

    def __init__(self, job: Job) -> None:
        self._clock = time.perf_counter()
        self.outer: Split = outer_split(job.config, job.films)
        self._everyone = search_data(job.films, final_split(job.config, job.films), job.config, job.progress)
        job.progress.say(_describe(self.outer, self._everyone))
        if any(case.side == "test" for case in job.films.table.cases):
            job.progress.say("[yellow]the data's own test side is left aside: each patient is left out once[/yellow]")
        self._require_scorable(job)
        self._manifest = self._begin(job)
        self._job = _with_share_of_minutes(job, len(self.outer.folds) + 1)
        self._trainers: TrainerPool | None = None
        # The same images in every search, whoever is left out; crops differ.
        self._probes: Callable[[], tuple[Probe, ...]] | None = (
            functools.cache(lambda: _probes(self._everyone)) if job.config.data.mode == "whole" else None
        )

    def search_outer(self, fold: int) -> None:
        """One outer fold, from 0, from its search to its evaluation; a complete one is left as it is.

        Raises:
            UserError: If the search or the fold's folder are not as they have to be.
        """
        from search.final.finish import finish
        from search.protocols.nested.outer import check_outer

        job, folds = self._job, len(self.outer.folds)
        directory = job.directory.outer(fold)
        if directory.is_complete:
            check_outer(directory)
            job.progress.say(f"[bold]outer fold {fold + 1} of {folds}[/bold]  was finished before")
            return
        clock = time.perf_counter()
        data = search_data(job.films, inner_split(self.outer, fold, job.config, job.films), job.config, job.progress)
        job.progress.say(f"[bold]outer fold {fold + 1} of {folds}[/bold]  {data.describe()}")
        manifest = run_manifest(job, data, directory)
        manifest["outer"] = {"run": job.directory.name, "fold": fold + 1, "folds": folds}
        if self._manifest["views_of_searches"] is not None:
            manifest["views_per_class"] = self._manifest["views_of_searches"][directory.path.name]
        manifest = begin_or_resume(directory, manifest, job.config, data.split, data.films)
        stage, searched = self._search(data, directory, manifest, clock)
        finish(stage, searched.trainers(searched.outcome.configuration), job.progress)

    def search_everyone(self) -> FinalStage:
        """The search on all patients, its winner retrained and exported.

        Raises:
            UserError: If the search or the run's folder are not as they have to be.
        """
        from search.final.finish import retrain_and_export

        job = self._job
        job.progress.say("[bold]the search on all patients[/bold]")
        stage, searched = self._search(self._everyone, job.directory, self._manifest, self._clock)
        # One seed: further ones would tell their spread on left-out patients, of whom there are none.
        retrain_and_export(stage, searched.trainers(searched.outcome.configuration), job.progress, seeds=1)
        return stage

    def _require_scorable(self, job: Job) -> None:
        """Before the first search, for the last one as well: each is hours. Crops are of the same cases in all."""
        table, config = self._everyone.prepared.table, job.config
        inner = [inner_split(self.outer, fold, config, job.films) for fold in range(len(self.outer.folds))]
        for split in (*inner, self._everyone.split):
            require_scorable(table, split, folds=folds_used(config))

    def _begin(self, job: Job) -> dict[str, Any]:
        """Write down what the run is made of, the number of views of every search included."""
        manifest = run_manifest(job, self._everyone, job.directory)
        manifest["fingerprints"]["outer_split"] = self.outer.fingerprint
        manifest["endpoint"] = manifest["endpoint"].replace("held-out patients", "mean over outer folds")
        manifest["views_of_searches"] = None
        if job.config.data.mode == "whole":
            views = views_of_searches(job, self._data_of_searches(job))
            manifest |= {"views_of_searches": views, "views_per_class": views[FINAL]}
        manifest = begin_or_resume(job.directory, manifest, job.config, self._everyone.split, job.films)
        with replacing(job.directory.outer_split_file) as temporary:
            self.outer.write_csv(temporary, job.films.table)
        return manifest

    def _data_of_searches(self, job: Job) -> dict[str, JobData]:
        outer = {
            job.directory.outer(fold).path.name: JobData(
                job.films, job.films, inner_split(self.outer, fold, job.config, job.films)
            )
            for fold in range(len(self.outer.folds))
        }
        return {**outer, FINAL: self._everyone}

    @functools.cached_property
    def _banks(self) -> SharedBanks | None:
        """Banks of all images, or None for crops: where their centres lie differs from search to search."""
        views = self._manifest["views_of_searches"]
        return None if views is None else shared_banks(self._job, self._everyone.prepared, views)

    def _search(
        self, data: JobData, directory: RunDirectory, manifest: dict[str, Any], clock: float
    ) -> tuple[FinalStage, Searched]:
        job, banks = self._job, self._banks
        if banks is None:
            trials = own_banks(job, data, directory, manifest)
        else:
            trials = banks.trial_data(data.split, manifest["views_per_class"], folds=folds_used(job.config))
        searched = search_trials(job, trials, directory, manifest, self._trainers)
        self._trainers = searched.trainers
        stage = final_stage(
            job, data, searched, directory=directory, manifest=manifest, clock=clock, probes=self._probes
        )
        return stage, searched


def _describe(outer: Split, everyone: JobData) -> str:
    sizes = [len(fold) for fold in outer.folds]
    spread = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    table = everyone.prepared.table
    noun = "images" if everyone.prepared is everyone.films else "crops"
    return (
        f"nested: {len(sizes)} outer folds of {spread} patients, a search for each, and one on all {len(table)} {noun} "
        f"of {len(set(table.patient_ids))} patients for the model"
    )


def _probes(everyone: JobData) -> tuple[Probe, ...]:
    from search.audit.shortcuts import shortcut_probes

    return shortcut_probes(everyone.prepared, everyone.split.seed)


def _with_share_of_minutes(job: Job, searches: int) -> Job:
    """The same job with an equal share of `search.max_minutes` for each of its searches."""
    search = job.config.search
    if search.max_minutes is None:
        return job
    search = search.model_copy(update={"max_minutes": search.max_minutes / searches})
    return replace(job, request=replace(job.request, config=job.config.model_copy(update={"search": search})))
