"""Compiled tails that a process that trains trials holds."""

from __future__ import annotations

from search.bit.architecture import BitArchitecture
from search.bit.weights import BitWeights
from search.plan.space import Configuration
from search.trials.data import TrialData
from search.trials.tail import TailTrainer


class TrainerPool:
    """Compiled tails, one for each shape, built when first asked for.

    Args:
        architecture: The backbone's.
        weights: Its pretrained weights.
        data: Development data; the banks give the boundary shapes.
        optimizer: Name of the optimizer.
        dtype: Dtype policy of the backbone's part.
    """

    def __init__(
        self,
        architecture: BitArchitecture,
        weights: BitWeights,
        data: TrialData,
        *,
        optimizer: str,
        dtype: str = "float32",
    ) -> None:
        self._architecture = architecture
        self._weights = weights
        self._data = data
        self._optimizer = optimizer
        self._dtype = dtype
        self._trainers: dict[tuple[int, int], TailTrainer] = {}

    def __call__(self, configuration: Configuration) -> TailTrainer:
        """The tail of the configuration's shape."""
        shape = (configuration.unfreeze_depth, configuration.head_width)
        if shape not in self._trainers:
            self._trainers[shape] = TailTrainer(
                self._architecture,
                self._weights,
                depth=configuration.unfreeze_depth,
                boundary_shape=self._data.banks[configuration.unfreeze_depth].shape,
                head_width=configuration.head_width,
                n_classes=len(self._data.class_names),
                optimizer=self._optimizer,
                dtype=self._dtype,
            )
        return self._trainers[shape]
