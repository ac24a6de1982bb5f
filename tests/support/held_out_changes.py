"""A copy of a phantom in which the held-out patients have other pixels and other findings."""

from __future__ import annotations

import csv
import itertools
import shutil
from pathlib import Path

import cv2
import numpy as np

from mammo_data import Split


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
