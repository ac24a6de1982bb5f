"""Saliency of a final model: its class activation maps, of several methods and places.

Every place lies at or before the boundary of the trained tail, so that the activations are the frozen trunk's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from search.bit.architecture import BitArchitecture
from search.boundary.values import whole_batch
from search.export.activation_maps import ClassGradients, Maps, cell_stride, grad_cam, hires_cam
from search.final.inference import FinalNetwork, network_pixels
from search.trials.tail import TrainedTail

_BATCH = 8


@dataclass(frozen=True)
class MapKind:
    """A method at a place.

    Attributes:
        method: Its name.
        depth: Unfreeze depth whose boundary it looks at.
        stride: Pixels a cell.
        compute: From activations and gradients, float32 [n, rows, columns, channels], to maps.
    """

    method: str
    depth: int
    stride: int
    compute: Callable[[NDArray[np.float32], NDArray[np.float32]], Maps]

    @property
    def name(self) -> str:
        """Method and resolution, for example "Grad-CAM, 32 px a cell"."""
        return f"{self.method}, {self.stride} px a cell"


def map_kinds(architecture: BitArchitecture, unfreeze_depth: int, image_size: int) -> tuple[MapKind, ...]:
    """Grad-CAM and HiResCAM at the boundary of the tail, and HiResCAM at the nearest finer boundary.

    Args:
        architecture: The backbone's.
        unfreeze_depth: Of the tail; depth 0, whose boundary is pooled and has no places, looks at depth 1's.
        image_size: Side of the prepared images in pixels.
    """

    def stride(depth: int) -> int:
        return cell_stride(image_size, architecture.boundary_shape(depth, (image_size, image_size))[0])

    coarse = min(max(unfreeze_depth, 1), architecture.n_units)
    kinds = [
        MapKind("Grad-CAM", coarse, stride(coarse), grad_cam),
        MapKind("HiResCAM", coarse, stride(coarse), hires_cam),
    ]
    finer = [depth for depth in range(coarse + 1, architecture.n_units + 1) if stride(depth) < stride(coarse)]
    if finer:
        kinds.append(MapKind("HiResCAM", finer[0], stride(finer[0]), hires_cam))
    return tuple(kinds)


class SaliencyModel:
    """Maps of one final model.

    Args:
        network: The network.
        trained: What was trained of it.

    Attributes:
        kinds: What it can compute, the plain Grad-CAM first.
    """

    def __init__(self, network: FinalNetwork, trained: TrainedTail) -> None:
        self.kinds = map_kinds(network.architecture, network.unfreeze_depth, network.image_size)
        self._depths = sorted({kind.depth for kind in self.kinds})
        self._trunk = network.trunk(self._depths)
        self._tails = {depth: network.tail(depth) for depth in self._depths}
        for model in self._tails.values():
            network.fill(model, trained)
        self._gradients = {
            depth: ClassGradients(partial(model, training=False)) for depth, model in self._tails.items()
        }

    def maps(
        self, images: NDArray[np.uint8], classes: NDArray[np.integer], kinds: tuple[MapKind, ...] | None = None
    ) -> dict[MapKind, Maps]:
        """Where the evidence for a class lies.

        Args:
            images: Prepared images, uint8 [n, S, S].
            classes: The class to explain of each, int [n].
            kinds: Which maps; all by default.

        Returns:
            The maps of each kind.
        """
        wanted = self.kinds if kinds is None else kinds
        found: dict[MapKind, list[Maps]] = {kind: [] for kind in wanted}
        for start in range(0, len(images), _BATCH):
            part, chosen = images[start : start + _BATCH], np.zeros(_BATCH, np.int64)
            chosen[: len(part)] = classes[start : start + _BATCH]
            boundaries = self._trunk(whole_batch(network_pixels(part), _BATCH))
            for depth, values in zip(self._depths, boundaries, strict=True):
                here = [kind for kind in wanted if kind.depth == depth]
                if not here:
                    continue
                activations = np.asarray(values, np.float32)
                gradients = self._gradients[depth](activations, chosen)
                for kind in here:
                    found[kind].append(kind.compute(activations, gradients)[: len(part)])
        return {kind: np.concatenate(parts) for kind, parts in found.items() if parts}


def peak(cam: NDArray[np.float32], stride: int) -> tuple[float, float] | None:
    """The pixel (x, y) that a map's largest cell looks at; None for a map of zeros.

    The network pads every strided convolution so that the cell (i, j) is centred on the pixel (i · stride,
    j · stride), not in the middle of the stride's square.
    """
    if not cam.max() > 0:
        return None
    row, column = np.unravel_index(int(cam.argmax()), cam.shape)
    return float(column * stride), float(row * stride)
