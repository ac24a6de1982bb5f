"""A run's model written in some format: it has its name only after it was compared with Keras."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammo_data import DataError, PreparedSet, Split, decode_grey, open_source, standardise, write_phantom
from search.config.reading import load_config
from search.config.schema import cache_directory
from search.errors import ConfigError, RunError
from search.export.describe import describe_run
from search.export.formats import BOUND, FORMATS, ExportFormat, Pixels, Probabilities
from search.export.metadata import ModelMetadata, finished_model, metadata_file, read_metadata
from search.export.model import load_exported
from search.files.atomic import replacing, replacing_folder
from search.run_folder.directory import RunDirectory
from search.run_folder.lock import owned

_CASES = 16


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        path: The file or folder.
        format: Its format's name.
        metadata: The JSON file beside it.
        verification: What the metadata say about the comparison: cases (images that it was compared on), images (which
            those were), largest_difference (of a probability, from Keras in this process), bound (what was accepted).
        against: What it was compared with, in words.
    """

    path: Path
    format: str
    metadata: Path
    verification: dict[str, Any]
    against: str = "Keras"

    def as_json(self) -> dict[str, Any]:
        """The answer as a JSON-able dict."""
        files = {"model": str(self.path), "metadata": str(self.metadata)}
        return {**files, "format": self.format, "verification": self.verification}


@dataclass(frozen=True)
class Source:
    """A model to export.

    Attributes:
        file: Its .keras file.
        metadata: What is known of it.
        usual: Where its .keras file lies in the run, or would.
        own: What it has to say of images, float32 [n, size, size, 1], where that is known otherwise than by Keras from
            the file: float32 [n, classes].
        against: What an export is compared with, in a word.
    """

    file: Path
    metadata: ModelMetadata
    usual: Path
    own: Callable[[Pixels], Probabilities] | None = None
    against: str = "Keras"

    @property
    def bound(self) -> float:
        """Largest difference of a probability that is not the format's."""
        return 0.0 if self.own is None else BOUND

    def expected(self, images: Pixels) -> Probabilities:
        """The probabilities that an export has to give, float32 [n, classes]."""
        if self.own is not None:
            return self.own(images)
        return np.asarray(load_exported(self.file).predict_on_batch(images))


def export_run(
    run: RunDirectory, format: str, out: Path | None = None, *, say: Callable[[str], None] = lambda text: None
) -> Exported:
    """Write a complete run's model, compare it with Keras, and put its metadata beside it.

    Args:
        run: The run.
        format: "keras", "savedmodel" or "onnx".
        out: Where to; a folder that is there (and no export) takes the usual name in it. By default into the run's
            best/, where the .keras file is already and is only compared.
        say: Told what is done.

    Raises:
        RunError: If the run is not complete, or the export differs from Keras by more than the format's bound;
            nothing is left behind then. Or if it goes into the run's folder and another process is at work there.
        ConfigError: If ``out`` is taken by something that is no export.
        UserError: If a package that the format needs is not installed.
    """
    model_file = finished_model(run)
    return write_export(run, Source(model_file, run_metadata(run), model_file), format, out, say=say)


def run_metadata(run: RunDirectory) -> ModelMetadata:
    """The metadata of a complete run's own model, as they lie beside it, or from its files.

    Raises:
        RunError: If they are damaged.
    """
    return read_metadata(run.model_file) if metadata_file(run.model_file).is_file() else describe_run(run)


