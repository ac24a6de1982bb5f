"""The hold-out protocol: some patients are set aside, one search on the others, one evaluation on those."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from search.cohort import holdout_split, search_data
from search.protocols.banks import folds_used, own_banks
from search.protocols.job import Job
from search.protocols.manifest import run_manifest
from search.protocols.stages import final_stage, search_trials
from search.run_folder.lifecycle import begin_or_resume
from search.trials.data import require_scorable

if TYPE_CHECKING:
    from search.final.stage import FinalModel


def run_holdout(job: Job) -> FinalModel:
    """Search on the development patients, retrain, export, and evaluate on the held-out ones.

    Raises:
        DataError: If the images can't be used, or no fold would give a run a score.
        UserError: If the split, the search or the run's folder are not as they have to be.
    """
    from search.final import finish as final

    config, directory, progress = job.config, job.directory, job.progress
    data = search_data(job.films, holdout_split(config, job.films), config, progress)
    progress.fact("data", data.describe())
    require_scorable(data.prepared.table, data.split, folds=folds_used(config))
    manifest = begin_or_resume(directory, run_manifest(job, data, directory), config, data.split, data.films)
    clock = time.perf_counter()
    searched = search_trials(job, own_banks(job, data, directory, manifest), directory, manifest)
    stage = final_stage(job, data, searched, directory=directory, manifest=manifest, clock=clock)
    return final.finish(stage, searched.trainers(searched.outcome.configuration), progress)
