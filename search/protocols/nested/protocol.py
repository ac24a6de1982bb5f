"""The nested protocol: a whole search for each outer fold, and a last one on all patients for the model.

The outer search of a fold is a hold-out run on the other folds' patients, in a folder of its own: its inner folds, its
choice, its retraining, and an evaluation on the patients who were left out. Together the outer predictions estimate
what the procedure is worth. The model that is handed over comes from one more search, on everybody; nobody is left to
evaluate it on.

Killed anywhere, the same command goes on: an outer search that is complete is read and not repeated, one that is not
goes on like any run, and so do the last search and its model. The report is made from what they left.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace

from mammo_data import Split
from search.audit.shortcuts import Probe
from search.bit.resolve import Backbone
from search.cohort import Cohort, search_data
from search.files.atomic import replacing
from search.final.final_model import NestedModel
from search.final.finish import finish, kept_probes, retrain_and_export
from search.final.kept import FinalStore
from search.final.retrain import Searched
from search.job import Job
from search.protocols.banks import SharedBanks, folds_used, own_banks, shared_banks, views_of_searches
from search.protocols.holdout import begin, resolve_backbone, search_trials, trainer_pool
from search.protocols.manifest import run_manifest
from search.protocols.nested.outcome import finish_nested
from search.protocols.nested.outer import check_outer
from search.protocols.nested.split import inner_split
from search.run_folder.manifest import Manifest, OuterFold
from search.screen.progress import RunProgress
from search.trials.worker import TrainerPool, Worker
from search.tuner.executors.base import Executor
from search.tuner.executors.in_process import InProcessExecutor

FINAL = "final"


def run_nested(
    job: Job,
    outer: Split,
    everyone: Cohort,
    progress: RunProgress,
    executor_of: Callable[[Worker], Executor] = InProcessExecutor,
) -> NestedModel:
    """Search within each outer fold and on all patients, and report on both.

    Args:
        job: What was asked for.
        outer: The outer folds.
        everyone: All patients, none of them held out.
        progress: Shows what goes on.
        executor_of: Makes who trains, for each search.

    Raises:
        UserError: If the weights, a search or the run's folder are not as they have to be.
    """
    clock = time.perf_counter()
    run = NestedRun(job, resolve_backbone(job.config, job.directory, progress), outer, everyone, progress, executor_of)
    for fold in range(len(outer.folds)):
        run.search_outer(fold)
    searched = run.search_everyone()
    return finish_nested(job, everyone, outer, searched, run.store, progress, clock=clock, probes=run.probes)


class NestedRun:
    """The searches of a nested run, and what they share: outer folds, banks, compiled tails and the shortcut probe.

    Args:
        job: What was asked for; the run's folder is written at once.
        backbone: The pretrained network.
        outer: The outer folds.
        everyone: All patients, none of them held out.
        progress: Shows what goes on.
        executor_of: Makes who trains, for each search.

    Attributes:
        backbone: The pretrained network.
        store: Keeps what follows the searches, and the shortcut probe.
        probes: Gives the shortcut probe of the images, made once; None for crops.

    Raises:
        UserError: If the run can't go on with them.
    """

    def __init__(
        self,
        job: Job,
        backbone: Backbone,
        outer: Split,
        everyone: Cohort,
        progress: RunProgress,
        executor_of: Callable[[Worker], Executor] = InProcessExecutor,
    ) -> None:
        self.backbone, self._executor_of = backbone, executor_of
        self._outer, self._everyone, self._progress = outer, everyone, progress
        self._trainers: TrainerPool | None = None
        progress.say(_describe(outer, everyone))
        if any(case.side == "test" for case in everyone.films.table.cases):
            progress.say("[yellow]the data's own test side is left aside: each patient is left out once[/yellow]")
        self._manifest = begin(job, self._begun(job), everyone.split, everyone.films.table, progress)
        with replacing(job.directory.outer_split_file) as temporary:
            outer.write_csv(temporary, everyone.films.table)
        self.store = FinalStore(job.directory, progress.say)
        # The same images in every search, whoever is left out; crops differ.
        self.probes: Callable[[], tuple[Probe, ...]] | None = (
            functools.cache(functools.partial(kept_probes, self.store, everyone, everyone.split.seed))
            if job.config.data.mode == "whole"
            else None
        )
        self._job = _with_share_of_minutes(job, len(outer.folds) + 1)

    def search_outer(self, fold: int) -> None:
        """One outer fold, from 0, from its search to its evaluation; a complete one is left as it is.

        Raises:
            UserError: If the search or the fold's folder are not as they have to be.
        """
        folds, progress, films = len(self._outer.folds), self._progress, self._everyone.films
        job = self._job.outer(fold)
        directory = job.directory
        if directory.is_complete:
            check_outer(directory)
            FinalStore(directory).forget()  # a kill may have left it
            progress.say(f"[bold]outer fold {fold + 1} of {folds}[/bold]  was finished before")
            return
        clock = time.perf_counter()
        split = inner_split(self._outer, fold, job.config, films.table)
        cohort = search_data(films, split, job.config, progress)
        progress.say(f"[bold]outer fold {fold + 1} of {folds}[/bold]  {cohort.describe()}")
        manifest = run_manifest(job, self.backbone, cohort)
        manifest = manifest.but(
            outer=OuterFold(run=self._job.directory.name, fold=fold + 1, folds=folds),
            fingerprints=manifest.fingerprints | {"outer_split": self._outer.fingerprint},
        )
        if self._manifest.views_of_searches is not None:
            manifest = manifest.but(views_per_class=self._manifest.views_of_searches[directory.path.name])
        begin(job, manifest, split, films.table, progress)
        finish(job, cohort, self._search(job, cohort), progress, clock=clock, probes=self.probes)

    def search_everyone(self) -> Searched:
        """The search on all patients, its winner retrained and exported.

        Raises:
            UserError: If the search or the run's folder are not as they have to be.
        """
        self._progress.say("[bold]the search on all patients[/bold]")
        searched = self._search(self._job, self._everyone)
        # One seed: further ones would tell their spread on left-out patients, of whom there are none.
        retrain_and_export(self._job, searched, self.store, self._progress, seeds=1)
        return searched

    def _begun(self, job: Job) -> Manifest:
        """What the run is made of, the number of views of every search included."""
        manifest = run_manifest(job, self.backbone, self._everyone, self._outer)
        config, films = job.config, self._everyone.films
        if config.data.mode != "whole":
            return manifest.but(views_of_searches=None)
        splits = {
            job.directory.outer(fold).path.name: inner_split(self._outer, fold, config, films.table)
            for fold in range(len(self._outer.folds))
        }
        splits[FINAL] = self._everyone.split
        views = views_of_searches(config, self.backbone.architecture, films.table, splits)
        return manifest.but(views_of_searches=views, views_per_class=views[FINAL])

    @functools.cached_property
    def _banks(self) -> SharedBanks | None:
        """Banks of all images, or None for crops: where their centres lie differs from search to search."""
        views = self._manifest.views_of_searches
        if views is None:
            return None
        return shared_banks(self._job, self.backbone, self._everyone.prepared, views, self._progress)

    def _search(self, job: Job, cohort: Cohort) -> Searched:
        views = job.directory.read_manifest().views_per_class
        if self._banks is None or views is None:
            data = own_banks(job, self.backbone, cohort, self._progress)
        else:
            data = self._banks.trial_data(cohort.split, views, folds=folds_used(job.config))
        # The compiled tails of all searches are made with the first one's data: shapes are the same in all.
        self._trainers = self._trainers or trainer_pool(job.config, self.backbone, data)
        return search_trials(job, self.backbone, data, self._trainers, self._progress, self._executor_of)


def _describe(outer: Split, everyone: Cohort) -> str:
    sizes, table = [len(fold) for fold in outer.folds], everyone.prepared.table
    spread = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    return (
        f"nested: {len(sizes)} outer folds of {spread} patients, a search for each, and one on all {len(table)} "
        f"{everyone.noun} of {len(set(table.patient_ids))} patients for the model"
    )


def _with_share_of_minutes(job: Job, searches: int) -> Job:
    """The same job with an equal share of `search.max_minutes` for each of its searches."""
    search = job.config.search
    if search.max_minutes is None:
        return job
    search = search.model_copy(update={"max_minutes": search.max_minutes / searches})
    # The name may follow from the configuration: the folder stays the same.
    return replace(job, config=job.config.model_copy(update={"search": search}), place=job.directory)
