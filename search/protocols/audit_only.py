"""Pooled features of the development images for an audit without a search: the frozen backbone once, and no bank."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from mammo_data import view_dataset
from search.bit.family import architecture_of
from search.bit.resolve import backbone_weights
from search.boundary.trunk import frozen_trunk
from search.boundary.values import whole_batch
from search.cohort import Cohort
from search.config.schema import Config
from search.screen.progress import RunProgress

_BATCH = 32


def development_features(config: Config, cohort: Cohort, progress: RunProgress) -> NDArray[np.float32]:
    """The features, float32 [images, channels].

    Args:
        config: Names backbone and weights.
        cohort: The images and their split.
        progress: Shows how far it is.

    Raises:
        UserError: If the weights are not to be had.
    """
    name, prepared = config.backbone.name, cohort.prepared
    with progress.station("weights, MB", brief=True, unit=10**6) as moved:
        weights = backbone_weights(
            name,
            config.backbone.weights,
            seed=config.backbone.weights_seed,
            progress=moved,
            say=partial(progress.fact, "weights"),
        )
    rows = cohort.split.development_rows(prepared.table)
    pixels = view_dataset(
        prepared.images,
        rows,
        np.zeros_like(rows),
        prepared.table.image_ids,
        batch_size=_BATCH,
        seed=0,
        augmentation=config.augmentation.settings(),
    )
    trunk = frozen_trunk(architecture_of(name), weights, image_size=config.preparation.image_size, depths=(0,))
    pooled: list[NDArray[np.float32]] = []
    with progress.station("trunk") as moved:
        for batch in pixels.as_numpy_iterator():
            (features,) = trunk(whole_batch(batch, _BATCH))
            pooled.append(np.asarray(features)[: len(batch)])
            moved(sum(map(len, pooled)), len(rows))
    return np.concatenate(pooled)
