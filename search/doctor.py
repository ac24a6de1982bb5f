"""The examination of a machine: what a run needs of it, looked at one by one, with what to do about each lack."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mammo_data import DataError, load_cases, open_source
from mammo_data.truth.mias import claims_to_be_mias, known_checksums
from search.bit.carried import load_weights
from search.bit.family import architecture_of, verify_backbone
from search.bit.precision import has_bfloat16_instructions
from search.bit.resolve import stored_paths
from search.bit.sources import cache_directory as weights_cache
from search.bit.weights import SUFFIX
from search.config.schema import Config, cache_directory
from search.errors import UserError
from search.machine.environment import stand_in_home
from search.machine.failures import nearest_folder
from search.machine.libraries import device_description, start_tensorflow, versions
from search.machine.places import Gpu, gpus
from search.plan.device_memory import MemoryDemand, describe_peaks, expected_peaks, what_fits
from search.text import size_text

# Banks of all default depths at 448 px, checkpoints and the imported weights together stay below this.
COMFORTABLE_FREE_BYTES = 10 * 2**30
# The weights as they come and as they are stored, prepared images, and the models of a run that keeps no bank.
NEEDED_FREE_BYTES = 2**30

EXTRAS = {
    "dicom": (("pydicom", "gdcm", "pylibjpeg", "openjpeg", "jpeg_ls"), "DICOM films"),
    "onnx": (("tf2onnx", "onnx", "onnxruntime"), "export --format onnx"),
    "plots": (("optuna",), "importances, --export-optuna"),
    "cluster": (("ray",), "run --ray-address"),
}
"""Extra to its modules, and what they are for."""

COMPRESSIONS = {
    "run lengths": "RLELossless",
    "JPEG": "JPEGBaseline8Bit",
    "lossless JPEG": "JPEGLosslessSV1",
    "JPEG-LS": "JPEGLSLossless",
    "JPEG 2000": "JPEG2000Lossless",
    "HTJ2K": "HTJ2KLossless",
}
"""What archives send, to the name of its transfer syntax in pydicom."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        subject: What.
        state: "ok", "note" (works, but worth knowing) or "lack" (a run on real data will not work).
        found: What is there.
        remedy: What to do about it, "" if nothing.
    """

    subject: str
    state: str
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def examine(config: Config) -> tuple[Check, ...]:
    """Look at everything that a run with this configuration would need; nothing is changed, downloaded or built."""

    cache = cache_directory(config)
    return (
        *_versions(),
        *_extras(),
        *_decoders(),
        _devices(),
        examine_memory(config, gpus()),
        _home(),
        _folder("weights cache", weights_cache()),
        _folder("images and banks", cache),
        *_hub_cache(),
        examine_weights(config.backbone.weights, config.backbone.name, weights_cache()),
        examine_data(config.data.path, config.data.info, config.data.classes),
        *examine_disks(config.output.runs, cache),
    )


def examine_memory(config: Config, listed: Sequence[Gpu]) -> Check:
    """What training is expected to need of the device's memory, beside what the smallest GPU has.

    Args:
        config: The configuration.
        listed: GPUs of this machine; without any nothing is lacking.
    """
    demand = MemoryDemand.of(config)
    peaks = describe_peaks(expected_peaks(config, demand.precision))
    found = f"{peaks} while training at {config.preparation.image_size} px"
    if not listed:
        return Check("device memory", "ok", found)
    least = min(gpu.memory_bytes for gpu in listed)
    found += f", of {size_text(least)}"
    if room := demand.room_for_banks(least):
        found += f"; banks of up to {size_text(room)} are kept there"
    if (change := what_fits(config, least, demand.precision)) is None:
        return Check("device memory", "ok", found)
    return Check("device memory", "note", found, f"Expected to fit: {change}")


def examine_weights(weights: str, backbone: str, cache: Path) -> Check:
    """Whether the weights are there, and genuine, tensor by tensor: no file is taken at its word.

    Args:
        weights: As for `search.bit.resolve.backbone_weights`; nothing is downloaded.
        backbone: A name of `search.bit.family`.
        cache: Where imported weights are kept.
    """

    if weights == "random":
        return Check("weights", "note", "random: nothing pretrained will be used", "Name BiT's with --weights auto.")
    arch, checks = architecture_of(backbone), list[Check]()
    try:
        stored = stored_paths(backbone, weights, cache)
    except UserError as error:
        return Check("weights", "lack", error.found, error.remedy)
    for file in filter(Path.exists, stored):
        try:
            verification = verify_backbone(backbone, load_weights(file, arch).arrays, arch)
        except UserError as error:
            checks.append(Check("weights", "lack", error.found, error.remedy))
            continue
        text = f"{file}; {verification.text}"
        if verification.genuine is not False and not verification.asked_for:
            return Check("weights", "ok", text)
        checks.append(Check("weights", "note", text, "If the published weights are meant, fetch them again."))
    if checks:
        return checks[0]
    remedy = f"Run: mammo-search weights fetch --backbone {backbone} here, or where there is internet with "
    remedy += f"--output {backbone}{SUFFIX}, carry that file over, and name it with --weights."
    return Check("weights", "lack", f"{weights} for {backbone} is not on this machine", remedy)


def examine_data(data: Path, info: Path | None = None, classes: Sequence[str] = ()) -> Check:
    """Whether the images and their truth table are there, and are the published ones, by their hashes."""

    try:
        source = open_source(data, info, classes)
        table = load_cases(source)
        found = f"{len(source.image_ids)} images of {len(set(table.patient_ids))} women in {data}"
        if source.case_table is not None or not claims_to_be_mias(table.image_ids, source.info_text):
            return Check("data", "ok", f"{found}; not MIAS, so there are no hashes to compare with")
        known = known_checksums()
        genuine = sum(known[f"{image_id}.pgm"] == digest for image_id, digest in source.digests.items())
    except DataError as error:
        return Check("data", "lack", error.found, error.remedy)
    if genuine == len(source.image_ids):
        return Check("data", "ok", f"{found}; verified: all genuine MIAS")
    found = f"{found}; {genuine} of them are MIAS's own files, to the bit"
    return Check("data", "note", found, f"See what the others are with: mammo-search data check {data}")


def examine_disks(*folders: Path) -> tuple[Check, ...]:
    """Free space where runs and caches go, one check a disk."""
    checks: dict[int, Check] = {}
    for folder in folders:
        there = nearest_folder(folder)
        free = shutil.disk_usage(there).free
        state = "lack" if free < NEEDED_FREE_BYTES else "note" if free < COMFORTABLE_FREE_BYTES else "ok"
        remedy = "" if state == "ok" else "Make room, or set output.runs and output.cache: banks may take 10 GiB."
        found = f"{size_text(free)} free at {there}"
        if not os.access(there, os.W_OK):
            state, found, remedy = "lack", f"{there} can't be written to", "Set output.runs and output.cache."
        checks.setdefault(there.stat().st_dev, Check("disk", state, found, remedy))
    return tuple(checks.values())


def _versions() -> tuple[Check, ...]:

    return tuple(
        Check(name, "ok", version)
        if version
        else Check(name, "lack", "not installed", "Run: uv sync, or install mammo-search again.")
        for name, version in versions().items()
    )


def _extras() -> tuple[Check, ...]:
    checks = []
    for extra, (modules, purpose) in EXTRAS.items():
        lacking = [module for module in modules if find_spec(module) is None]
        found = f"{', '.join(lacking)} not installed" if lacking else "installed"
        remedy = f"If you need it: uv sync --extra {extra}, or pip install 'mammo-search[{extra}]'." if lacking else ""
        checks.append(Check(f"extra {extra}", "note" if lacking else "ok", f"{found}; for {purpose}", remedy))
    return tuple(checks)


def _decoders() -> tuple[Check, ...]:
    """What DICOM films may be compressed with, by what can be loaded here; nothing without pydicom."""
    try:
        from pydicom import pixels, uid
    except ImportError:
        return ()
    with warnings.catch_warnings(action="ignore"):  # of the types that gdcm's wrapper makes
        there = {name: pixels.get_decoder(getattr(uid, syntax)).is_available for name, syntax in COMPRESSIONS.items()}
    readable = ", ".join(name for name in there if there[name])
    if all(there.values()):
        return (Check("decoders", "ok", f"of DICOM films: {readable}"),)
    lacking = ", ".join(name for name in there if not there[name])
    remedy = "Such films need: uv sync --extra dicom, or pip install 'mammo-search[dicom]'."
    return (Check("decoders", "note", f"of DICOM films: {readable or 'none'}; lacking: {lacking}", remedy),)


def _devices() -> Check:

    start_tensorflow(deterministic=False)
    import tensorflow as tf

    device, listed = device_description(), gpus()
    there = ", ".join(f"GPU {gpu.number} {gpu.name} with {size_text(gpu.memory_bytes)}" for gpu in listed)
    if not device.startswith("CPU"):
        return Check("devices", "ok", there or device)
    tiles = ", bfloat16" if has_bfloat16_instructions() else ""
    if not (listed or shutil.which("nvidia-smi") or Path("/dev/nvidiactl").exists()):
        return Check("devices", "ok", f"{device}{tiles}; no GPU")
    reason, remedy = unseen_gpu(
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        listed=bool(listed),
        with_cuda=tf.test.is_built_with_cuda(),
        libraries=any(name.startswith("nvidia-cudnn") for name in packages_distributions().get("nvidia", ())),
    )
    return Check("devices", "note", f"{device}{tiles}; TensorFlow does not see {there or 'the GPU'}: {reason}", remedy)


def unseen_gpu(visible: str | None, *, listed: bool, with_cuda: bool, libraries: bool) -> tuple[str, str]:
    """Why TensorFlow does not see a GPU that seems to be there, and what to do.

    Args:
        visible: CUDA_VISIBLE_DEVICES, None where it is not set.
        listed: Whether nvidia-smi lists one.
        with_cuda: Whether TensorFlow is built with CUDA.
        libraries: Whether the extra's libraries of CUDA are installed.
    """
    if visible is not None and not listed:
        return f"CUDA_VISIBLE_DEVICES is {visible!r}", "Unset it, or name the GPU's number."
    if not listed:
        return "nvidia-smi lists none", "Load NVIDIA's driver; start a container with --gpus all."
    if not with_cuda:
        return "it is built without CUDA", "Install TensorFlow for Linux on x86-64: other builds have no GPU."
    if not libraries:
        return "CUDA's libraries are not installed", "Run: uv sync --extra gpu, or pip install 'mammo-search[gpu]'."
    return "its driver may be too old for these libraries", "Update NVIDIA's driver; nvidia-smi says which CUDA it has."


def _home() -> Check:
    home = Path.home()
    if home == stand_in_home():
        return Check("home", "note", f"none is known, {home} stands in for it", "Set HOME to a folder that stays.")
    return Check("home", "ok", str(home))


def _folder(subject: str, folder: Path) -> Check:
    """Where something is kept, how much, and whether more can be."""
    there = nearest_folder(folder)
    if not os.access(there, os.W_OK):
        remedy = "Change its permissions, or set XDG_CACHE_HOME (images and banks: output.cache) to another folder."
        return Check(subject, "lack", f"{there} may not be written to", remedy)
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    return Check(subject, "ok", f"{folder} ({size_text(held) if held else 'empty'})")


def _hub_cache() -> tuple[Check, ...]:
    folder = os.environ.get("TFHUB_CACHE_DIR")
    return (Check("TF-Hub cache", "ok", f"{folder} (TFHUB_CACHE_DIR)"),) if folder else ()
