"""Are these the published weights, and does our graph compute what the published module computes?

The first question is answered tensor by tensor with the checksums of the published BiT-M-R50x1
(`bit_checksums.json`), the second by running the SavedModel's own forward pass beside ours.

Is a SavedModel's forward pass arithmetic alone? Asked of the file, before TensorFlow opens it.

A SavedModel is a program: its graph may write and delete files, and TensorFlow runs some of it on loading. Operations
that have an effect are stateful in TensorFlow's registry; of those only the ones that a network needs are let through,
and what is in no registry is not run either. The operations that save a checkpoint stand in every SavedModel, outside
of what loading and calling it reach.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from search.bit.architecture import R50X1, BitArchitecture
from search.bit.family import DEFAULT_BACKBONE
from search.errors import WeightsError

# Two float32 implementations of the same network differ by about 1e-5; two exchanged kernels by more than 1.
FORWARD_AGREEMENT = 1e-4
_PROOF_SIDE = 224
_VARIABLES_AND_CALLS = {
    "AssignVariableOp",
    "Placeholder",
    "ReadVariableOp",
    "StatefulPartitionedCall",
    "VarHandleOp",
    "VarIsInitializedOp",
}


@dataclass(frozen=True)
class Verification:
    """Outcome of comparing weights with the published BiT-M-R50x1.

    Args:
        genuine: True if all tensors are the published ones, False if some differ, None if there is nothing to compare.
        differing: Official names of the tensors that differ, in the order of the forward pass.
        n_tensors: How many were compared.
        asked_for: Name of the other backbone that genuine BiT-M-R50x1 tensors were given for, "" if none was.
    """

    genuine: bool | None
    differing: tuple[str, ...] = ()
    n_tensors: int = 0
    asked_for: str = ""

    @property
    def text(self) -> str:
        """The outcome in one line."""
        if self.asked_for:
            return f"warning: these are the genuine BiT-M-R50x1, not {self.asked_for}"
        if self.genuine is None:
            return "not verified: no published checksums for these weights"
        if self.genuine:
            return "verified: genuine BiT-M-R50x1"
        some = f"{len(self.differing)} of {self.n_tensors} tensors differ: {', '.join(self.differing)}"
        which = f"all {self.n_tensors} tensors differ" if len(self.differing) == self.n_tensors else some
        return f"warning: not the genuine BiT-M-R50x1, {which}"


def published_checksums() -> dict[str, int]:
    """Official name to CRC-32C of the little-endian float32 bytes, of the headless `bit/m-r50x1/1` module."""
    text = resources.files("search.bit").joinpath("checksums.json").read_text(encoding="utf-8")
    return {entry["name"]: int(entry["crc32c"], 16) for entry in json.loads(text)["variables"]}


def verify(
    arrays: Mapping[str, np.ndarray], arch: BitArchitecture, published: Mapping[str, int] | None = None
) -> Verification:
    """Compare weights with the published BiT-M-R50x1, tensor by tensor.

    Args:
        arrays: Official name to float32 array.
        arch: Their architecture; only R50x1 has published checksums.
        published: Official name to CRC-32C, those of BiT-M-R50x1 if None.
    """
    if published is None:
        if arch != R50X1:
            return Verification(None)
        published = published_checksums()
    import google_crc32c

    differing = tuple(
        name
        for name, array in arrays.items()
        if google_crc32c.value(np.ascontiguousarray(array, dtype="<f4").tobytes()) != published[name]
    )
    return Verification(not differing, differing, len(published))


def verify_backbone(name: str, arrays: Mapping[str, np.ndarray], arch: BitArchitecture) -> Verification:
    """Are these the weights of the backbone of that name?

    Args:
        name: As in `search.bit.family`; checksums are known of BiT-M-R50x1 alone.
        arrays: Official name to float32 array.
        arch: Their architecture.
    """
    outcome = verify(arrays, arch)
    if name == DEFAULT_BACKBONE:
        return outcome
    return Verification(None, asked_for=name if outcome.genuine else "")


@dataclass(frozen=True)
class PublishedForward:
    """A SavedModel's own features of a fixed input, to hold candidates against.

    Args:
        images: float32 [1, 224, 224, 3] in [0, 1], the range that TF-Hub modules take.
        features: float32 [1, n_features].
    """

    images: np.ndarray
    features: np.ndarray

    def deviation(self, arrays: Mapping[str, np.ndarray], arch: BitArchitecture) -> float:
        """Largest absolute difference of our features of 2x − 1 from the module's features of x."""
        from search.bit.backbone import assign_official, build_backbone

        backbone = build_backbone(arch, _PROOF_SIDE)
        assign_official(backbone, arrays)
        ours = np.asarray(backbone(2 * self.images - 1))
        if ours.shape != self.features.shape:
            return float("inf")
        difference = float(np.abs(ours - self.features).max())
        return difference if np.isfinite(difference) else float("inf")


def published_forward(directory: Path) -> PublishedForward | None:
    """Run a SavedModel's forward pass on a fixed input.

    Args:
        directory: Folder of the SavedModel.

    Returns:
        Input and features, or None if the model has no forward pass that takes one batch of images.

    Raises:
        WeightsError: If the model does more than compute.
    """
    import tensorflow as tf

    require_arithmetic(directory)
    images = np.random.default_rng(224).uniform(0, 1, (1, _PROOF_SIDE, _PROOF_SIDE, 3)).astype(np.float32)
    module = tf.saved_model.load(str(directory))
    try:
        result = _call(module, tf.constant(images))
    except (tf.errors.OpError, TypeError, ValueError, KeyError):
        return None
    outputs = [np.asarray(value) for value in tf.nest.flatten(result)]
    features = [value.reshape(1, -1) for value in outputs if value.size == value.shape[-1]]
    return PublishedForward(images, features[0]) if len(features) == 1 else None


def _call(module: Any, images: Any) -> Any:
    if callable(module):
        return module(images)
    signature = module.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    return signature(**{name: images})


def require_arithmetic(directory: Path) -> None:
    """Refuse a module that does more than compute.

    Args:
        directory: Folder of the SavedModel.

    Raises:
        WeightsError: If it can't be read, is of TensorFlow 1, or reaches an operation that is none of a network's.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import op_def_registry

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((directory / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise _refused(directory, f"a saved_model.pb that can't be read ({type(error).__name__})") from None
    for graph in model.meta_graphs:
        if not graph.HasField("object_graph_def"):
            raise _refused(directory, "a graph of TensorFlow 1, which runs as a whole when it is opened")
        functions = {function.signature.name: function for function in graph.graph_def.library.function}
        waiting, seen = list(graph.object_graph_def.concrete_functions), set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in functions:
                continue
            seen.add(name)
            for node in functions[name].node_def:
                definition = op_def_registry.get(node.op)
                pure = definition is not None and not definition.is_stateful
                if not pure and node.op not in functions and node.op not in _VARIABLES_AND_CALLS:
                    raise _refused(directory, f"the operation {node.op}")
                waiting.append(node.op)
                for value in node.attr.values():
                    waiting += [value.func.name, *(function.name for function in value.list.func)]


def _refused(directory: Path, found: str) -> WeightsError:
    return WeightsError(
        expected=f"a SavedModel that only computes in {directory}",
        found=found,
        remedy="Use TF-Hub's own module, or weights as .npz or .safetensors, which hold no program.",
    )
