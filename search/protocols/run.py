"""The gate of a job: what can be refused is refused here, before TensorFlow starts; then the protocol is carried out.

`admit` asks everything that needs neither TensorFlow nor a pixel, for a run and for a dry run alike. TensorFlow starts
behind it, and the modules that import it are imported here alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mammo_data import CaseTable, DataError, ImageSource, PreparedSet, Split, load_cases
from mammo_data.splits import require_every_class
from mammo_data.waiting import Listener, heard_by
from search.audit.audit import LeakAudit, audit
from search.bit.resolve import import_folder
from search.cohort import NOTICE, holdout_split, job_source, prepare_films, require_sound, search_data
from search.config.schema import Config, cache_directory
from search.errors import RunError
from search.files.atomic import write_atomic
from search.final.final_model import FinalModel, read_final_model
from search.job import Job
from search.machine.failures import machine_failures_in_one_line, require_room
from search.machine.libraries import Arithmetic, arithmetic_here, library_noise_in, start_tensorflow
from search.machine.places import use_first
from search.machine.speed import record_run
from search.plan.device_memory import MemoryDemand
from search.plan.protocol import describe_protocol
from search.protocols.expected_cost import ExpectedCost, expected_cost
from search.protocols.manifest import planned_manifest
from search.protocols.nested.split import final_split, inner_split, outer_split
from search.run_folder.directory import RunDirectory, check_run_directory, open_run_directory
from search.run_folder.interruption import interrupted_once, interruptible
from search.run_folder.ledger import films_of
from search.run_folder.lifecycle import require_unchanged
from search.run_folder.lock import owned, require_no_other_host
from search.run_folder.session import note_waiting
from search.screen.output import messages
from search.screen.progress import RunProgress
from search.text import VERSION
from search.trials.data import require_scorable


@dataclass(frozen=True)
class Admission:
    """What a job that may begin works on.

    Attributes:
        source: The films.
        table: Their cases.
        split: Of the search whose model is handed over.
        outer: The outer folds of the nested protocol, else None.
    """

    source: ImageSource
    table: CaseTable
    split: Split
    outer: Split | None

    def require_scorable(self, config: Config, table: CaseTable) -> None:
        """See that every search of the protocol has an objective; crops are of the same cases in all of them.

        Raises:
            DataError: If in one of them no fold would give a trial a score.
        """
        outer = self.outer
        inner = [inner_split(outer, fold, config, self.table) for fold in range(len(outer.folds))] if outer else []
        for split in (*inner, self.split):
            require_scorable(table, split, folds=config.search.folds or config.split.folds)


def admit(job: Job) -> Admission:
    """Refuse a job that can't begin or go on; nothing is changed but that a demonstration's films are drawn.

    A run that is complete will do, if it is of what is asked for.

    Raises:
        DataError: If the films, their table or the split are not as they have to be.
        UserError: If names, plan, weights, folders or a run that is there are not as they have to be.
    """
    config, _, _ = job.config, job.plan, job.places
    directory = check_run_directory(config.output.runs, job.run_name, fresh=job.fresh, resume=job.resume, complete=True)
    require_room(directory.path, setting="output.runs")
    require_room(cache_directory(config), setting="output.cache")
    if (imports := import_folder(config.backbone.name, config.backbone.weights)) is not None:
        require_room(imports, setting="XDG_CACHE_HOME")
    source = job_source(config, demo=job.demo)
    table = load_cases(source)
    nested = config.split.protocol == "nested"
    outer = outer_split(config, table) if nested else None
    admission = Admission(source, table, final_split(config, table) if nested else holdout_split(config, table), outer)
    require_every_class(table, None if nested else admission.split)
    if config.data.mode == "whole":
        admission.require_scorable(config, table)
    if directory.has_manifest and not job.fresh:
        require_unchanged(directory, planned_manifest(job, table, admission.split, outer))
        if directory.is_complete:
            _require_same_films(directory, source)
    return admission


def _require_same_films(directory: RunDirectory, source: ImageSource) -> None:
    """Refuse to take a complete run for the result of other films; where they are in the ledger."""
    read = films_of(directory.runs, directory.name, began=directory.read_manifest().created)
    if read and read != source.films_fingerprint:
        raise RunError(
            expected=f"the films of {directory.path}, for it is complete",
            found=f"others in {source.location}",
            remedy="Read its report, replace it with --fresh, or choose another --name.",
        )


def dry_run(job: Job) -> tuple[str, ExpectedCost | None]:
    """What a job would take, after refusing what a run refuses; only films that are not there yet are forgiven.

    Returns:
        The cost as text, and as figures; where there are no films a line that says so, and None.

    Raises:
        DataError: As `admit`.
        UserError: As `admit`, or if another host is at work in the run's folder.
    """
    with _refusals_in_one_line(job):
        require_no_other_host(job.directory.path, say=messages().print)
        try:
            table = admit(job).table
        except DataError as error:
            if job.demo or job.config.data.path.exists():
                raise
            return f"sizes and time depend on the data, which can't be read: {error}", None
        if is_done(job):
            return _nothing_to_do(job), None
        cost = expected_cost(job.config, table, crew=job.crew, films=0 if job.demo else len(table))
        return "\n".join([f"classes   {_classes(table)}", *table.remarks, cost.as_text()]), cost


def run_job(job: Job) -> FinalModel:
    """Do the whole job, or the rest of it; of a run that is complete its result is read again.

    Raises:
        DataError: If the images can't be used.
        UserError: If weights, the configuration or the run's folder are not as they have to be.
    """
    with interrupted_once(), _refusals_in_one_line(job):
        admission = admit(job)
        if is_done(job):
            if job.detail != "quiet":
                messages().print(_nothing_to_do(job), markup=False, highlight=False, soft_wrap=True)
            return read_final_model(job.directory)
        with interruptible(job.directory, job.argv):
            directory = open_run_directory(job.config.output.runs, job.run_name, fresh=job.fresh, resume=job.resume)
            with (
                owned(directory.path, say=messages().print),
                library_noise_in(directory.log_file) as terminal,
                RunProgress(messages(terminal), log=directory.log_file, detail=job.detail).shown() as progress,
                heard_by(listener_of(directory, progress)),
            ):
                _carry_out(job, admission, progress)
            return read_final_model(directory)


def is_done(job: Job) -> bool:
    """Whether the run that is asked for is complete and not to be replaced."""
    return job.directory.is_complete and not job.fresh


def _nothing_to_do(job: Job) -> str:
    return f"{job.run_name} is complete; its report: {job.directory.report_file} (--fresh replaces it)"


def listener_of(directory: RunDirectory, progress: RunProgress) -> Listener:
    """Who hears of a run's locks: what it waits for is shown, and written down for `status`."""

    def waits(words: str) -> None:
        progress.waits(words)
        note_waiting(directory.path, words)

    return Listener(f"run {directory.name}", waits=waits, notes=progress.note)


