"""A copy of a phantom in which the held-out patients have other pixels and other findings."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mammo_data import Split
from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import readings


def with_other_held_out_patients(phantom: Path, folder: Path, split_file: Path, severities: str = "BM") -> Path:
    """Write the copy.

    Args:
        phantom: Folder of the films and Info.txt.
        folder: Where to; must not exist.
        split_file: Says who is held out.
        severities: Letters that are given to the held-out films in turn; N makes one normal.

    Returns:
        ``folder``.
    """
    held_out_patients = Split.read_csv(split_file).test_patients
    shutil.copytree(phantom, folder)
    with split_file.open(newline="") as file:
        held_out = [row["image_id"] for row in csv.DictReader(file) if row["patient_id"] in held_out_patients]
    rng = np.random.default_rng(0)
    for image_id in held_out:
        film = cv2.imread(str(folder / f"{image_id}.pgm"), cv2.IMREAD_GRAYSCALE)
        film = np.where(film > 18, 255 - film // 2, 0) + rng.integers(0, 3, film.shape)
        cv2.imwrite(str(folder / f"{image_id}.pgm"), film.astype(np.uint8))
    info = (folder / "Info.txt").read_text(encoding="latin-1").splitlines()
    kept = [line for line in info if line[:6] not in held_out and "SHA-256" not in line]
    added = [
        f"{name} G NORM" if severity == "N" else f"{name} G CIRC {severity} 60 60 12"
        for name, severity in zip(held_out, itertools.cycle(severities), strict=False)
    ]
    (folder / "Info.txt").write_text("\n".join(kept + added), encoding="latin-1")
    return folder


def fitted_on_development(directory: RunDirectory) -> dict[str, Any]:
    """All that a finished run evaluates with and has from its development patients: other held-out ones change none."""
    metrics = json.loads((directory.best / "metrics.json").read_text())
    model = json.loads(directory.model_file.with_name(f"{directory.model_file.name}.json").read_text())
    calibration = ("candidates", "chosen", "temperature", "log_prior_shift", "prior_shift", "cases")
    point = (
        "endpoint",
        "target_specificity",
        "threshold",
        "development_specificity",
        "development_sensitivity",
        "fold_thresholds",
        "fold_specificities",
    )
    shipped = ("preparation", "calibration", "operating_points", "operating_curve", "development")
    return {
        "calibration": {name: metrics["calibration"][name] for name in calibration},
        "operating points": [{name: each[name] for name in point} for each in metrics["operating_points"]],
        "selection": metrics["selection"],
        "convergence": metrics["convergence"],
        "ranking": metrics.get("ranking"),
        "radius terciles": [each["level"] for each in metrics["subgroups"] if each["group"] == "radius"],
        "kind of map": {name: metrics["localisation"][name] for name in ("method", "chosen_on", "chosen_on_images")},
        "exact fold models": metrics["ensemble"]["exact"],
        "baselines": [{name: each[name] for name in ("name", "what", "out_of_fold")} for each in metrics["baselines"]],
        "baselines' corrections": [
            {name: each["calibration"][name] for name in ("temperature", "log_prior_shift")}
            for each in metrics["baselines"]
        ],
        "enough": metrics["enough"],
        "models that read": _models_that_read(directory)[1:],
        "shipped": {name: model[name] for name in shipped},
    }


def _models_that_read(directory: RunDirectory) -> tuple[str, ...]:
    """SHA-256 of all models of a run, the exported file's first, whose bytes depend on its name."""
    split = Split.read_csv(directory.split_file)
    return next(each.models for each in readings(directory.runs, split.test_fingerprint) if each.run == directory.name)
