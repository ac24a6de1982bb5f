"""Comparisons that several tests make: nested values within a tolerance, the size and the margins of a picture."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def size_of(png: Path) -> tuple[int, int]:
    head = png.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return struct.unpack(">II", head[16:24])


def has_margins(png: Path) -> bool:
    """Whether nothing drawn touches the edges, where it would be cut off."""
    with Image.open(png) as picture:
        pixels = np.asarray(picture.convert("L"))
    return all((edge >= 250).all() for edge in (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:]))


def assert_close(first: object, second: object, *, tolerance: float = 1e-12) -> None:
    if isinstance(first, dict) and isinstance(second, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_close(first[key], second[key], tolerance=tolerance)
    elif isinstance(first, list) and isinstance(second, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_close(one, other, tolerance=tolerance)
    elif isinstance(first, float):
        assert second == pytest.approx(first, abs=tolerance)
    else:
        assert first == second
