"""The banks of a search: views and sizes decided from the development labels, boundary values found or made.

The frozen trunk learns from nobody, and a view of an image depends on that image alone, so the boundary values of a
patient's images are the same for the search that trains on her and for the one that leaves her out. A nested run on
whole images has one bank a depth, of all images; each search is given the views of its own development patients and can
reach no others.

How many views an image of a class has is decided for each search from its development labels alone, and so is the cut
that a small budget makes: were it taken from all labels, the left-out patients' diagnoses would have a say in what is
trained. The shared bank holds as many views of a class as the search that wants most of them. What is stored and what
is recomputed may follow from all labels, for it changes no value.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammo_data import CaseTable, PreparedSet, Split
from search.bit.architecture import BitArchitecture
from search.bit.resolve import Backbone
from search.boundary.banks import boundary_values
from search.boundary.plan import BankPlan, describe_banks
from search.boundary.values import BoundaryValues, SelectedValues
from search.boundary.views import StoredViews, stored_views
from search.cohort import Cohort
from search.config.schema import Config, cache_directory
from search.job import Job
from search.machine.speed import slowdown
from search.plan.forecast import SearchSize, forecast, search_sizes
from search.plan.job_clock import among
from search.protocols.expected_banks import bank_budget, plan_search_banks
from search.protocols.expected_time import (
    describe_forecast,
    describe_shorter,
    shorter_ways,
    speed_here,
)
from search.screen.progress import RunProgress
from search.trials.data import TrialData, development_data

_HEADROOM = 0.9
"""Part of the budget that views are chosen for: the bank has the most views of any search, a few more than each."""


def own_banks(job: Job, backbone: Backbone, cohort: Cohort, progress: RunProgress) -> TrialData:
    """Fill or find banks that hold the development patients of one search and nobody else.

    Args:
        job: The run, begun; ``views_per_class`` of its manifest is added where it is missing.
        backbone: The pretrained network.
        cohort: Who the search is about.
        progress: Shows how far it is.
    """
    config, decided = job.config, job.directory.read_manifest().views_per_class
    bank_plan = plan_search_banks(
        config, backbone.architecture, cohort.prepared.table, cohort.split, fixed_views=decided
    )
    if decided is None:
        job.directory.update_manifest(views_per_class=bank_plan.views_per_class)
    views = _views(config, cohort.prepared, cohort.split, bank_plan)
    table, images = cohort.prepared.table, len(views.offsets) - 1
    sizes = (SearchSize(images, len(table) - images),)
    values = run_trunk(job, backbone, views, bank_plan, sizes, table, progress)
    return development_data(values, views.offsets, cohort.prepared, cohort.split, folds=folds_used(config))


@dataclass(frozen=True)
class SharedBanks:
    """Boundary values of all images of a nested run.

    Attributes:
        prepared: The images.
        values: Unfreeze depth to values, [views, ...].
        offsets: Position of each image's view 0, and the total, int64 [images + 1].
    """

    prepared: PreparedSet
    values: Mapping[int, BoundaryValues]
    offsets: NDArray[np.int64]

    def trial_data(self, split: Split, views_per_class: Sequence[int], *, folds: int) -> TrialData:
        """What the trials of one search read.

        Args:
            split: Which patients are left out, and the folds of the others.
            views_per_class: Views of an image of each class that this search uses.
            folds: How many of the split's folds trials use.
        """
        table = self.prepared.table
        rows = split.development_rows(table)
        counts = np.array(views_per_class, dtype=np.int64)[table.labels[rows]]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        numbers = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        positions = np.repeat(self.offsets[rows], counts) + numbers
        values = {depth: SelectedValues(array, positions) for depth, array in self.values.items()}
        return development_data(values, offsets, self.prepared, split, folds=folds)


def views_of_searches(
    config: Config, architecture: BitArchitecture, table: CaseTable, splits: Mapping[str, Split]
) -> dict[str, tuple[int, ...]]:
    """Views of an image of each class, for each search of a nested run.

    Args:
        config: The configuration.
        architecture: The backbone's.
        table: The images of all searches.
        splits: Name of each search to its split.
    """
    views = {}
    for name, split in splits.items():
        share = len(split.development_rows(table)) / len(table)
        budget = int(_HEADROOM * share * bank_budget(config))
        views[name] = plan_search_banks(config, architecture, table, split, max_bytes=budget).views_per_class
    return views


def shared_banks(
    job: Job,
    backbone: Backbone,
    prepared: PreparedSet,
    views_of_searches: Mapping[str, Sequence[int]],
    progress: RunProgress,
) -> SharedBanks:
    """Fill or find the banks of all images.

    Args:
        job: The nested run, begun.
        backbone: The pretrained network.
        prepared: The images.
        views_of_searches: From the function of that name.
        progress: Shows how far it is.
    """
    config, everyone = job.config, Split((), (), job.config.split.seed)
    most = [max(counts) for counts in zip(*views_of_searches.values(), strict=True)]
    bank_plan = plan_search_banks(config, backbone.architecture, prepared.table, everyone, fixed_views=most)
    stored = _views(config, prepared, everyone, bank_plan)
    sizes = search_sizes(config, len(prepared.table), 0)
    return SharedBanks(
        prepared, run_trunk(job, backbone, stored, bank_plan, sizes, prepared.table, progress), stored.offsets
    )


def run_trunk(
    job: Job,
    backbone: Backbone,
    views: StoredViews,
    bank_plan: BankPlan,
    sizes: Sequence[SearchSize],
    table: CaseTable,
    progress: RunProgress,
) -> dict[int, BoundaryValues]:
    """Boundary values of some views, by unfreeze depth: found on the disk, or made.

    Args:
        job: The run, begun.
        backbone: The pretrained network.
        views: The views.
        bank_plan: What is stored of them.
        sizes: What each search reads that comes after it.
        table: All images.
        progress: Shows how far it is.
    """
    bank = describe_banks(bank_plan)
    progress.fact("views", bank)
    if not job.directory.is_complete:
        job.directory.update_manifest(bank=bank)
    _say_time(job, backbone, bank_plan, sizes, table, progress)
    with progress.station("trunk") as moved:
        return boundary_values(
            views,
            bank_plan,
            architecture=backbone.architecture,
            weights=backbone.weights,
            cache=cache_directory(job.config) / "banks",
            max_bytes=bank_budget(job.config),
            dtype=backbone.precision.trunk_policy,
            progress=moved,
        )


def _say_time(
    job: Job,
    backbone: Backbone,
    bank_plan: BankPlan,
    sizes: Sequence[SearchSize],
    table: CaseTable,
    progress: RunProgress,
) -> None:
    """Tell the clock what is to come, and the user where nothing of the search is done yet."""
    if job.directory.is_complete:
        return  # its models are trained again, which is another job
    config, precision = job.config, backbone.precision.name
    reference = forecast(
        config,
        job.plan,
        backbone.architecture,
        sizes,
        views=bank_plan.views if bank_plan.stored else 0,
        precision=precision,
        recomputed=bank_plan.recomputed,
        films=0 if job.demo else len(table),
    )
    on_gpu = not backbone.device.startswith("CPU")
    speed = speed_here(config, precision, on_gpu=on_gpu)
    here = among(reference.on(speed), config, job.plan, job.crew)
    progress.clock.expects(reference, here, speed, time.monotonic())
    if job.directory.trials_file.is_file():
        progress.clock.whole = False
        return
    job.directory.update_manifest(expected={part: round(here.seconds(part), 1) for part in here.parts})
    progress.fact("time", describe_forecast(here, speed, busy=1.0 if on_gpu else slowdown(), workers=job.worker_count))
    if ways := shorter_ways(config, table, speed, job.crew, here.seconds()):
        progress.fact("shorter", describe_shorter(ways), style="yellow")


def folds_used(config: Config) -> int:
    """Folds that a trial is cross-validated on."""
    return config.search.folds or config.split.folds


def _views(config: Config, prepared: PreparedSet, split: Split, bank_plan: BankPlan) -> StoredViews:
    augmentation = config.augmentation.settings()
    return stored_views(prepared, split, bank_plan, seed=config.search.seed, augmentation=augmentation)
