"""The hold-out protocol: some patients are set aside, one search on the others, one evaluation on those."""

from __future__ import annotations

import time

from search.cohort import Cohort
from search.final.finish import finish
from search.final.report import FinalModel
from search.job import Job
from search.protocols.banks import own_banks
from search.protocols.manifest import run_manifest
from search.protocols.stages import resolve_backbone, search_trials, trainer_pool, training_settings
from search.run_folder.lifecycle import begin_or_resume
from search.screen.progress import RunProgress


def run_holdout(job: Job, cohort: Cohort, progress: RunProgress) -> FinalModel:
    """Search on the development patients, retrain, export, and evaluate on the held-out ones.

    Raises:
        UserError: If the weights, the search or the run's folder are not as they have to be.
    """
    backbone = resolve_backbone(job.config, job.directory, progress)
    progress.fact("data", cohort.describe())
    begin_or_resume(job.directory, run_manifest(job, backbone, cohort), job.config, cohort.split, cohort.films.table)
    clock = time.perf_counter()
    data = own_banks(job, backbone, cohort, progress)
    settings, trainers = training_settings(job.config, job.plan, data), trainer_pool(job.config, backbone, data)
    outcome = search_trials(job, backbone, data, settings, trainers, progress)
    trainer = trainers(outcome.configuration)
    return finish(job, backbone, cohort, data, settings, outcome, trainer, progress, clock=clock)
