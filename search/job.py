"""The whole job, station after station: data, split, weights, plan, banks, search, retraining, export, evaluation."""

from __future__ import annotations

import datetime
import hashlib
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammo_data.errors import DataError
from search import demo
from search.atomic_file import replacing, write_atomic
from search.config import Config
from search.config_toml import to_toml
from search.environment import device_description, git_commit, library_noise_in, start_tensorflow, versions
from search.errors import ConfigError, RunError, UserError
from search.hyperband_plan import HyperbandPlan
from search.interruption import interruptible
from search.job_data import JobData, job_data
from search.output import messages
from search.plan_text import describe_banks, describe_plan, plan_search, plan_table
from search.progress import RunProgress
from search.run_directory import RunDirectory, open_run_directory, owned
from search.run_settings import RESULTS_VERSION, changes, result_settings
from search.trial_log import drop_torn_line, read_records

if TYPE_CHECKING:
    from mammo_data.layouts import ImageSource
    from reports.trial_record import TrialRecord
    from search.bank_plan import BankPlan
    from search.bit_architecture import BitArchitecture
    from search.bit_weights import BitWeights
    from search.final_stage import FinalModel


@dataclass(frozen=True)
class JobRequest:
    """What the user asked for.

    Attributes:
        config: The resolved configuration.
        name: Name of the run, None for the default.
        fresh: Replace a run of that name.
        resume: Insist on an unfinished run of that name.
        demo: Synthetic data; every output says so.
        argv: The command line, for the manifest.
    """

    config: Config
    name: str | None = None
    fresh: bool = False
    resume: bool = False
    demo: bool = False
    argv: tuple[str, ...] = ()

    @property
    def run_name(self) -> str:
        """The name, by default "demo" or one that follows from the configuration."""
        if self.name:
            return self.name
        if self.demo:
            return "demo"
        return f"run-{hashlib.sha256(to_toml(self.config).encode()).hexdigest()[:8]}"


def cache_directory(config: Config) -> Path:
    """Where prepared images and synthetic data are kept."""
    import platformdirs

    return config.output.cache or Path(platformdirs.user_cache_dir("mammo-search"))


def run_job(request: JobRequest) -> FinalModel:
    """Do the whole job.

    Raises:
        DataError: If the images can't be used.
        UserError: If weights, the configuration or the run's folder are not as they have to be.
    """
    from mammo_data.layouts import open_source

    config = request.config
    cache = cache_directory(config)
    source = open_source(demo.demo_data(cache)) if request.demo else open_source(config.data.path, config.data.info)
    plan = plan_search(config.search)
    _check_depths(config)
    directory = open_run_directory(
        config.output.runs, request.run_name, fresh=request.fresh, resume=request.resume
    )
    with (
        owned(directory),
        interruptible(directory, request.argv),
        library_noise_in(directory.log_file) as terminal,
        RunProgress(messages(terminal)).shown() as progress,
    ):
        progress.say(f"[bold]mammo-search[/bold]  run {directory.path}")
        if request.demo:
            progress.say(f"[yellow]{demo.NOTICE}[/yellow]")
        progress.say(describe_plan(plan))
        try:
            inputs = _inputs(request, plan, source, cache, directory, progress)
        except (DataError, UserError):
            directory.remove_if_unstarted()
            raise
        return _search_and_finish(request, plan, inputs, directory, progress)


@dataclass(frozen=True)
class _Inputs:
    """What the search starts from."""

    data: JobData
    architecture: BitArchitecture
    weights: BitWeights
    manifest: dict[str, Any]


def _inputs(
    request: JobRequest,
    plan: HyperbandPlan,
    source: ImageSource,
    cache: Path,
    directory: RunDirectory,
    progress: RunProgress,
) -> _Inputs:
    """Get weights and data, and write down what the run is made of."""
    from search.bit_family import architecture_of
    from search.bit_weights import resolve_weights

    config = request.config
    start_tensorflow(deterministic=config.search.deterministic)
    architecture = architecture_of(config.backbone.name)
    weights = resolve_weights(config.backbone.weights, architecture, seed=config.backbone.weights_seed)
    device = device_description()
    progress.say(f"backbone {config.backbone.name}, {weights.provenance}; {device}")
    data = job_data(source, config, cache, progress)
    progress.say(data.describe())
    manifest = _manifest(request, plan, data, weights, device)
    if directory.manifest_file.is_file():
        manifest = _resumed_manifest(directory, manifest)
    write_atomic(directory.config_file, to_toml(config))
    with replacing(directory.split_file) as temporary:
        # Of the films in either mode, so that a search on whole images can take the split of one on crops.
        data.split.write_csv(temporary, data.films.table)
    # Last: a folder with a manifest is a run that can be resumed.
    directory.write_manifest(manifest)
    return _Inputs(data, architecture, weights, manifest)


