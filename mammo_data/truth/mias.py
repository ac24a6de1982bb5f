"""Facts of the genuine mini-MIAS set: hashes of its files and its truth table, and its six placeless findings.

Names and hashes only; none of the data itself. ``mias_checksums.json`` lists the SHA-256 of each file as measured on
one complete copy; 115 of the images were found equal in a second, independent copy, but which was not recorded.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from importlib import resources

from mammo_data.cases import CaseTable
from mammo_data.errors import DataError

IMAGES = 322
SIDE = 1024
CONFIRMED_BY_A_SECOND_COPY = 115
CHECKSUM_NOTE = (
    f"known SHA-256 (measured on one complete copy; {CONFIRMED_BY_A_SECOND_COPY} of the {IMAGES} images were equal in "
    "a second, independent one, but which was not recorded)"
)
UNLOCATABLE = ("mdb059", "mdb212", "mdb214", "mdb216", "mdb233", "mdb245")
"""Images with a finding without a place: four have no coordinates, two circles lie in the background."""

PHANTOM_MARK = "SYNTHETIC PHANTOM, NOT MAMMOGRAMS"
"""Stands in the prose of a phantom's Info.txt; its reference numbers are MIAS's, its labels its own."""

TABLE_SHA256 = "429dc0ef230bc84f7a8b6b97c5e06eab6b7fc6c67827a23345b9a3a15bc1560d"
LABELS_SHA256 = "fd7a52beae642c1fef90d9382ab997b6e38a12af495a6a1de7937c54cf69ce6b"
"""Of the published truth table, see `_facts`; the second without places, for packagings that have none."""


@functools.cache
def known_checksums() -> Mapping[str, str]:
    """SHA-256 (hex) by file name: the 322 images, Info.txt and Licence.txt."""
    text = resources.files("mammo_data.truth").joinpath("mias_checksums.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text)["sha256"]
    return found


def claims_to_be_mias(image_ids: tuple[str, ...], info_text: str) -> bool:
    """Whether sorted names are exactly MIAS's 322 and the truth table does not say that it is a phantom's."""
    all_films = tuple(f"mdb{number:03d}" for number in range(1, IMAGES + 1))
    return image_ids == all_films and PHANTOM_MARK not in info_text


def require_published_size(image_ids: tuple[str, ...], info_text: str, shape: tuple[int, int], location: str) -> None:
    """Refuse MIAS's films in another size: the truth table's circles would mark other places.

    Args:
        image_ids: Sorted names of the films.
        info_text: The truth table.
        shape: Height and width of one of the films in pixels.
        location: What to call the set.

    Raises:
        DataError: The films are MIAS's by name and not 1024 × 1024.
    """
    if claims_to_be_mias(image_ids, info_text) and shape != (SIDE, SIDE):
        raise DataError(
            expected=f"MIAS's films of {SIDE} × {SIDE} pixels",
            found=f"{shape[1]} × {shape[0]} at {image_ids[0]} in {location}",
            remedy="Use the original films, not resized or cropped copies; resizing is done here.",
        )


def has_published_labels(table: CaseTable) -> bool:
    """Whether tissue, classes, severities and (where there are any) places are those that MIAS published."""
    if any(finding.x is not None for case in table.cases for finding in case.findings):
        return _facts(table, places=True) == TABLE_SHA256
    return _facts(table, places=False) == LABELS_SHA256


def require_published_labels(table: CaseTable, info_text: str, location: str) -> None:
    """Refuse a truth table of MIAS's 322 films that is not the published one.

    A flipped bit can make a B an M. For the one set that everybody compares on, figures from other labels would be
    worse than none; whoever wants to correct a label says so with a cases.csv.

    Raises:
        DataError: The table lists MIAS's films with other labels or places.
    """
    if claims_to_be_mias(table.image_ids, info_text) and not has_published_labels(table):
        raise DataError(
            expected="the truth table that MIAS published for its 322 films",
            found=f"one with another label, tissue or place in {location}",
            remedy="Get a fresh Info.txt (`mammo-search data fetch`); list labels of your own in a cases.csv.",
        )


def _facts(table: CaseTable, *, places: bool) -> str:
    lines = []
    for case in table.cases:
        lines.append(f"{case.image_id} {case.tissue} {case.label}")
        found = [
            f"{finding.abnormality} {finding.severity}"
            + (f" {finding.x} {finding.y} {finding.radius}" if places else "")
            for finding in case.findings
        ]
        # Without their places two findings of one kind are one, as they are to whoever reads such a table.
        lines += dict.fromkeys(found)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