def _refusals_in_one_line(job: Job) -> AbstractContextManager[None]:
    return machine_failures_in_one_line(job.directory.path, smaller=MemoryDemand.of(job.config).smaller)


def _classes(table: CaseTable) -> str:
    return f"{', '.join(table.class_names)}; primary endpoint: {table.primary_endpoint}"


def _carry_out(job: Job, admission: Admission, progress: RunProgress) -> None:
    config = job.config
    progress.say(f"[bold]mammo-search {VERSION}[/bold]")
    if job.demo:
        progress.say(f"[yellow]{NOTICE}[/yellow]")
    progress.fact("folder", str(job.directory.path))
    progress.fact("classes", _classes(admission.table))
    for remark in admission.table.remarks:
        progress.fact("note", remark, style="yellow")
    progress.fact("plan", describe_protocol(job.plan, config))
    # The demonstration's films are drawn here, one circle beside the breast on purpose.
    if not job.demo:
        require_sound(admission.source, config, progress)
    cohort = search_data(prepare_films(admission.source, config, progress), admission.split, config, progress)
    admission.require_scorable(config, cohort.prepared.table)
    use_first(job.places)
    with progress.station("starting", brief=True):
        start_tensorflow(deterministic=config.search.deterministic, arithmetic=_begun_with(job))
    from search.protocols.executors import executors
    from search.protocols.holdout import run_holdout
    from search.protocols.nested.protocol import run_nested

    carry_out: Callable[..., None] = partial(run_holdout, job)
    if admission.outer:
        carry_out = partial(run_nested, job, admission.outer)
    with executors(job, arithmetic=arithmetic_here(), say=progress.note) as executor_of:
        carry_out(cohort, progress, executor_of)
    took, expected = progress.clock.taught
    manifest, size = job.directory.read_manifest(), config.preparation.image_size
    on_gpu = not manifest.device.startswith("CPU")
    precision = manifest.precision.name or ""
    record_run(cache_directory(config), config.backbone.name, precision, size, took, expected, on_gpu=on_gpu)


def _begun_with(job: Job) -> Arithmetic | None:
    """What the run began to compute with, wherever it goes on; None for a new one."""
    begun = job.directory.read_manifest() if job.directory.has_manifest else None
    return Arithmetic(begun.threads, begun.onednn is not False) if begun and begun.threads else None


def crops_of(config: Config) -> PreparedSet:
    """All crops that a hold-out search with a configuration would be about.

    Raises:
        DataError: If the films can't be used, or there is nothing to crop.
        ConfigError: If the configured split is of other patients.
    """
    source = job_source(config)
    split = holdout_split(config, load_cases(source))
    with RunProgress(messages()).shown() as progress:
        return search_data(prepare_films(source, config, progress), split, config, progress).prepared


def audit_data(
    config: Config, *, demo: bool = False, permutation: bool = True, output: Path | None = None
) -> LeakAudit:
    """Prepare the data as a hold-out run would, and audit them.

    Args:
        config: The resolved configuration.
        demo: Synthetic data.
        permutation: Shuffle labels, on features of the development images from the configured backbone.
        output: Where audit.json goes, or None.

    Raises:
        DataError: If the images can't be used.
        UserError: If the weights are not as they have to be.
    """
    source = job_source(config, demo=demo)
    split, features = holdout_split(config, load_cases(source)), None
    log = cache_directory(config) / "audit-log.txt"
    with library_noise_in(log) as terminal, RunProgress(messages(terminal), log=log).shown() as progress:
        if demo:
            progress.say(f"[yellow]{NOTICE}[/yellow]")
        cohort = search_data(prepare_films(source, config, progress), split, config, progress)
        progress.fact("data", cohort.describe())
        if permutation:
            start_tensorflow(deterministic=config.search.deterministic)
            from search.protocols.audit_only import development_features

            features = development_features(config, cohort, progress)
        with progress.station("audit"):
            found = audit(cohort.films, cohort.prepared, cohort.split, features=features, seed=split.seed)
    if output is not None:
        write_atomic(output, json.dumps(found.as_dict(), indent=2, allow_nan=False) + "\n")
    return found
