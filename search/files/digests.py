"""Digests of files, patients and images, by which they are told apart and recognised."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGITS = 16


def content_checksum(path: Path) -> str:
    """SHA-256 (hex) of a file, or of all names and bytes of a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(path).as_posix()} {content_checksum(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def json_checksum(content: Mapping[str, Any], *, without: str) -> str:
    """SHA-256 (hex) of an object as JSON with sorted keys, one key, that of the checksum itself, left out."""
    rest = {name: value for name, value in content.items() if name != without}
    # By way of text: numbers and tuples as they are read.
    return hashlib.sha256(json.dumps(json.loads(json.dumps(rest)), sort_keys=True).encode()).hexdigest()


def patient_digests(patient_ids: Iterable[str]) -> list[str]:
    """Digests of different patients, sorted; 16 hex digits tell ids apart without listing them."""
    return sorted({hashlib.sha256(patient.encode()).hexdigest()[:_DIGITS] for patient in patient_ids})


def image_digest(pixels: NDArray[np.uint8]) -> str:
    """Digest of one prepared image."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:_DIGITS]