def write_export(
    run: RunDirectory,
    source: Source,
    format: str,
    out: Path | None = None,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Exported:
    """`export_run` of any model of a run.

    Args:
        run: The run.
        source: The model.
        format: "keras", "savedmodel" or "onnx".
        out: Where to, as for `export_run`.
        say: Told what is done.
    """
    kind, model_file, metadata = FORMATS[format], source.file, source.metadata
    target = export_target(source.usual, format, out)
    say(f"comparing with {source.against} on {_CASES} images")
    images, described = comparison_images(run, metadata)
    expected = source.expected(images)
    kind = replace(kind, bound=max(kind.bound, source.bound))
    if target == model_file:
        difference = _difference(kind, target, images, expected, source.against)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        replacement = replacing_folder if kind.is_folder else replacing
        # The owner of a run's folder clears away what killed ones have left, which may be large here.
        owner = owned(run.path) if target.resolve().is_relative_to(run.path.resolve()) else nullcontext()
        with owner, replacement(target) as temporary:
            kind.write(model_file, temporary, metadata)
            difference = _difference(kind, temporary, images, expected, source.against)
    found = {"cases": len(images), "images": described, "largest_difference": difference, "bound": kind.bound}
    if target != model_file:
        metadata.write(target, format=kind.name, verification=found)
    elif not metadata_file(target).is_file():
        metadata.write(target, format=kind.name, verification=None)
    return Exported(target, kind.name, metadata_file(target), found, source.against)


def comparison_images(run: RunDirectory, metadata: ModelMetadata) -> tuple[NDArray[np.float32], str]:
    """Prepared images to compare exports on, float32 [16, size, size, 1], and which they are.

    Images of development patients where the run's prepared set is still in the cache; the held-out ones stay unread.
    Otherwise synthetic films, prepared in the same way.
    """
    prepared, described = _prepared_development(run, metadata), "images of development patients"
    if prepared is None:
        prepared, described = _synthetic(metadata), "synthetic films"
    return prepared[..., None].astype(np.float32), described


def _prepared_development(run: RunDirectory, metadata: ModelMetadata) -> NDArray[np.uint8] | None:
    if metadata.mode != "whole":
        return None
    fingerprint = metadata.read.fingerprints.get("prepared", "")
    try:
        cache = cache_directory(load_config(run.check_output(run.config_file)))
        prepared = PreparedSet.load(cache / "prepared" / f"prepared-{fingerprint[:16]}")
        rows = Split.read_csv(run.check_output(run.split_file)).development_rows(prepared.table)
    except DataError:
        return None
    if prepared.fingerprint != fingerprint or len(rows) < _CASES:
        return None
    # Spread over the set, so that both sides and all classes are among them.
    return np.asarray(prepared.images[rows[np.linspace(0, len(rows) - 1, _CASES).round().astype(int)]])


def _synthetic(metadata: ModelMetadata) -> NDArray[np.uint8]:
    with tempfile.TemporaryDirectory(prefix="mammo-search-") as folder:
        source = open_source(write_phantom(Path(folder, "images"), patients=_CASES // 2, image_size=512))
        return np.stack(
            [standardise(decode_grey(data, name), (), metadata.preparation)[0] for name, data in source.stream()]
        )


def export_target(usual: Path, format: str, out: Path | None) -> Path:
    """Where an export goes.

    Args:
        usual: Where the model's .keras file lies, or would.
        format: "keras", "savedmodel" or "onnx".
        out: Where the user wants it; None for the usual place.

    Raises:
        ConfigError: If ``out`` is taken by something that is no export.
    """
    kind = FORMATS[format]
    usual = usual.with_suffix(kind.suffix)
    if out is None:
        return usual
    is_export = metadata_file(out).is_file() and (out / "saved_model.pb").is_file()
    is_place = (out.is_dir() and not (kind.is_folder and is_export)) or not (out.suffix or kind.is_folder)
    target = out / usual.name if is_place else out
    if not kind.is_folder and target.suffix != kind.suffix:
        raise ConfigError(
            expected=f"--out with the suffix {kind.suffix}", found=str(out), remedy=f"Name it {usual.name}, say."
        )
    if target.exists() and target.is_dir() != kind.is_folder:
        raise ConfigError(
            expected=f"{target} to be free or an older export", found="something else there", remedy="Change --out."
        )
    return target


def _difference(kind: ExportFormat, path: Path, images: Pixels, expected: Probabilities, against: str) -> float:
    found = kind.run(path, images)
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
    if not difference <= kind.bound:
        raise RunError(
            expected=f"probabilities within {kind.bound:g} of {against}'s on {len(images)} images",
            found=f"a difference of {difference:.3g} in the {kind.name} export",
            remedy="Nothing was kept; report it with the output of `mammo-search doctor`.",
        )
    return difference
