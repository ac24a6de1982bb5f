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
from search.config import Config, to_toml
from search.environment import device_description, git_commit, library_noise_in, start_tensorflow, versions
from search.errors import ConfigError, UserError
from search.hyperband_plan import HyperbandPlan, plan_hyperband
from search.job_data import JobData, job_data
from search.output import messages
from search.plan_text import describe_plan, plan_table
from search.progress import RunProgress
from search.run_directory import RunDirectory, create_run_directory

if TYPE_CHECKING:
    from mammo_data.layouts import ImageSource
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
        demo: Synthetic data; every output says so.
        argv: The command line, for the manifest.
    """

    config: Config
    name: str | None = None
    fresh: bool = False
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
    source = open_source(demo.demo_data(cache) if request.demo else config.data.path)
    plan = plan_hyperband(config.search.max_trials, max_epochs=config.search.max_epochs, factor=config.search.factor)
    _check_depths(config)
    directory = create_run_directory(config.output.runs, request.run_name, fresh=request.fresh)
    with library_noise_in(directory.log_file) as terminal, RunProgress(messages(terminal)).shown() as progress:
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
    directory.write_manifest(manifest)
    write_atomic(directory.config_file, to_toml(config))
    with replacing(directory.split_file) as temporary:
        # Of the films in either mode, so that a search on whole images can take the split of one on crops.
        data.split.write_csv(temporary, data.films.table)
    return _Inputs(data, architecture, weights, manifest)


def _search_and_finish(
    request: JobRequest, plan: HyperbandPlan, inputs: _Inputs, directory: RunDirectory, progress: RunProgress
) -> FinalModel:
    clock = time.perf_counter()
    from search.development import development_data
    from search.final_stage import FinalStage, finish
    from search.search_stage import TrainerPool, run_search
    from search.trial_data import TrainingSettings
    from search.trunk import frozen_trunk

    config = request.config
    depths = tuple(sorted(set(config.space.unfreeze_depth)))
    trunk = frozen_trunk(inputs.architecture, inputs.weights, image_size=config.preparation.image_size, depths=depths)
    with progress.station("trunk") as moved:
        data = development_data(
            inputs.data.prepared,
            inputs.data.split,
            trunk,
            depths=depths,
            folds=config.search.folds or config.split.folds,
            augmentation=config.augmentation,
            minority=config.search.minority,
            seed=config.search.seed,
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
    trainers = TrainerPool(inputs.architecture, inputs.weights, data, optimizer=config.search.optimizer)
    with progress.search(plan, len(data.folds)):
        outcome = run_search(
            plan,
            config.space,
            data,
            settings,
            trainers=trainers,
            run_directory=directory.path,
            listener=progress,
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


def _check_depths(config: Config) -> None:
    from search.bit_family import architecture_of

    deepest = architecture_of(config.backbone.name).max_depth
    if max(config.space.unfreeze_depth) > deepest:
        raise ConfigError(
            expected=f"space.unfreeze_depth of at most {deepest} for {config.backbone.name}",
            found=str(max(config.space.unfreeze_depth)),
            remedy="Take the deeper ones out.",
        )


def _manifest(
    request: JobRequest,
    plan: HyperbandPlan,
    data: JobData,
    weights: BitWeights,
    device: str,
) -> dict[str, Any]:
    configuration = to_toml(request.config)
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
            "configuration": hashlib.sha256(configuration.encode()).hexdigest(),
        },
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
