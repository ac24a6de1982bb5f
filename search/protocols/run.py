"""The whole job: opens the run's folder, gets backbone and films, and hands over to the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mammo_data.errors import DataError
from search import cohort as demo
from search.cohort import prepare_films, require_sound
from search.config.schema import cache_directory
from search.errors import UserError
from search.machine.failures import machine_failures_in_one_line
from search.machine.libraries import library_noise_in
from search.plan.protocol import describe_protocol, plan_run
from search.protocols.job import Job, JobRequest
from search.protocols.stages import resolve_backbone
from search.run_folder.directory import open_run_directory
from search.run_folder.interruption import interrupted_once, interruptible
from search.run_folder.lock import owned
from search.screen.output import messages
from search.screen.progress import RunProgress
from search.text import VERSION

if TYPE_CHECKING:
    from search.final.stage import FinalModel

__all__ = ["JobRequest", "cache_directory", "run_job"]


def run_job(request: JobRequest) -> FinalModel:
    """Do the whole job.

    Raises:
        DataError: If the images can't be used.
        UserError: If weights, the configuration or the run's folder are not as they have to be.
    """
    folder, batch_size = request.config.output.runs / request.run_name, request.config.search.batch_size
    with interrupted_once(), machine_failures_in_one_line(folder, batch_size=batch_size):
        return _run(request)


def _run(request: JobRequest) -> FinalModel:
    from mammo_data.sources.open import open_source

    config = request.config
    plan = plan_run(config)
    cache = cache_directory(config)
    source = open_source(demo.demo_data(cache)) if request.demo else open_source(config.data.path, config.data.info)
    directory = open_run_directory(config.output.runs, request.run_name, fresh=request.fresh, resume=request.resume)
    with (
        owned(directory.path, say=messages().print),
        interruptible(directory, request.argv),
        library_noise_in(directory.log_file) as terminal,
        RunProgress(messages(terminal), log=directory.log_file, detail=request.detail).shown() as progress,
    ):
        progress.say(f"[bold]mammo-search {VERSION}[/bold]")
        if request.demo:
            progress.say(f"[yellow]{demo.NOTICE}[/yellow]")
        progress.fact("folder", str(directory.path))
        progress.fact("plan", describe_protocol(plan, config))
        try:
            # The demonstration's films are drawn here, one circle beside the breast on purpose.
            if not request.demo:
                require_sound(source, config, progress)
            backbone = resolve_backbone(config, directory, progress)
            films = prepare_films(source, config, cache, progress)
            job = Job(request, plan, directory, backbone, films, progress)
            return _carry_out(job)
        except (DataError, UserError):
            directory.remove_if_unstarted()
            raise


def _carry_out(job: Job) -> FinalModel:
    from search.protocols.holdout import run_holdout
    from search.protocols.nested.protocol import run_nested

    return run_nested(job) if job.config.split.protocol == "nested" else run_holdout(job)