def _resumed_manifest(directory: RunDirectory, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest of the run that is resumed.

    Raises:
        RunError: If something that results depend on has changed since.
    """
    before = directory.read_manifest()
    compared = ("settings", "fingerprints")
    changed = [line for part in compared for line in changes(before.get(part, {}), manifest[part])]
    changed += changes(*({"results_version": each.get("results_version")} for each in (before, manifest)))
    if changed:
        raise RunError(
            expected=f"what {directory.path} was started with",
            found=f"changes: {', '.join(changed)}",
            remedy="Undo them to resume, or use --fresh or another --name.",
        )
    return before


def _search_and_finish(
    request: JobRequest, plan: HyperbandPlan, inputs: _Inputs, directory: RunDirectory, progress: RunProgress
) -> FinalModel:
    clock = time.perf_counter()
    from search.development import development_data, stored_views
    from search.final_stage import FinalStage, finish
    from search.search_stage import TrainerPool, run_search
    from search.trial_data import TrainingSettings

    config = request.config
    bank_plan = _plan_banks(config, inputs)
    if inputs.manifest.get("views_per_class") is None:
        inputs.manifest["views_per_class"] = list(bank_plan.views_per_class)
        directory.write_manifest(inputs.manifest)
    progress.say(describe_banks(bank_plan))
    views = stored_views(
        inputs.data.prepared,
        inputs.data.split,
        bank_plan,
        seed=config.search.seed,
        augmentation=config.augmentation.settings(),
    )
    with progress.station("trunk") as moved:
        data = development_data(
            views,
            inputs.data.split,
            bank_plan,
            architecture=inputs.architecture,
            weights=inputs.weights,
            folds=config.search.folds or config.split.folds,
            cache=cache_directory(config) / "banks",
            max_bytes=int(config.cache.max_gb * 1e9),
            progress=moved,
        )
    training_images = max(len(training) for training, _ in data.folds)
    settings = TrainingSettings(
        seed=config.search.seed,
        batch_size=config.search.batch_size,
        steps_per_epoch=config.search.steps_per_epoch or -(-training_images // config.search.batch_size),
        full_epochs=plan.max_epochs,
        schedule=config.search.schedule,
        minority=config.search.minority,
    )
    finished = _finished_runs(directory, progress)
    trainers = TrainerPool(inputs.architecture, inputs.weights, data, optimizer=config.search.optimizer)
    with progress.search(plan, len(data.folds), finished):
        outcome = run_search(
            plan,
            config,
            data,
            settings,
            trainers=trainers,
            run_directory=directory.path,
            listener=progress,
            finished=finished,
        )
    return finish(
        FinalStage(
            config=config,
            demo=request.demo,
            directory=directory,
            manifest=inputs.manifest,
            plan=plan,
            films=inputs.data.films,
            prepared=inputs.data.prepared,
            split=inputs.data.split,
            architecture=inputs.architecture,
            weights=inputs.weights,
            data=data,
            settings=settings,
            outcome=outcome,
            clock=clock,
        ),
        trainers(outcome.configuration),
        progress,
    )


def _plan_banks(config: Config, inputs: _Inputs) -> BankPlan:
    from mammo_data.sampling import NATURAL_PREVALENCE
    from search.bank_plan import plan_banks
    from search.development import boundary_shapes

    table = inputs.data.prepared.table
    depths, augmentation = config.space.depths, config.augmentation
    return plan_banks(
        table.labels[inputs.data.split.development_rows(table)],
        len(table.class_names),
        boundary_shapes(inputs.architecture, depths, config.preparation.image_size),
        base_views=augmentation.views,
        # Only a sampler that draws the images of rare classes more often has use for more of their views.
        most_views=augmentation.views if config.search.minority in NATURAL_PREVALENCE else augmentation.most_views,
        max_bytes=int(config.cache.max_gb * 1e9),
        fixed_views=inputs.manifest.get("views_per_class"),
    )


def _finished_runs(directory: RunDirectory, progress: RunProgress) -> tuple[TrialRecord, ...]:
    """Runs of an earlier part of this search."""
    if drop_torn_line(directory.trials_file):
        progress.say("[yellow]trials.jsonl ended in half a line; that run is trained again[/yellow]")
    if not directory.trials_file.is_file():
        return ()
    records = read_records(directory.trials_file)
    if records:
        progress.say(f"resuming after {len(records)} finished run{'s' if len(records) != 1 else ''}")
    return records


def _check_depths(config: Config) -> None:
    from search.bit_family import architecture_of

    deepest = architecture_of(config.backbone.name).max_depth
    if max(config.space.depths) > deepest:
        raise ConfigError(
            expected=f"space.unfreeze_depth of at most {deepest} for {config.backbone.name}",
            found=str(max(config.space.depths)),
            remedy="Take the deeper ones out.",
        )


def _manifest(
    request: JobRequest,
    plan: HyperbandPlan,
    data: JobData,
    weights: BitWeights,
    device: str,
) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": request.run_name,
        "status": "running",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "argv": list(request.argv),
        "demo": request.demo,
        "mode": request.config.data.mode,
        "endpoint": f"AUC of {data.films.table.class_names[-1]} versus rest, held-out patients",
        "fingerprints": {
            "prepared": data.prepared.fingerprint,
            "cases": data.prepared.table.fingerprint,
            "split": data.split.fingerprint,
            "weights": weights.fingerprint,
        },
        "settings": result_settings(request.config),
        "results_version": RESULTS_VERSION,
        "views_per_class": None,
        "seeds": {
            "search": request.config.search.seed,
            "split": data.split.seed,
            "weights": request.config.backbone.weights_seed,
        },
        "plan": plan_table(plan),
        "weights": weights.provenance,
        "versions": versions(),
        "git": git_commit(),
        "device": device,
        "host": platform.node(),
    }
