"""Tail: the part of the network that a search trains, compiled once for all configurations that share a shape.

A tail reaches from the boundary of the frozen trunk to the logits. Configurations of one (unfreeze depth, head width,
optimizer) differ in three numbers, which are variables; so one graph serves them all, over trials and folds, and a
trial begins by assigning the start values back instead of tracing a new model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from search.bit import BitArchitecture, BitWeights, assign_official, build_tail, official_variables
from search.bit.weights import fingerprint_of
from search.boundary.values import BoundaryValues
from search.plan.space import Configuration
from search.seeding import generator
from search.trials.data import ClassEmphasis
from search.trials.head import keras_initializer, runtime_head
from search.trials.momentum import OnePassMomentum
from search.trials.steps import CompiledSteps, ParameterGroup

State = dict[str, NDArray[Any]]
"""Every variable of a tail, its optimizer and its random generator, by a name unique in the tail."""
_STEP_BYTES = 256 * 2**20
_INFERENCE_BATCH, _INFERENCE_BYTES = 64, 256 * 2**20


def build_optimizer(name: str, learning_rate: float) -> keras.Optimizer:
    """An optimizer by the name that the configuration uses.

    Args:
        name: "sgd" (Nesterov-free momentum 0.9, as BiT's own fine-tuning), "adam" or "adamw" (weight decay 0.004).
        learning_rate: Start value; the trainer assigns each step's.

    Raises:
        ValueError: If the name is unknown.
    """
    match name:
        case "sgd":
            return keras.optimizers.SGD(learning_rate, momentum=0.9)
        case "adam":
            return keras.optimizers.Adam(learning_rate)
        case "adamw":
            return keras.optimizers.AdamW(learning_rate, weight_decay=0.004)
    raise ValueError(f"Expected optimizer 'sgd', 'adam' or 'adamw'. Received: name={name!r}")


def inference_batch(boundary: tuple[int, ...]) -> int:
    """Images that are validated at a time: 64, or fewer where their boundary values in float32 would take 256 MB.

    Large images need several times that within the tail. It follows from the shape alone, for bits may depend on it.
    """
    most = _INFERENCE_BYTES // (4 * math.prod(boundary))
    return min(_INFERENCE_BATCH, 1 << max(0, most.bit_length() - 1))


class TailTrainer:
    """One compiled tail.

    Args:
        architecture: The backbone's.
        weights: The backbone's pretrained weights.
        depth: Unfreeze depth, 0 … all units.
        boundary_shape: Shape of one boundary value: (channels,) at depth 0, (height, width, channels) beyond.
        head_width: Units of the head's hidden layer; 0 for a linear head.
        n_classes: Number of classes.
        optimizer: Its name.
        dtype: Dtype policy of the backbone's part; the head, the loss and all variables are float32.

    Attributes:
        arithmetic_seconds: Time spent in training and validation steps so far.
    """

    def __init__(
        self,
        architecture: BitArchitecture,
        weights: BitWeights,
        *,
        depth: int,
        boundary_shape: tuple[int, ...],
        head_width: int,
        n_classes: int,
        optimizer: str,
        dtype: str = "float32",
    ) -> None:
        self.arithmetic_seconds = 0.0
        self._has_hidden_layer = head_width > 0
        boundary = keras.Input(boundary_shape, name="boundary")
        self.tail = build_tail(architecture, depth, boundary_shape, dtype=dtype)
        logits = runtime_head(self.tail(boundary), width=head_width, n_classes=n_classes)
        self.model = keras.Model(boundary, logits, name=f"tail_{depth}_{head_width}")
        groups = _parameter_groups(self.model, self.tail, optimizer)
        self._is_backbone = np.arange(len(groups)) > 0
        self._steps = CompiledSteps(self.model, groups)
        assign_official(self.tail, weights.arrays)
        slots = [variable for group in groups for variable in group.optimizer.variables]
        # Optimizer slots and seed generators may share a name; the position makes it unique and keeps the order. Not
        # the path: in it Keras counts the objects of the process, so it would depend on which tails were built before.
        every = enumerate([*self.model.variables, *slots])
        self._variables = {f"{position:04d}:{variable.name}": variable for position, variable in every}
        self._start = self.state()

    @property
    def build_seconds(self) -> float:
        """Time spent so far in making graphs, which is once for all trials that share them."""
        return self._steps.build_seconds

    def begin(self, configuration: Configuration, seed: int, *purpose: str | int, head_init: str = "zeros") -> None:
        """Set every variable to its start value and the strengths to the configuration's.

        Args:
            configuration: Gives dropout and L2; its learning rate comes with each epoch.
            seed: Seed of the search.
            purpose: Names the random draws, for example ``("fold", 3)``: head kernels and dropout depend on it and on
                the seed alone.
            head_init: Start of the last layer's kernel, "glorot" or "zeros"; its bias starts from zero.

        Raises:
            ValueError: If the start is unknown.
        """
        zeros = keras_initializer(head_init) == "zeros"
        self.restore(self._start)
        for layer_name in ("head_dense", "head_logits") if self._has_hidden_layer else ("head_logits",):
            layer = self.model.get_layer(layer_name)
            layer.l2.assign(configuration.l2)
            kernel = layer.kernel
            limit = math.sqrt(6.0 / sum(kernel.shape))  # Glorot and Bengio 2010, Keras's default for dense layers
            rng = generator(seed, *purpose, layer_name)
            drawn = rng.uniform(-limit, limit, kernel.shape).astype(np.float32)
            kernel.assign(np.zeros_like(drawn) if zeros and layer_name == "head_logits" else drawn)
        if not self._has_hidden_layer:
            return
        dropout = self.model.get_layer("head_dropout")
        dropout.rate.assign(configuration.dropout)
        dropout_state = dropout.seed_generator.state
        dropout_state.assign(generator(seed, *purpose, "dropout").integers(2**31, size=2).astype(dropout_state.dtype))

    def train(
        self,
        bank: BoundaryValues,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        rates: NDArray[np.float32],
        emphasis: ClassEmphasis,
        *,
        backbone_lr_factor: float = 1.0,
    ) -> float:
        """Take one optimizer step a row of ``rows``.

        Args:
            bank: Boundary values, [stored views, ...].
            rows: Which of them make each batch, int64 [steps, batch].
            labels: Class index of each, int64 [steps, batch].
            rates: Learning rate of each step, float32 [steps].
            emphasis: What rare classes weigh in the loss.
            backbone_lr_factor: Factor on the learning rate of the backbone's variables, a run-time value.

        Returns:
            The mean loss, penalty included.
        """
        factors = np.where(self._is_backbone, backbone_lr_factor, 1.0).astype(np.float32)
        group_rates = rates[:, None] * factors
        # Deep boundaries of a whole epoch would not fit the memory at large image sizes: take as many steps a call
        # as do. The arithmetic does not depend on it.
        chunk = max(1, _STEP_BYTES // (math.prod(bank.shape[1:]) * bank.dtype.itemsize * rows.shape[1]))
        with self._arithmetic():
            losses = [
                self._steps.train(
                    bank[rows[start : start + chunk]],
                    labels[start : start + chunk].astype(np.int32),
                    group_rates[start : start + chunk],
                    emphasis,
                )
                for start in range(0, len(rows), chunk)
            ]
        return float(np.concatenate(losses).mean())

    def logits(self, bank: BoundaryValues, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits of stored views in inference mode, float32 [len(rows), classes]."""
        batch = inference_batch(bank.shape[1:])
        with self._arithmetic():
            batches = [self._steps.logits(bank[rows[start : start + batch]]) for start in range(0, len(rows), batch)]
        return np.concatenate(batches)

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        clock, built = time.perf_counter(), self.build_seconds
        yield
        self.arithmetic_seconds += time.perf_counter() - clock - (self.build_seconds - built)

    def state(self) -> State:
        """A copy of everything that training changes."""
        return {name: _array(variable) for name, variable in self._variables.items()}

    def fits(self, state: State) -> bool:
        """Whether a state is of this tail; one of another version of the code may not be."""
        return {name: values.shape for name, values in state.items()} == {
            name: tuple(variable.shape) for name, variable in self._variables.items()
        }

    def restore(self, state: State) -> None:
        """Assign a state back; training goes on to the same bits as where it was taken."""
        for name, variable in self._variables.items():
            variable.assign(state[name])

    @property
    def trained_weights(self) -> dict[str, NDArray[np.float32]]:
        """The tail's backbone variables by their official names."""
        return {name: _array(variable) for name, variable in official_variables(self.tail).items()}

    @property
    def head_weights(self) -> dict[str, list[NDArray[np.float32]]]:
        """Weights of each head layer, in the order in which Keras's own layers of the same name take them."""
        hidden = ("head_input_norm", "head_dense", "head_norm") if self._has_hidden_layer else ()
        # Of a dense layer kernel and bias alone: its third variable is the strength of the penalty.
        return {
            name: self.model.get_layer(name).get_weights()[: None if "norm" in name else 2]
            for name in (*hidden, "head_logits")
        }


def _parameter_groups(model: keras.Model, tail: keras.Model, optimizer: str) -> list[ParameterGroup]:
    """The head's variables, then the backbone's where any train, with an optimizer each."""
    backbone = tail.trainable_variables
    in_backbone = {id(variable) for variable in backbone}
    head = [variable for variable in model.trainable_variables if id(variable) not in in_backbone]
    # Weight decay would pull the pretrained weights to zero: BiT's fine-tuning has none, and their start is not zero.
    groups = [ParameterGroup(_optimizer(optimizer), head)]
    if backbone:
        groups.append(ParameterGroup(_optimizer("adam" if optimizer == "adamw" else optimizer), backbone))
    for group in groups:
        group.optimizer.build(group.variables)
    return groups


def _optimizer(name: str) -> keras.Optimizer:
    built = build_optimizer(name, 0.0)
    return OnePassMomentum.from_config(built.get_config()) if name == "sgd" else built


def _array(variable: keras.Variable) -> NDArray[Any]:
    # A copy: what the backend hands out may be the variable's own memory.
    return np.array(keras.ops.convert_to_numpy(variable.value))


@dataclass(frozen=True)
class TrainedTail:
    """What retraining gives for one seed.

    Attributes:
        backbone: Trained backbone variables by official name; all others are the pretrained ones.
        head: Weights of each head layer, by layer name.
        losses: Mean training loss of each epoch.
    """

    backbone: dict[str, NDArray[np.float32]]
    head: dict[str, list[NDArray[np.float32]]]
    losses: tuple[float, ...]

    @property
    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All weights: "backbone/NAME", and "head/LAYER/POSITION" in the layer's own order."""
        head = {f"head/{name}/{at}": each for name, values in self.head.items() for at, each in enumerate(values)}
        return {**{f"backbone/{name}": values for name, values in self.backbone.items()}, **head}

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the weights."""
        return fingerprint_of(self.arrays)

    def like(self, arrays: Mapping[str, NDArray[Any]], losses: tuple[float, ...]) -> TrainedTail:
        """One with other weights of the same names and shapes.

        Raises:
            ValueError: If they are not.
        """
        found, own = ({name: (a.shape, a.dtype) for name, a in each.items()} for each in (arrays, self.arrays))
        if found != own:
            raise ValueError("not the weights of this tail")
        backbone = {name: arrays[f"backbone/{name}"] for name in self.backbone}
        head = {name: [arrays[f"head/{name}/{at}"] for at in range(len(self.head[name]))] for name in self.head}
        return TrainedTail(backbone, head, losses)
