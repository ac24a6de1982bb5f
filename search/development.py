"""From the prepared set to what trials read: the development patients' banks, labels and folds.

This is where the test patients are left behind. Nothing after it, up to the final evaluation, is given their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mammo_data.augmentation import views_per_class
from mammo_data.catalog import CaseTable
from mammo_data.pipeline import view_dataset
from mammo_data.prepared import PreparedSet
from mammo_data.sampling import NATURAL_PREVALENCE
from mammo_data.splits import Split
from search.boundary_cache import fill_banks
from search.config import AugmentationSection
from search.trial_data import TrialData
from search.trunk import Trunk

TRUNK_BATCH = 32


def development_data(
    prepared: PreparedSet,
    split: Split,
    trunk: Trunk,
    *,
    depths: Sequence[int],
    folds: int,
    augmentation: AugmentationSection,
    minority: str,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> TrialData:
    """Fill the banks of the development patients.

    Args:
        prepared: All prepared images.
        split: Which patients are held out, and the folds of the others.
        trunk: From pixels to the boundary values of ``depths``.
        depths: Unfreeze depths in use.
        folds: How many of the split's folds trials use.
        augmentation: Strength and number of the stored views.
        minority: How rare classes are handled; only a sampler that draws their images more often needs more views.
        seed: Seed of the views.
        progress: Called with (views done, views in all).
    """
    rows = split.development_rows(prepared.table)
    table = prepared.table.take(rows)
    most = augmentation.views if minority in NATURAL_PREVALENCE else augmentation.most_views
    counts = views_per_class(table.labels, len(table.class_names), base=augmentation.views, most=most)
    views = np.array(counts, dtype=np.int64)[table.labels]
    pixels = view_dataset(
        prepared.images,
        np.repeat(rows, views),
        np.concatenate([np.arange(count) for count in views]),
        prepared.table.image_ids,
        batch_size=TRUNK_BATCH,
        seed=seed,
        augmentation=augmentation.settings(),
        source=prepared.training_image,
    )
    banks = fill_banks(trunk, pixels.as_numpy_iterator(), depths=depths, views=views, progress=progress)
    return TrialData(
        banks=banks,
        labels=table.labels,
        image_ids=table.image_ids,
        patient_ids=table.patient_ids,
        class_names=table.class_names,
        folds=fold_positions(prepared.table, split)[:folds],
    )


def fold_positions(table: CaseTable, split: Split) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]:
    """(training, validation) positions among the development rows of a table, for each fold of a split."""
    rows = split.development_rows(table)
    folds = (split.fold_rows(table, fold) for fold in range(len(split.folds)))
    return tuple((np.searchsorted(rows, training), np.searchsorted(rows, validation)) for training, validation in folds)
