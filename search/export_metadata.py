"""What somebody who has only the exported file needs to know: the JSON file beside every export.

It is called like the export with ``.json`` after it, for example ``bit_mammography_final.keras.json``. Schema 1:

    schema            1
    model, format     name of the file or folder it belongs to; "keras", "savedmodel" or "onnx"
    sha256            of that file; of a folder, of its files' names and checksums (`content_checksum`)
    use               what it may be used for, in a sentence
    demo              whether it was trained on synthetic images
    input             name, dtype, shape (null: any number of images), range, mode ("whole" or "roi"), meaning
    preparation       settings of `mammo_data.standardise` (image_size, crop, remove_labels, clahe, clahe_limit), and in
                      words orientation and placement
    output            name, dtype, class_names (from harmless to worst)
    calibration       temperature, log_prior_shift (one a class), cases, formula; null where none could be fitted
    operating_points  list of endpoint, classes (their calibrated probabilities are added up), target_specificity,
                      threshold (positive from there on; null: never); chosen on out-of-fold scores of development
    fingerprints      of the run: prepared, cases, split, weights; SHA-256 hex
    run               name, created, seeds, versions, git
    licence           code, weights, data
    development       digests of what the model has seen: patients (of ids), images (of prepared pixels); 16 hex digits
    verification      cases, images (which), largest_difference, bound; null for a run's own .keras file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.atomic_file import write_atomic
from search.errors import RunError

if TYPE_CHECKING:
    from mammo_data.standardise import PreparationSettings
    from reports.temperature import ProbabilityCorrection

SCHEMA = 1
RESEARCH_USE = "Research use only: not a medical device, and no statement about anybody's health."
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"

_ORIENTATION = "chest wall at the left, found from the pixels; a film with it at the right is mirrored"
_PLACEMENT = "aspect ratio kept, left edge of the canvas, centred from top to bottom, black padding"
_FORMULA = "softmax(log(probabilities) / temperature + log_prior_shift)"
_DIGITS = 16


@dataclass(frozen=True)
class OperatingThreshold:
    """Where scores are called positive.

    Attributes:
        endpoint: For example "malignant versus rest".
        classes: The classes whose calibrated probabilities are added up to the score.
        target_specificity: What the threshold was chosen for.
        threshold: Scores of at least this are positive; None where nothing is.
    """

    endpoint: str
    classes: tuple[str, ...]
    target_specificity: float
    threshold: float | None

    def is_positive(self, probabilities: Mapping[str, float]) -> bool:
        """The decision for one image, from its calibrated probabilities by class name."""
        score = sum(probabilities[name] for name in self.classes)
        return self.threshold is not None and score >= self.threshold


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
        from mammo_data.standardise import PreparationSettings

        names = ("image_size", "crop", "remove_labels", "clahe", "clahe_limit")
        return PreparationSettings(**{name: self.content["preparation"][name] for name in names})

    @property
    def correction(self) -> ProbabilityCorrection | None:
        """From the model's probabilities to calibrated ones; None where it could not be fitted."""
        from reports.temperature import ProbabilityCorrection

        section = self.content["calibration"]
        if section is None:
            return None
        return ProbabilityCorrection(section["temperature"], tuple(section["log_prior_shift"]), section["cases"])

    @property
    def thresholds(self) -> tuple[OperatingThreshold, ...]:
        """The operating points."""
        return tuple(
            OperatingThreshold(
                point["endpoint"], tuple(point["classes"]), point["target_specificity"], point["threshold"]
            )
            for point in self.content["operating_points"]
        )

    @property
    def development_patients(self) -> frozenset[str]:
        """Digests of the patients that the model was developed on."""
        return frozenset(self.content["development"]["patients"])

    @property
    def development_images(self) -> frozenset[str]:
        """Digests of the prepared images that the model was developed on; empty where they are not known."""
        return frozenset(self.content["development"]["images"])

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
        _ = self.preparation, self.development_patients, self.development_images, self.content["sha256"]

    def calibrated(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities, float64 [n, classes], of the model's own."""
        from reports.evaluation import SMALLEST_PROBABILITY

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


def content_checksum(path: Path) -> str:
    """SHA-256 (hex) of a file, or of all names and bytes of a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [
        f"{file.relative_to(path).as_posix()} {content_checksum(file)}"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def patient_digests(patient_ids: Iterable[str]) -> list[str]:
    """Digests of different patients, sorted; 16 hex digits tell ids apart without listing them."""
    return sorted({hashlib.sha256(patient.encode()).hexdigest()[:_DIGITS] for patient in patient_ids})


def image_digest(pixels: NDArray[np.uint8]) -> str:
    """Digest of one prepared image."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:_DIGITS]


def describe_model(
    *,
    class_names: tuple[str, ...],
    mode: str,
    demo: bool,
    preparation: PreparationSettings,
    metrics: Mapping[str, Any],
    run: Mapping[str, Any],
    fingerprints: Mapping[str, str],
    licence: Mapping[str, str],
    development: Mapping[str, list[str]],
) -> ModelMetadata:
    """The metadata of a model; file name, format, checksum and verification are added when it is written.

    Args:
        class_names: Ordered class names.
        mode: "whole" or "roi".
        demo: Whether it was trained on synthetic images.
        preparation: How its images were prepared.
        metrics: The content of metrics.json, for calibration and thresholds.
        run: What made it.
        fingerprints: Of the run.
        licence: Terms of code, weights and data.
        development: Digests of patients and images.
    """
    from dataclasses import asdict

    calibration = metrics.get("calibration")
    size = preparation.image_size
    return ModelMetadata(
        {
            "schema": SCHEMA,
            "model": None,
            "format": None,
            "sha256": None,
            "use": RESEARCH_USE,
            "demo": demo,
            "input": {
                "name": INPUT_NAME,
                "dtype": "float32",
                "shape": [None, size, size, 1],
                "range": [0, 255],
                "mode": mode,
                "meaning": "a prepared film" if mode == "whole" else "a crop of a film, of one fixed size for all",
            },
            "preparation": asdict(preparation) | {"orientation": _ORIENTATION, "placement": _PLACEMENT},
            "output": {"name": OUTPUT_NAME, "dtype": "float32", "class_names": list(class_names)},
            "calibration": None
            if calibration is None
            else {
                "temperature": calibration["temperature"],
                "log_prior_shift": calibration["log_prior_shift"],
                "cases": calibration["cases"],
                "formula": _FORMULA,
            },
            "operating_points": [
                {
                    "endpoint": point["endpoint"],
                    "classes": list(_scored_classes(point["endpoint"], class_names)),
                    "target_specificity": point["target_specificity"],
                    "threshold": point["threshold"],
                }
                for point in metrics.get("operating_points", ())
            ],
            "fingerprints": dict(fingerprints),
            "run": dict(run),
            "licence": dict(licence),
            "development": dict(development),
            "verification": None,
        }
    )


def _scored_classes(endpoint: str, class_names: tuple[str, ...]) -> tuple[str, ...]:
    """The worst class, or all but the first, as `reports.operating_points` names its endpoints."""
    return class_names[-1:] if endpoint == f"{class_names[-1]} versus rest" else class_names[1:]
