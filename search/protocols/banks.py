"""The station of the banks: decide views and sizes from the development labels, then let the trunk run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from search.boundary.plan import describe_banks
from search.config.schema import Config, cache_directory
from search.protocols.job import Job
from search.run_folder.directory import RunDirectory

if TYPE_CHECKING:
    from search.boundary.plan import BankPlan
    from search.boundary.values import BoundaryValues
    from search.boundary.views import StoredViews
    from search.cohort import JobData
    from search.trials.data import TrialData


def plan_search_banks(
    job: Job, data: JobData, *, fixed_views: Sequence[int] | None = None, max_bytes: int | None = None
) -> BankPlan:
    """Views and banks of one search, from the labels of its development patients alone.

    Args:
        job: Gives the configuration.
        data: What the search is given, and the split.
        fixed_views: Views of each class that an earlier part of the same search has used.
        max_bytes: Budget, instead of the configured one.
    """
    from mammo_data.training.sampling import NATURAL_PREVALENCE
    from search.boundary.banks import boundary_shapes
    from search.boundary.plan import plan_banks

    config, table = job.config, data.prepared.table
    augmentation = config.augmentation
    return plan_banks(
        table.labels[data.split.development_rows(table)],
        len(table.class_names),
        boundary_shapes(job.backbone.architecture, config.space.depths, config.preparation.image_size),
        base_views=augmentation.views,
        # Only a sampler that draws the images of rare classes more often has use for more of their views.
        most_views=augmentation.views if config.search.minority in NATURAL_PREVALENCE else augmentation.most_views,
        max_bytes=bank_budget(config) if max_bytes is None else max_bytes,
        fixed_views=fixed_views,
    )


def bank_budget(config: Config) -> int:
    """Budget of the banks in bytes."""
    return int(config.cache.max_gb * 1e9)


def own_banks(job: Job, data: JobData, directory: RunDirectory, manifest: dict[str, Any]) -> TrialData:
    """Fill or find banks that hold the development patients of one search and nobody else.

    Args:
        job: Gives configuration and backbone.
        data: What the search is given, and the split.
        directory: The folder of the run.
        manifest: Its manifest; ``views_per_class`` is added where it is missing.
    """
    from search.boundary.views import stored_views
    from search.trials.data import development_data

    config = job.config
    bank_plan = plan_search_banks(job, data, fixed_views=manifest.get("views_per_class"))
    if manifest.get("views_per_class") is None:
        manifest["views_per_class"] = list(bank_plan.views_per_class)
        directory.write_manifest(manifest)
    views = stored_views(
        data.prepared, data.split, bank_plan, seed=config.search.seed, augmentation=config.augmentation.settings()
    )
    values = run_trunk(job, views, bank_plan)
    return development_data(values, views.offsets, data.prepared, data.split, folds=folds_used(config))


def run_trunk(job: Job, views: StoredViews, bank_plan: BankPlan) -> dict[int, BoundaryValues]:
    """Boundary values of some views, by unfreeze depth: found on the disk, or made."""
    from search.boundary.banks import boundary_values
    from search.protocols.expected_cost import describe_time

    job.progress.fact("views", describe_banks(bank_plan))
    if not job.directory.trials_file.is_file():
        images = len(views.offsets) - 1
        job.progress.fact("time", describe_time(job.config, job.plan, job.backbone, bank_plan, images))
    with job.progress.station("trunk") as moved:
        return boundary_values(
            views,
            bank_plan,
            architecture=job.backbone.architecture,
            weights=job.backbone.weights,
            cache=cache_directory(job.config) / "banks",
            max_bytes=bank_budget(job.config),
            dtype=job.backbone.precision.trunk_policy,
            progress=moved,
        )


def folds_used(config: Config) -> int:
    """Folds that a trial is cross-validated on."""
    return config.search.folds or config.split.folds
