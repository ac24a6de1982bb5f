"""Libraries below the program, and the device that they compute on: start, what native code writes, versions, names."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO

from search.errors import UserError
from search.machine.environment import (
    FOR_TENSORFLOW,
    RAISE_LIMIT,
    cores,
    require_address_space,
    settle_libraries,
)

PACKAGES = (
    *("mammo-search", "tensorflow", "keras", "keras-tuner", "tensorflow-hub"),
    *("opencv-python-headless", "scikit-learn", "numpy", "pandas"),
)


@contextmanager
def library_noise_in(path: Path) -> Iterator[TextIO]:
    """Send what native libraries write to file descriptor 2 into a file, and give the terminal's own stderr.

    TensorFlow's C++ code logs before any of its settings are read; the descriptor is the only place to catch it.
    Nothing is thrown away: the file is the run's log.

    Args:
        path: The log file; it is appended to.

    Yields:
        A text stream on what stderr was, for the program's own messages.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    saved = os.dup(2)
    previous = sys.stderr
    encoding = getattr(previous, "encoding", None) or "utf-8"
    with (
        path.open("ab") as log,
        os.fdopen(saved, "w", encoding=encoding, errors="backslashreplace", closefd=False, buffering=1) as terminal,
    ):
        os.dup2(log.fileno(), 2)
        # Python's own stderr (warnings, tracebacks of threads) follows the descriptor unless a test replaced it.
        try:
            yield terminal if _is_descriptor_2(previous) else previous
        finally:
            try:
                previous.flush()
            finally:  # a full disk must not take the terminal away, which is about to be told of it
                os.dup2(saved, 2)
    os.close(saved)


@contextmanager
def quiet_libraries() -> Iterator[TextIO]:
    """`library_noise_in` for commands without a log: what native libraries write is dropped.

    What they report of failures comes as an exception; ``--debug`` lets the rest through, too.

    Yields:
        A text stream on what stderr was.
    """
    if "--debug" in sys.argv[1:]:
        yield sys.stderr
        return
    with library_noise_in(Path(os.devnull)) as terminal:
        yield terminal


@cache
def loaded_before() -> bool:
    """Whether TensorFlow was loaded in this process before this program first asked for it."""
    return "tensorflow" in sys.modules


@dataclass(frozen=True)
class Arithmetic:
    """What bits on a CPU depend on beside its model and the libraries' versions; on the cores used they never do.

    Attributes:
        threads: Of an operation; oneDNN and Eigen divide some sums among them.
        onednn: Whether oneDNN computes convolutions and products, else Eigen.
    """

    threads: int
    onednn: bool = True


def start_tensorflow(*, deterministic: bool, arithmetic: Arithmetic | None = None) -> None:
    """Import TensorFlow quietly and set what has to be set before the first operation.

    Args:
        deterministic: Ask for operations whose result does not depend on the order of threads.
        arithmetic: What to compute with; without it a thread a core, and oneDNN unless TensorFlow was loaded without.

    Raises:
        UserError: TensorFlow can't be loaded here, or something in this process has started it otherwise.
    """
    loaded_before()
    # Info and warnings of the C++ runtime, for what is logged after its start.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    settle_libraries(onednn=arithmetic is None or arithmetic.onednn)
    require_address_space(FOR_TENSORFLOW, "TensorFlow")
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise _cannot_load(error) from error
    if keras.config.backend() != "tensorflow":
        raise UserError(
            expected="Keras on TensorFlow",
            found=f"Keras on {keras.config.backend()}, imported before this program could choose",
            remedy="Set KERAS_BACKEND=tensorflow before anything imports Keras.",
        )
    # ~/.keras/keras.json is another project's: these are Keras's own defaults.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    tf.get_logger().setLevel("ERROR")
    # float32 means float32; a GPU would round it to ten bits in products.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if arithmetic is not None:
        if arithmetic.threads != arithmetic_here().threads:
            with suppress(RuntimeError):  # it has begun to compute: told below
                tf.config.threading.set_intra_op_parallelism_threads(arithmetic.threads)
        if arithmetic != arithmetic_here():
            raise UserError(
                expected=f"TensorFlow {_in_words(arithmetic)}, as the run began, for bits depend on it",
                found=f"{_in_words(arithmetic_here())}, which this process has begun with",
                remedy="Go on in a new process, before anything else in it uses TensorFlow; if it has the same there, "
                "on a machine like the one that the run began on.",
            )
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def arithmetic_here() -> Arithmetic:
    """What this process computes with on its CPU; starts TensorFlow."""
    import tensorflow as tf
    from tensorflow.python.util import _pywrap_util_port  # there is no public way to ask

    threads = tf.config.threading.get_intra_op_parallelism_threads() or cores()
    return Arithmetic(threads, bool(_pywrap_util_port.IsMklEnabled()))


def _in_words(arithmetic: Arithmetic) -> str:
    return f"with {arithmetic.threads} threads{'' if arithmetic.onednn else ' and without oneDNN'}"


def _cannot_load(error: ImportError) -> UserError:
    """What the loader says where a limit of memory (ulimit -v, a batch system's) is too small for the library."""
    text = " ".join(str(error).split())
    if any(words in text for words in ("failed to map segment", "annot allocate memory", "cannot create")):
        return UserError(expected="room in memory for TensorFlow", found=text[:200], remedy=RAISE_LIMIT)
    return UserError(expected="TensorFlow to load", found=text[:200], remedy="Install mammo-search again, or: uv sync.")


def versions() -> dict[str, str]:
    """Python's and the packages' versions, "" where one is not installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = ""
    return found


def git_commit() -> str | None:
    """Commit of the source tree that the program runs from, None outside one."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def device_description() -> str:
    """What this process computes on, in words; starts TensorFlow.

    Of several GPUs that it sees it uses the first, so that is the one that is named.
    """
    import tensorflow as tf

    if visible := tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(visible[0]).get("device_name", "GPU"))
    there = os.cpu_count()
    return f"CPU ({there} core{'s' if there != 1 else ''})"


def arithmetic_in_words() -> str:
    """What frozen features are computed with, for another library or kind of device gives other bits: "tensorflow
    2.21.0, keras 3.15.1, CPU with 2 threads", for a GPU its model and the versions of CUDA and cuDNN."""
    here, device = versions(), device_description()
    is_cpu = device.startswith("CPU")
    kind = f"CPU {_in_words(arithmetic_here())}" if is_cpu else f"{device}, {_gpu_libraries()}"
    return f"tensorflow {here['tensorflow']}, keras {here['keras']}, {kind}"


def _gpu_libraries() -> str:
    import tensorflow as tf

    built = tf.sysconfig.get_build_info()
    return f"CUDA {built.get('cuda_version', '?')}, cuDNN {built.get('cudnn_version', '?')}"


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as far as the system tells it.

    Some hypervisors call several processors "AMD EPYC": such a name is followed by the family and model number.

    Args:
        cpuinfo: What the processor announces.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model = told.get("model name", "")
    if model and not any(letter.isdigit() for letter in model) and "model" in told:
        model = f"{model} (family {told.get('cpu family')}, model {told['model']})"
    return model or platform.processor() or platform.machine()


def _is_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError, AttributeError):
        return False
