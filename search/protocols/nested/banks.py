"""One bank a depth for all searches of a nested run.

The frozen trunk learns from nobody, and a view of an image depends on that image alone, so the boundary values of a
patient's images are the same for the search that trains on her and for the one that leaves her out. They are computed
once, over all images; each search is given the views of its own development patients and can reach no others.

How many views an image of a class has is decided for each search from its development labels alone, and so is the cut
that a small budget makes: were it taken from all labels, the left-out patients' diagnoses would have a say in what is
trained. The bank holds as many views of a class as the search that wants most of them. What is stored and what is
recomputed may follow from all labels, for it changes no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.boundary.values import BoundaryValues, SelectedValues
from search.protocols.banks import bank_budget, plan_search_banks, run_trunk
from search.protocols.job import Job

if TYPE_CHECKING:
    from mammo_data.preparation.prepared import PreparedSet
    from mammo_data.splits import Split
    from search.cohort import JobData
    from search.trials.data import TrialData

_HEADROOM = 0.9
"""Part of the budget that views are chosen for: the bank has the most views of any search, a few more than each."""


@dataclass(frozen=True)
class SharedBanks:
    """Boundary values of all images.

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
        from search.trials.data import development_data

        table = self.prepared.table
        rows = split.development_rows(table)
        counts = np.array(views_per_class, dtype=np.int64)[table.labels[rows]]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        numbers = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts)
        positions = np.repeat(self.offsets[rows], counts) + numbers
        values = {depth: SelectedValues(array, positions) for depth, array in self.values.items()}
        return development_data(values, offsets, self.prepared, split, folds=folds)


def views_of_searches(job: Job, searches: Mapping[str, JobData]) -> dict[str, list[int]]:
    """Views of an image of each class, for each search of a nested run.

    Args:
        job: Gives the configuration.
        searches: Name to data; all of the same images.
    """
    views = {}
    for name, data in searches.items():
        table = data.prepared.table
        share = len(data.split.development_rows(table)) / len(table)
        budget = int(_HEADROOM * share * bank_budget(job.config))
        views[name] = list(plan_search_banks(job, data, max_bytes=budget).views_per_class)
    return views


def shared_banks(job: Job, prepared: PreparedSet, views: Mapping[str, Sequence[int]]) -> SharedBanks:
    """Fill or find the banks of all images.

    Args:
        job: Gives configuration and backbone.
        prepared: The images.
        views: From `views_of_searches`.
    """
    from mammo_data.splits import Split
    from search.boundary.views import stored_views
    from search.cohort import JobData

    config = job.config
    everyone = JobData(prepared, prepared, Split((), (), config.split.seed))
    most = [max(counts) for counts in zip(*views.values(), strict=True)]
    bank_plan = plan_search_banks(job, everyone, fixed_views=most)
    stored = stored_views(
        prepared, everyone.split, bank_plan, seed=config.search.seed, augmentation=config.augmentation.settings()
    )
    return SharedBanks(prepared, run_trunk(job, stored, bank_plan), stored.offsets)
