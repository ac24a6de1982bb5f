"""A run's folder to the metadata of its model: everything is read from the files that the run has written.

From what a run knows of its model to the metadata that go with every export of it.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from search.config.reading import load_config
from search.config.schema import Config
from search.errors import RunError
from search.export.metadata import RESEARCH_USE, SCHEMA, ModelMetadata
from search.files.digests import image_digest, patient_digests
from search.run_folder.directory import RunDirectory

if TYPE_CHECKING:
    from mammo_data.preparation.prepared import PreparedSet
    from mammo_data.preparation.standardise import PreparationSettings
    from mammo_data.splits import Split


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
    rows = _split_rows(directory)
    # The thresholds of a nested run's metrics are its outer models'.
    if manifest.get("protocol") == "nested" or "operating_points" not in metrics:
        metrics |= _out_of_fold_calibration(directory, config, tuple(metrics["class_names"]))
    return describe_model(
        class_names=tuple(metrics["class_names"]),
        mode=manifest.get("mode", "whole"),
        demo=manifest["demo"],
        preparation=config.preparation.settings(),
        metrics=metrics,
        run={name: manifest.get(name) for name in ("name", "created", "seeds", "versions", "git")},
        fingerprints=manifest["fingerprints"],
        licence={
            "code": "Apache-2.0",
            "weights": _weights_licence(config.backbone.name, config.backbone.weights, manifest["weights"]),
            "data": _data_licence(manifest["demo"], {row["image_id"] for row in rows}),
        },
        development={
            "patients": patient_digests(row["patient_id"] for row in rows if row["side"] != "test"),
            "images": sorted(set(development_images)),
        },
        held_out={
            "patients": patient_digests(row["patient_id"] for row in rows if row["side"] == "test"),
            "images": sorted(set(held_out_images)),
        },
        roi_window=config.roi.window,
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


def _out_of_fold_calibration(directory: RunDirectory, config: Config, names: tuple[str, ...]) -> dict[str, Any]:
    """Calibration and thresholds of a model that was trained on all patients: the metrics of such a run are of other
    models, but its search has out-of-fold predictions like any other."""
    from reports.evaluation.operating_points import fixed_thresholds
    from reports.evaluation.probabilities import corrected_predictions, fit_correction
    from reports.trials import best_run
    from search.run_folder.trial_log import read_records
    from search.trials.class_emphasis import training_shares
    from search.trials.out_of_fold import read_out_of_fold

    records = read_records(directory.check_output(directory.trials_file))
    development = read_out_of_fold(directory.path / "oof", best_run(records), records, names).predictions
    correction = fit_correction(development, training_shares(config.search.minority, len(names)))
    if correction is not None:
        development = corrected_predictions(development, correction)
    return {
        "calibration": None if correction is None else asdict(correction),
        "operating_points": [asdict(point) for point in fixed_thresholds(development)],
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
    from search.bit.family import FAMILY

    if weights == "random" or backbone not in FAMILY:
        return _RANDOM
    source = FAMILY[backbone]
    return f"{source.licence}; {source.citation}; {provenance}"


def _data_licence(demo: bool, image_ids: set[str]) -> str:
    from mammo_data.fetch.download import LICENCE_NOTICE

    if demo:
        return _SYNTHETIC
    if all(_MIAS_FILM.fullmatch(image_id) for image_id in image_ids):
        return " ".join(LICENCE_NOTICE.split())
    return _OWN


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
    held_out: Mapping[str, list[str]],
    roi_window: int | None = None,
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
        held_out: The same of those that were set aside.
        roi_window: Side of the crops in pixels of 0.2 mm, where it is a model of crops.
    """
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
                "meaning": "a prepared film"
                if mode == "whole"
                else f"a crop of a film, {roi_window} pixels of 0.2 mm a side whatever is in it",
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
            "held_out": dict(held_out),
            "verification": None,
        }
    )


def _scored_classes(endpoint: str, class_names: tuple[str, ...]) -> tuple[str, ...]:
    """The worst class, or all but the first, as `reports.evaluation.operating_points` names its endpoints."""
    return class_names[-1:] if endpoint == f"{class_names[-1]} versus rest" else class_names[1:]
