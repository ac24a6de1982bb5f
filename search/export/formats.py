"""The model in three formats, and each format run as its users run it, for the comparison with Keras.

    keras       the .keras file as it is; run in a process of its own that can't import this package
    savedmodel  a TensorFlow SavedModel; signature ``serving_default`` (also ``serve``) with the input ``image`` and the
                output ``probabilities``
    onnx        an ONNX graph of opset 17, input ``image`` and output ``probabilities``, metadata in the graph's
                properties, too; needs the extra ``onnx`` (tf2onnx and onnx to write, onnxruntime to run)

Input in all: float32 [n, size, size, 1] in 0 … 255, prepared as the metadata say. Output: float32 [n, classes].
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.errors import UserError
from search.export.describe import INPUT_NAME, OUTPUT_NAME
from search.export.metadata import ModelMetadata
from search.export.model import with_fast_norms

Pixels = NDArray[np.float32]
Probabilities = NDArray[np.float32]

ONNX_OPSET = 17
_COUNTED = re.compile(r"__\d+$")
BOUND = 1e-4
"""Largest difference of a probability that other arithmetic may make; roundings of float32 make about 1e-6."""

_ELSEWHERE = """\
import sys
sys.modules.update(dict.fromkeys(("search", "mammo_data", "reports")))  # importing one of them fails
import keras, numpy
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
numpy.save(sys.argv[3], model.predict_on_batch(numpy.load(sys.argv[2])))
"""


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        name: As the command line takes it.
        suffix: Of the file or folder.
        is_folder: Whether it is a folder.
        bound: Largest difference from Keras that is accepted; 0 for the very same file.
        write: Writes a run's .keras file in this format, to a path with the suffix.
        run: Gives the probabilities of prepared images.
    """

    name: str
    suffix: str
    is_folder: bool
    bound: float
    write: Callable[[Path, Path, ModelMetadata], None]
    run: Callable[[Path, Pixels], Probabilities]


def _copy_keras(model_file: Path, path: Path, metadata: ModelMetadata) -> None:
    shutil.copyfile(model_file, path)


def _run_keras_elsewhere(path: Path, images: Pixels) -> Probabilities:
    with tempfile.TemporaryDirectory(prefix="mammo-search-") as folder:
        inputs, outputs = Path(folder, "images.npy"), Path(folder, "probabilities.npy")
        np.save(inputs, images)
        answer = subprocess.run(
            [sys.executable, "-P", "-c", _ELSEWHERE, str(path.absolute()), str(inputs), str(outputs)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        if answer.returncode or not outputs.is_file():
            raise UserError(
                expected=f"{path.name} to open with Keras alone",
                found=(answer.stderr.strip().splitlines() or ["a process that ended without a word"])[-1],
                remedy="Report it with the output of `mammo-search doctor`.",
            )
        probabilities: Probabilities = np.load(outputs, allow_pickle=False)
    return probabilities


def _write_savedmodel(model_file: Path, path: Path, metadata: ModelMetadata) -> None:
    model = keras.saving.load_model(model_file, compile=False, safe_mode=True)
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name=INPUT_NAME)
    archive.add_endpoint(
        "serve", lambda image: {OUTPUT_NAME: model(image, training=False)}, input_signature=[signature]
    )
    # It announces itself on stdout, which belongs to the command's answer.
    with redirect_stdout(sys.stderr):
        archive.write_out(str(path), verbose=False)


def _run_savedmodel(path: Path, images: Pixels) -> Probabilities:
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    return np.asarray(signature(**{INPUT_NAME: tf.constant(images)})[OUTPUT_NAME])


def _write_onnx(model_file: Path, path: Path, metadata: ModelMetadata) -> None:
    with _onnx_extra():
        import onnx
        import tf2onnx  # noqa: F401  (Keras writes ONNX with it)

    # As a reduction the group norms' means cost ONNX Runtime ten times the accuracy; as a product they do not.
    model = with_fast_norms(keras.saving.load_model(model_file, compile=False, safe_mode=True))
    model(np.zeros((1, *model.inputs[0].shape[1:]), np.float32))  # Keras exports only what has been called
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        # Keras looks for np.object, which numpy 2 does not have, to mend tf2onnx.
        warnings.simplefilter("ignore")
        model.export(str(path), format="onnx", opset_version=ONNX_OPSET, verbose=False)
    proto = onnx.load(str(path))
    graph = proto.graph
    _name_in_order(graph)
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    graph.name, graph.doc_string = model.name, ""
    # Without what is only known of the file once it is written.
    later = ("model", "format", "sha256", "verification", "checksum")
    known = {name: value for name, value in metadata.content.items() if name not in later}
    onnx.helper.set_model_props(proto, {"mammo_search": json.dumps(known)})
    onnx.checker.check_model(proto)
    onnx.save(proto, str(path))


def _name_in_order(graph: Any) -> None:
    """Names in the order of use; the output has its own. tf2onnx counts sets, and gives merged constants any name."""
    constants = {constant.name: constant for constant in graph.initializer}
    names = {graph.output[0].name: OUTPUT_NAME}
    for number, node in enumerate(graph.node):
        node.name = f"{_COUNTED.sub('', node.name)}__{number}"
        for place, each in enumerate(node.input):
            if each in constants:
                names.setdefault(each, f"{node.name}/{place}")
        for place, each in enumerate(node.output):
            names.setdefault(each, f"{node.name}:{place}")
        for each in (node.input, node.output):
            each[:] = [names.get(name, name) for name in each]
    used = [constants[name] for name in names if name in constants]
    for constant in used:
        constant.name = names[constant.name]
    graph.ClearField("initializer")
    graph.initializer.extend(used)
    graph.ClearField("value_info")
    graph.output[0].name = OUTPUT_NAME


def _run_onnx(path: Path, images: Pixels) -> Probabilities:
    with _onnx_extra():
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT_NAME], {INPUT_NAME: images})[0])


@contextmanager
def _onnx_extra() -> Iterator[None]:
    """The import of an optional package: its warnings are dropped, its absence is told in one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise UserError(
            expected="the packages that --format onnx needs",
            found=str(error),
            remedy="Install the extra: pip install 'mammo-search[onnx]'.",
        ) from None


FORMATS: Mapping[str, ExportFormat] = {
    kind.name: kind
    for kind in (
        ExportFormat("keras", ".keras", False, 0.0, _copy_keras, _run_keras_elsewhere),
        ExportFormat("savedmodel", ".savedmodel", True, BOUND, _write_savedmodel, _run_savedmodel),
        ExportFormat("onnx", ".onnx", False, BOUND, _write_onnx, _run_onnx),
    )
}
