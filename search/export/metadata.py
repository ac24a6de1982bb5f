"""The metadata of an exported model: the JSON file beside it, which says all that its users have to know.

It is called like the export with ``.json`` after it, for example ``bit_mammography_final.keras.json``. Schema 1:

    schema            1
    model, format     name of the file or folder it belongs to; "keras", "savedmodel" or "onnx"
    sha256            of that file; of a folder, of its files' names and checksums (`content_checksum`)
    use               what it may be used for, in a sentence
    demo              whether it was trained on synthetic images
    input             name, dtype, shape (null: any number of images), range, mode ("whole" or "roi"), meaning
    preparation       settings of `mammo_data.preparation.standardise` (image_size, crop, remove_labels, clahe,
                      clahe_limit), and in words orientation and placement
    output            name, dtype, class_names (from harmless to worst)
    calibration       temperature, log_prior_shift (one a class), cases, formula; null where none could be fitted
    operating_points  list of endpoint, classes (their calibrated probabilities are added up), target_specificity,
                      threshold (positive from there on; null: never); chosen on out-of-fold scores of development
    fingerprints      of the run: prepared, cases, split, weights; SHA-256 hex
    run               name, created, seeds, versions, git
    licence           code, weights, data
    development       digests of what the model has seen: patients (of ids), images (of prepared pixels); 16 hex digits
    held_out          the same of those that its run has set aside and evaluated it on
    verification      cases, images (which), largest_difference, bound; null for a run's own .keras file
    checksum          SHA-256 hex of all the rest as JSON with sorted keys: a temperature with a bit flipped is one, too
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mammo_data.preparation.settings import PreparationSettings
from reports.evaluation.operating_points import OperatingThreshold
from reports.evaluation.probabilities import SMALLEST_PROBABILITY, ProbabilityCorrection
from search.errors import RunError
from search.files.atomic import write_atomic
from search.files.digests import content_checksum, json_checksum
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import find_run

SCHEMA = 1
RESEARCH_USE = "Research use only: not a medical device, and no statement about anybody's health."


@dataclass(frozen=True)
class ModelMetadata:
    """The content of the JSON file.

    Attributes:
        content: As the module's docstring lists it.
    """

    content: Mapping[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Ordered class names."""
        return tuple(self.content["output"]["class_names"])

    @property
    def image_size(self) -> int:
        """Side of the prepared images in pixels."""
        return int(self.content["preparation"]["image_size"])

    @property
    def mode(self) -> str:
        """ "whole" or "roi"."""
        return str(self.content["input"]["mode"])

    @property
    def preparation(self) -> PreparationSettings:
        """How films have to be prepared."""
        names = ("image_size", "crop", "remove_labels", "clahe", "clahe_limit")
        return PreparationSettings(**{name: self.content["preparation"][name] for name in names})

    @property
    def correction(self) -> ProbabilityCorrection | None:
        """From the model's probabilities to calibrated ones; None where it could not be fitted."""
        section = self.content["calibration"]
        if section is None:
            return None
        return ProbabilityCorrection(section["temperature"], tuple(section["log_prior_shift"]), section["cases"])

    @property
    def thresholds(self) -> tuple[OperatingThreshold, ...]:
        """The operating points."""
        points = self.content["operating_points"]
        return tuple(OperatingThreshold(**{**point, "classes": tuple(point["classes"])}) for point in points)

    def known(self, what: Literal["patients", "images"]) -> frozenset[str]:
        """Digests of all patients of the model's run, those of its development and the held-out ones, or of their
        prepared images; empty where they are not known."""
        return frozenset([*self.content["development"][what], *self.content.get("held_out", {}).get(what, ())])

    def require_complete(self) -> None:
        """Read everything once, so that what is wrong is said now and not in the middle of the work.

        Raises:
            ValueError, KeyError, TypeError: Something is missing or of another kind.
        """
        if self.content["schema"] != SCHEMA:
            raise ValueError(f"schema {self.content['schema']} instead of {SCHEMA}")
        correction, names = self.correction, self.class_names
        if correction is not None and len(correction.log_prior_shift) != len(names):
            raise ValueError(f"{len(correction.log_prior_shift)} prior shifts for {len(names)} classes")
        if any(name not in names for threshold in self.thresholds for name in threshold.classes):
            raise ValueError("an operating point of a class that the model does not have")
        if self.mode not in ("whole", "roi"):
            raise ValueError(f"mode {self.mode}")
        _ = self.preparation, self.known("patients"), self.known("images"), self.content["sha256"]

    def require_whole_images(self) -> None:
        """Refuse a model of crops, which follow places that somebody has marked.

        Raises:
            RunError: If it is one.
        """
        if self.mode != "whole":
            raise RunError(
                expected="a model of whole images",
                found=f"{self.content['model']}, a model of crops around places that somebody has marked",
                remedy="Use a model that was searched with --mode whole.",
            )

    def calibrated(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities, float64 [n, classes], of the model's own."""
        correction = self.correction
        if correction is None:
            return probabilities
        return correction.probabilities(np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)))

    def write(self, export: Path, *, format: str, verification: Mapping[str, Any] | None) -> Path:
        """Write the file beside an export, which has to be there.

        Returns:
            The JSON file.
        """
        content = dict(self.content) | {
            "model": export.name,
            "format": format,
            "sha256": content_checksum(export),
            "verification": verification,
        }
        path = metadata_file(export)
        content["checksum"] = json_checksum(content, without="checksum")
        write_atomic(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
        return path


def metadata_file(export: Path) -> Path:
    """The JSON file of an export."""
    return export.with_name(f"{export.name}.json")


def read_metadata(export: Path) -> ModelMetadata:
    """Read the JSON file beside an export.

    Raises:
        RunError: If it is missing or damaged, or belongs to other content.
    """
    path = metadata_file(export)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        metadata = ModelMetadata(content)
        metadata.require_complete()
        # Files of the first versions have none.
        if content.get("checksum") not in (None, json_checksum(content, without="checksum")):
            raise ValueError("the checksum does not fit")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else f"{type(error).__name__} {error}"
        raise RunError(
            expected=f"what is to be known of the model in {path}",
            found=reason,
            remedy="Keep the JSON file beside the model, or write both again: mammo-search export RUN --out PATH.",
        ) from None
    if content_checksum(export) != content["sha256"]:
        raise RunError(
            expected=f"{export} as it was when {path.name} was written",
            found="other content",
            remedy="Write both again: mammo-search export RUN --out PATH.",
        )
    return metadata


@dataclass(frozen=True)
class ModelFile:
    """A model and what is known of it.

    Attributes:
        path: The .keras file.
        metadata: From the JSON file beside it.
        run: The run's folder, None for a file that has left it.
    """

    path: Path
    metadata: ModelMetadata
    run: RunDirectory | None


def find_model(name: str) -> ModelFile:
    """The model that a user named.

    Args:
        name: A .keras file, or a run as `find_run` understands it.

    Raises:
        RunError: If there is no such model, it has changed, or nothing is known about it.
    """
    path = Path(name)
    if path.suffix != ".keras":
        if (path.is_file() and path.name != "run.json") or (path / "saved_model.pb").is_file():
            raise RunError(
                expected="a run or a .keras file", found=str(path), remedy="Name the run, or its .keras file."
            )
        run = find_run(name)
        model_file = finished_model(run)
        return ModelFile(model_file, read_metadata(model_file), run)
    if not path.is_file():
        raise RunError(
            expected="a .keras file or a run", found=f"nothing at {path}", remedy="Check the path of the model."
        )
    folder = path.resolve().parent.parent
    home = find_run(str(folder)) if RunDirectory(folder).manifest_file.is_file() else None
    is_at_home = home is not None and home.model_file.name == path.name
    return ModelFile(path, read_metadata(path), home if is_at_home else None)


def finished_model(run: RunDirectory) -> Path:
    """The .keras file of a complete run, after making sure that it is the one that the run wrote.

    Raises:
        RunError: If the run is not complete, or the file has changed.
    """
    if not run.is_complete:
        raise RunError(
            expected="a run that is finished",
            found=f"{run.path}, which is not",
            remedy="Finish it first: the command that began it goes on with it.",
        )
    return run.check_output(run.model_file)


def read_metrics(directory: RunDirectory) -> dict[str, Any]:
    """best/metrics.json.

    Raises:
        RunError: If it is missing or damaged: the run is not complete.
    """
    path = directory.best / "metrics.json"
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = metrics["class_names"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RunError(
            expected="a finished run with best/metrics.json",
            found=f"{path}: {reason}",
            remedy="Finish the run first: the command that began it goes on with it.",
        ) from None
    return metrics
