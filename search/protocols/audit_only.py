"""The leak audit without a search: data, split, and where labels are to be shuffled the frozen backbone once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search import cohort as demonstration
from search.cohort import JobData, job_data
from search.config.schema import Config, cache_directory
from search.files.atomic import write_atomic
from search.machine.libraries import library_noise_in, start_tensorflow
from search.screen.output import messages
from search.screen.progress import RunProgress

if TYPE_CHECKING:
    from search.audit.audit import LeakAudit

_BATCH = 32


def audit_data(
    config: Config, *, demo: bool = False, permutation: bool = True, output: Path | None = None
) -> LeakAudit:
    """Prepare the data as a run would, and audit them.

    Args:
        config: The resolved configuration.
        demo: Synthetic data.
        permutation: Shuffle labels, on features of the development images from the configured backbone.
        output: Where audit.json goes, or None.

    Raises:
        DataError: If the images can't be used.
        UserError: If the weights are not as they have to be.
    """
    from mammo_data.sources.open import open_source
    from search.audit.audit import audit

    cache = cache_directory(config)
    source = open_source(demonstration.demo_data(cache)) if demo else open_source(config.data.path, config.data.info)
    log = cache / "audit-log.txt"
    with library_noise_in(log) as terminal, RunProgress(messages(terminal), log=log).shown() as progress:
        if demo:
            progress.say(f"[yellow]{demonstration.NOTICE}[/yellow]")
        data = job_data(source, config, cache, progress)
        progress.fact("data", data.describe())
        features = _features(data, config, progress) if permutation else None
        with progress.station("audit"):
            found = audit(data.films, data.prepared, data.split, features=features, seed=data.split.seed)
    if output is not None:
        write_atomic(output, json.dumps(found.as_dict(), indent=2, allow_nan=False) + "\n")
    return found


def _features(data: JobData, config: Config, progress: RunProgress) -> NDArray[np.float32]:
    """Pooled features of the development images, float32 [images, channels]."""
    start_tensorflow(deterministic=config.search.deterministic)
    from mammo_data.training.pipeline import view_dataset
    from search.bit.family import architecture_of
    from search.bit.resolve import backbone_weights
    from search.boundary.trunk import frozen_trunk
    from search.boundary.values import whole_batch

    architecture = architecture_of(config.backbone.name)
    weights = backbone_weights(config.backbone.name, config.backbone.weights, seed=config.backbone.weights_seed)
    rows = data.split.development_rows(data.prepared.table)
    pixels = view_dataset(
        data.prepared.images,
        rows,
        np.zeros_like(rows),
        data.prepared.table.image_ids,
        batch_size=_BATCH,
        seed=0,
        augmentation=config.augmentation.settings(),
    )
    trunk = frozen_trunk(architecture, weights, image_size=config.preparation.image_size, depths=(0,))
    pooled: list[NDArray[np.float32]] = []
    with progress.station("trunk") as moved:
        for batch in pixels.as_numpy_iterator():
            (features,) = trunk(whole_batch(batch, _BATCH))
            pooled.append(np.asarray(features)[: len(batch)])
            moved(sum(map(len, pooled)), len(rows))
    return np.concatenate(pooled)
