"""The metadata of an exported model: the JSON file beside it, which says all that its users have to know.

It is called like the export with ``.json`` after it, for example ``bit_mammography_final.keras.json``. Schema 2:

    schema            2; 1 is read, too, and lacks kind, what the folds gave, and operating_curve
    model, format     name of the file or folder it belongs to; "keras", "savedmodel" or "onnx"
    sha256            of that file; of a folder, of its files' names and checksums (`content_checksum`)
    use               what it may be used for, in a sentence
    demo              whether it was trained on synthetic images
    input             name, dtype, shape (null: any number of images), range, mode ("whole" or "roi"), meaning
    preparation       settings of `mammo_data.preparation.standardise` (image_size, crop, remove_labels, clahe,
                      clahe_limit), and in words orientation and placement
    output            name, dtype, class_names (from harmless to worst)
    calibration       kind ("none": no correction helped out of fold, none is applied; "prior", "temperature", "both"),
                      temperature, log_prior_shift (one a class), cases, formula; null where none could be fitted
    operating_points  list of endpoint, classes (their calibrated probabilities are added up), target_specificity,
                      threshold (positive from there on; null: never), fold_thresholds (what each fold alone gives),
                      fold_specificities (of the threshold on each fold); chosen on out-of-fold scores of development
    operating_curve   of the primary endpoint on the same scores: endpoint, classes, thresholds from low to high (at
                      most 256), sensitivities and specificities; null where it is not known
    members           only of a mean of several models: kind ("seeds": of the final configuration, trained on all
                      development patients from several seeds; "folds": its models of the cross-validation), count,
                      first_is_single (whether the first one is the run's own model to the last bit; null for folds),
                      thresholds (in words: what calibration and operating points are from, or why there are none)
    fingerprints      of the run: prepared, cases, split, weights; SHA-256 hex
    run               name, created, seeds, versions, git
    licence           code, weights, data
    development       digests of what the model has seen: patients (of ids), images (of prepared pixels); 16 hex digits
    held_out          the same of those that its run has set aside
    verification      cases, images (which), largest_difference, bound; null for a run's own .keras file
    checksum          SHA-256 hex of all the rest as JSON with sorted keys: a temperature with a bit flipped is one, too
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammo_data.preparation.settings import PreparationSettings
from reports.decisions.operating_curve import OperatingCurve
from reports.decisions.operating_points import OperatingThreshold
from reports.decisions.probabilities import KIND_WORDS, SMALLEST_PROBABILITY, ProbabilityCorrection
from reports.files import read_regular
from search.errors import ConfigError, RunError
from search.files.atomic import write_atomic
from search.files.digests import content_checksum, json_checksum
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import find_run
from search.run_folder.metrics import ClassNames, Name, reason_of

SCHEMA = 2
MemberKind = Literal["seeds", "folds"]
RESEARCH_USE = "Research use only: not a medical device, and no statement about anybody's health."


class _Input(BaseModel):
    mode: Literal["whole", "roi"]


class _Output(BaseModel):
    class_names: ClassNames


class Members(BaseModel):
    """What a mean of several models is the mean of.

    Attributes:
        kind: "seeds" or "folds".
        count: How many members it has.
        thresholds: In words what its calibration and operating points are from, or why it has none.
    """

    kind: MemberKind
    count: Annotated[int, Field(ge=2, le=1000)]
    thresholds: Annotated[str, Field(max_length=500)] = ""


class _Seen(BaseModel):
    patients: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class _Content(BaseModel):
    """The part of the file that this program reads."""

    model_config = ConfigDict(allow_inf_nan=False)

    schema_version: Annotated[Literal[1, 2], Field(alias="schema")]
    model: Name | None = None
    sha256: str | None = None
    demo: bool
    input: _Input
    preparation: PreparationSettings
    output: _Output
    calibration: ProbabilityCorrection | None
    operating_points: tuple[OperatingThreshold, ...]
    operating_curve: OperatingCurve | None = None
    members: Members | None = None
    fingerprints: dict[str, str] = {}
    development: _Seen
    held_out: _Seen = _Seen()

    @model_validator(mode="after")
    def _agrees(self) -> _Content:
        names, correction, curve = self.output.class_names, self.calibration, self.operating_curve
        if self.members is not None and not self.members.thresholds.isprintable():
            raise ValueError("words that no terminal can show")
        if correction is not None and len(correction.log_prior_shift) != len(names):
            raise ValueError(f"{len(correction.log_prior_shift)} prior shifts for {len(names)} classes")
        factors = (correction.temperature, *correction.log_prior_shift) if correction is not None else (1.0,)
        if not (factors[0] > 0 and all(map(math.isfinite, factors))):
            raise ValueError("a correction that gives no probabilities")
        for each in (*self.operating_points, *(() if curve is None else (curve,))):
            if not (each.endpoint.isprintable() and set(each.classes) <= set(names)):
                raise ValueError("an operating point of a class that the model does not have")
        columns = [] if curve is None else [curve.thresholds, curve.sensitivities, curve.specificities]
        points = [n for each in self.operating_points for n in (each.target_specificity, each.threshold or 0.0)]
        if not all(number is not None and math.isfinite(number) for number in (*points, *sum(columns, ()))):
            raise ValueError("an operating point that is no number")
        if any(not column or len(column) != len(columns[0]) for column in columns):
            raise ValueError("an operating curve of unequal columns")
        return self


@dataclass(frozen=True)
class ModelMetadata:
    """The content of the JSON file.

    Attributes:
        content: As the module's docstring lists it.
        own: A point that a user asked for, beside those of the file; it is not written.
    """

    content: Mapping[str, Any]
    own: OperatingThreshold | None = None

    @cached_property
    def read(self) -> _Content:
        """What is read of it, of the types that it has to have.

        Raises:
            ValueError: If something is missing or of another kind.
        """
        return _Content.model_validate(self.content)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Ordered class names."""
        return self.read.output.class_names

    @property
    def image_size(self) -> int:
        """Side of the prepared images in pixels."""
        return self.preparation.image_size

    @property
    def mode(self) -> str:
        """ "whole" or "roi"."""
        return self.read.input.mode

    @property
    def preparation(self) -> PreparationSettings:
        """How films have to be prepared."""
        return self.read.preparation

    @property
    def correction(self) -> ProbabilityCorrection | None:
        """From the model's probabilities to calibrated ones; None where it could not be fitted."""
        return self.read.calibration

    @property
    def members(self) -> Members | None:
        """What it is the mean of; None for a single model."""
        return self.read.members

    @property
    def thresholds(self) -> tuple[OperatingThreshold, ...]:
        """The operating points, a user's own last."""
        return self.read.operating_points + (() if self.own is None else (self.own,))

    @property
    def kind_of_probabilities(self) -> str:
        """What `calibrated` makes of the model's own: plain, prior-corrected, temperature-scaled, or the last two."""
        return KIND_WORDS["none" if self.correction is None else self.correction.kind]

    def known(self, what: Literal["patients", "images"]) -> frozenset[str]:
        """Digests of all patients of the model's run, held-out ones too, or of their images; empty where not known."""
        return frozenset([*getattr(self.read.development, what), *getattr(self.read.held_out, what)])

    def require_whole_images(self) -> None:
        """Refuse a model of crops, which follow places that somebody has marked.

        Raises:
            ConfigError: If it is one.
        """
        if self.mode != "whole":
            raise ConfigError(
                expected="a model of whole images",
                found=f"{self.read.model}, a model of crops around places that somebody has marked",
                remedy="Use a model that was searched with --mode whole.",
            )

    def calibrated(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probabilities, float64 [n, classes], of the model's own; these where no correction is applied."""
        correction = self.correction
        if correction is None or correction.kind == "none":
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
        content = json.loads(read_regular(path))
        metadata = ModelMetadata(content)
        digest = metadata.read.sha256
        # Files of the first versions have none.
        if content.get("checksum") not in (None, json_checksum(content, without="checksum")):
            raise ValueError("the checksum does not fit")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else reason_of(error)
        raise RunError(
            expected=f"what is to be known of the model in {path}",
            found=reason,
            remedy="Keep the JSON file beside the model, or write both again: mammo-search export RUN --out PATH.",
        ) from None
    if content_checksum(export) != digest:
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

    def require_held_out_patients(self) -> RunDirectory:
        """The run, after making sure that it has patients that the model was not trained on.

        Raises:
            ConfigError: If there is none, or it has no such patients.
        """
        if self.run is None:
            raise ConfigError(
                expected="a run, or labelled images with --data",
                found=f"{self.path} alone, which has no held-out patients with it",
                remedy="Name the run, or add --data FOLDER.",
            )
        manifest = self.run.read_manifest()
        if manifest.protocol != "holdout" and manifest.outer is None:
            raise ConfigError(
                expected="a run with held-out patients",
                found=f"{self.run.path}, whose final model was trained on all patients (protocol {manifest.protocol})",
                remedy="Evaluate it on other patients with --data FOLDER; report.html has the run's own estimate.",
            )
        return self.run


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
    home = find_run(str(folder)) if RunDirectory(folder).has_manifest else None
    metadata = read_metadata(path)
    return ModelFile(path, metadata, home if home is not None and _is_at_home(path, metadata, home) else None)


def _is_at_home(path: Path, metadata: ModelMetadata, home: RunDirectory) -> bool:
    """Whether a file in the folder ``best`` of a run is that run's."""
    if metadata.members is None:
        return path.name == home.model_file.name
    is_of_run = metadata.content.get("fingerprints") == home.read_manifest().fingerprints
    return is_of_run and path.name == members_file(home, metadata.members.kind).name


def members_file(run: RunDirectory, kind: MemberKind) -> Path:
    """Where the mean of a run's seeds or folds goes, if nobody says where."""
    return run.best / f"bit_mammography_{kind}.keras"


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
