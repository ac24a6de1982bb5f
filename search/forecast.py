"""What a job is believed to take before it has begun: from its plan, its data and the kind of device."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.config.schema import Config
from search.plan.cost import TRUNK_SHARE, CostModel, epoch_costs, images_an_epoch, matrix_product_gflops
from search.plan.hyperband import HyperbandPlan
from search.screen.state import search_board
from search.text import duration

if TYPE_CHECKING:
    from search.boundary.plan import BankPlan
    from search.protocols.job import Backbone


# Of one GPU of some years ago in float32: an estimate had better be too long.
_GPU_RATE = 8e12


def rough_cost_model(
    config: Config, backbone: Backbone, development_images: int, recomputed: Sequence[int] = ()
) -> CostModel:
    """What epochs of each unfreeze depth are believed to cost on this device.

    Args:
        config: The resolved configuration.
        backbone: The network, and what it is computed on.
        development_images: Images of the development patients.
        recomputed: Depths whose boundary values are not stored.
    """
    training, validation = images_an_epoch(config, development_images)
    costs = epoch_costs(
        backbone.architecture,
        config.space.depths,
        config.preparation.image_size,
        training=training,
        validation=validation,
        rate=_rate(backbone.device.startswith("CPU")),
        recomputed=recomputed,
    )
    return CostModel(costs)


def describe_time(
    config: Config, plan: HyperbandPlan, backbone: Backbone, bank_plan: BankPlan, development_images: int
) -> str:
    """How long a job will take, in words; nothing of it has been measured."""
    costs = rough_cost_model(config, backbone, development_images, bank_plan.recomputed)
    forward = sum(backbone.architecture.convolution_flop(config.preparation.image_size))
    trunk = bank_plan.views * forward / (TRUNK_SHARE * _rate(backbone.device.startswith("CPU")))
    searching = search_board(config, plan, costs).seconds_left(0.0) or 0.0
    dearest = max(costs.seconds(depth) for depth in config.space.depths)
    retraining = config.retrain.seeds * plan.max_epochs * dearest
    total = _rounded(trunk + searching + retraining)
    return (
        f"about {total}, roughly: trunk {_rounded(trunk)} (less where it is kept), search {_rounded(searching)}, "
        f"final models up to {_rounded(retraining)}"
    )


@functools.cache
def _rate(on_cpu: bool) -> float:
    """Operations a second of float32 matrix products: measured on a CPU, once a process."""
    return matrix_product_gflops(0.2) * 1e9 if on_cpu else _GPU_RATE


def _rounded(seconds: float) -> str:
    """A rough figure says no more than it knows: half minutes below ten minutes, then minutes."""
    if seconds < 20:
        return duration(max(1.0, seconds))
    step = 30 if seconds < 600 else 60 if seconds < 3600 else 600
    return duration(max(step, round(seconds / step) * step))
