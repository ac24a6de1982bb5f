"""The metadata of a run's model, gathered from the files that the run has written."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from mammo_data import PreparedSet, Split
from mammo_data.fetch.download import LICENCE_NOTICE
from reports import (
    ProbabilityCorrection,
    best_trial,
    corrected_predictions,
    fit_correction,
    fixed_thresholds,
    operating_curve,
)
from search.bit.family import FAMILY
from search.config.reading import load_config
from search.config.schema import Config
from search.errors import RunError
from search.export.metadata import RESEARCH_USE, SCHEMA, MemberKind, ModelMetadata
from search.files.digests import image_digest, patient_digests
from search.run_folder.directory import RunDirectory
from search.run_folder.metrics import read_metrics
from search.run_folder.trial_log import read_records
from search.trials.data import training_shares
from search.trials.out_of_fold import OutOfFold, read_out_of_fold

_MIAS_FILM = re.compile(r"mdb[0-9]{3}")
_SYNTHETIC = "synthetic images, no licence attaches"
_OWN = "the terms of the data that the model was trained on"
_RANDOM = "random initialisation, no licence attaches"
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"
_ORIENTATION = "chest wall at the left, found from the pixels; a film with it at the right is mirrored"
_PLACEMENT = "aspect ratio kept, left edge of the canvas, centred from top to bottom, black padding"
_FORMULA = "softmax(log(probabilities) / temperature + log_prior_shift)"


def describe_run(
    directory: RunDirectory, *, development_images: Iterable[str] = (), held_out_images: Iterable[str] = ()
) -> ModelMetadata:
    """The metadata of a run's model.

    Args:
        directory: The run's folder, with run.json, config.toml, split.csv and best/metrics.json.
        development_images: Digests of the prepared images of the development patients, where they are at hand.
        held_out_images: The same of the held-out patients.

    Raises:
        RunError: If a file is missing or damaged.
        ConfigError: If config.toml is no longer valid.
    """
    manifest, metrics = directory.read_manifest(), read_metrics(directory)
    config = load_config(directory.check_output(directory.config_file))
    rows, names = _split_rows(directory), tuple(metrics["class_names"])
    # The thresholds of a nested run's metrics are its outer models'.
    if manifest.protocol == "nested" or "operating_points" not in metrics:
        metrics |= _out_of_fold_calibration(directory, config, names)
    preparation, mode = config.preparation.settings(), manifest.mode
    size = preparation.image_size
    window = f"a crop of a film, {config.roi.window} pixels of 0.2 mm a side whatever is in it"
    return ModelMetadata(
        {
            "schema": SCHEMA,
            "model": None,
            "format": None,
            "sha256": None,
            "use": RESEARCH_USE,
            "demo": manifest.demo,
            "input": {
                "name": INPUT_NAME,
                "dtype": "float32",
                "shape": [None, size, size, 1],
                "range": [0, 255],
                "mode": mode,
                "meaning": "a prepared film" if mode == "whole" else window,
            },
            "preparation": asdict(preparation) | {"orientation": _ORIENTATION, "placement": _PLACEMENT},
            "output": {"name": OUTPUT_NAME, "dtype": "float32", "class_names": list(names)},
            "calibration": _calibration(metrics),
            "operating_points": _operating_points(metrics, names),
            "operating_curve": metrics.get("operating_curve"),
            "fingerprints": manifest.fingerprints,
            "run": manifest.model_dump(include={"name", "created", "seeds", "versions", "git"}),
            "licence": {
                "code": "Apache-2.0",
                "weights": _weights_licence(config.backbone.name, config.backbone.weights, manifest.weights),
                "data": _data_licence(manifest.demo, {row["image_id"] for row in rows}),
            },
            "development": {
                "patients": patient_digests(row["patient_id"] for row in rows if row["side"] != "test"),
                "images": sorted(set(development_images)),
            },
            "held_out": {
                "patients": patient_digests(row["patient_id"] for row in rows if row["side"] == "test"),
                "images": sorted(set(held_out_images)),
            },
            "verification": None,
        }
    )


def describe_members(
    single: ModelMetadata, kind: MemberKind, count: int, *, config: Config, stored: OutOfFold | None, first: bool | None
) -> ModelMetadata:
    """The metadata of a mean of several models of a run.

    Args:
        single: Those of the run's own model.
        kind: What it is the mean of.
        count: Of how many.
        config: The run's configuration.
        stored: Out-of-fold predictions that are made in the same way; None where there can be none.
        first: Whether the first member is the run's own model; None where it is not meant to be.
    """
    names = single.class_names
    found: dict[str, Any] = {"calibration": None, "operating_curve": None}
    words = (
        f"none: each development woman was trained on by all of the {count} models but one at most, so that their mean "
        "has no scores of women that it has not seen"
    )
    if stored is not None:
        found = _calibrated_on(stored, config, names)
        words = f"from out-of-fold scores that are means of {count} models a fold, one a seed"
    # What is only known of a file once it is written comes last, as in every other file.
    known = {name: each for name, each in single.content.items() if name not in ("verification", "checksum")}
    return ModelMetadata(
        {
            **known,
            "calibration": _calibration(found),
            "operating_points": _operating_points(found, names),
            "operating_curve": found["operating_curve"],
            "members": {"kind": kind, "count": count, "first_is_single": first, "thresholds": words},
        }
    )


def write_run_metadata(directory: RunDirectory, prepared: PreparedSet, split: Split) -> None:
    """Write the JSON file beside the model that a run has just exported and evaluated.

    Args:
        directory: The run's folder.
        prepared: What the model was trained and evaluated on.
        split: On which side each patient is.
    """
    development, held_out = (
        [image_digest(prepared.images[row]) for row in rows]
        for rows in (split.development_rows(prepared.table), split.test_rows(prepared.table))
    )
    metadata = describe_run(directory, development_images=development, held_out_images=held_out)
    metadata.write(directory.model_file, format="keras", verification=None)


def _out_of_fold_calibration(directory: RunDirectory, config: Config, names: tuple[str, ...]) -> dict[str, Any]:
    """Calibration and thresholds of a model that was trained on all patients: the metrics of such a run are of other
    models, but its search has out-of-fold predictions like any other."""
    records = read_records(directory.check_output(directory.trials_file))
    return _calibrated_on(read_out_of_fold(directory.path / "oof", best_trial(records), records, names), config, names)


def _calibrated_on(stored: OutOfFold, config: Config, names: tuple[str, ...]) -> dict[str, Any]:
    """Calibration and thresholds from out-of-fold predictions, as metrics.json has them."""
    development, shares = stored.predictions, training_shares(config.search.minority, len(names))
    choice = fit_correction(development, shares, folds=stored.folds, seed=config.split.seed)
    if choice is not None:
        development = corrected_predictions(development, choice.correction)
    curve = operating_curve(development)
    return {
        "calibration": None if choice is None else asdict(choice.correction),
        "operating_points": [asdict(point) for point in fixed_thresholds(development, stored.folds)],
        "operating_curve": None if curve is None else asdict(curve),
    }


def _split_rows(directory: RunDirectory) -> list[dict[str, str]]:
    try:
        with directory.check_output(directory.split_file).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        _ = [(row["image_id"], row["patient_id"], row["side"]) for row in rows]
    except (OSError, ValueError, csv.Error, KeyError) as error:
        raise RunError(
            expected="a run with split.csv",
            found=f"{directory.split_file}: {type(error).__name__}",
            remedy="Restore the file, or search again with --fresh.",
        ) from None
    return rows


def _weights_licence(backbone: str, weights: str, provenance: str) -> str:
    if weights == "random" or backbone not in FAMILY:
        return _RANDOM
    source = FAMILY[backbone]
    return f"{source.licence}; {source.citation}; {provenance}"


def _data_licence(demo: bool, image_ids: set[str]) -> str:
    if demo:
        return _SYNTHETIC
    if all(_MIAS_FILM.fullmatch(image_id) for image_id in image_ids):
        return " ".join(LICENCE_NOTICE.split())
    return _OWN


def _calibration(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    found = metrics.get("calibration")
    if found is None:
        return None
    kind = ProbabilityCorrection(found["temperature"], tuple(found["log_prior_shift"])).kind
    values = {name: found[name] for name in ("temperature", "log_prior_shift", "cases")}
    return {"kind": kind} | values | {"formula": _FORMULA}


def _operating_points(metrics: Mapping[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    # An endpoint is the worst class, or all but the first, as `reports.decisions.operating_points` names them.
    worst = f"{names[-1]} versus rest"
    return [
        {
            "endpoint": point["endpoint"],
            "classes": list(names[-1:] if point["endpoint"] == worst else names[1:]),
            "target_specificity": point["target_specificity"],
            "threshold": point["threshold"],
            # A run of an earlier version has not recorded what its folds said.
            **{name: list(point.get(name, ())) for name in ("fold_thresholds", "fold_specificities")},
        }
        for point in metrics.get("operating_points", ())
    ]
