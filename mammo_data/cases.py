"""The case table: one case an image, its findings kept, its patient named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_SIDE = 16_384
"""Pixels; a full-field mammogram at 50 µm has about 6,000. Larger headers are refused before any allocation."""

MIAS_CLASSES = ("normal", "benign", "malignant")
"""Ordered from harmless to worst: the index is the label, and the worst finding decides an image's."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One annotated abnormality.

    Attributes:
        abnormality: MIAS's code: CALC, CIRC, SPIC, MISC, ARCH or ASYM.
        severity: The finding's own class name, for example "benign".
        x: Column of the centre in pixels from the left edge, in the frame of the image it comes with, or None.
        y: Row of the centre in pixels from the TOP edge (Info.txt counts from the bottom), or None.
        radius: Radius of the circle that encloses the finding, in pixels, or None.
        film_radius: The same in pixels of the original film, once the finding has been carried to another frame (films
            are not all shrunk alike); None where it has not been, or has no place.
    """

    abnormality: str
    severity: str
    x: float | None = None
    y: float | None = None
    radius: float | None = None
    film_radius: float | None = None

    @property
    def circle(self) -> tuple[float, float, float] | None:
        """(x, y, radius), or None for a finding without a place."""
        if self.x is None or self.y is None or self.radius is None:
            return None
        return self.x, self.y, self.radius


@dataclass(frozen=True, slots=True)
class Case:
    """One image of one breast.

    Attributes:
        image_id: Unique name, for MIAS the file's stem ("mdb001").
        patient_id: The woman; everything that must not leak is grouped by it.
        label: Class name of the worst finding, or the first class where there is none.
        tissue: Background tissue: F (fatty), G (fatty-glandular), D (dense-glandular), or "" where unknown.
        findings: All findings, in the order of the source.
        side: Where the source itself puts the patient: "test", "development", or "" where it does not say.
    """

    image_id: str
    patient_id: str
    label: str
    tissue: str = ""
    findings: tuple[Finding, ...] = ()
    side: str = ""


@dataclass(frozen=True)
class CaseTable:
    """Cases in a fixed order, with the ordered class names that their labels index."""

    cases: tuple[Case, ...]
    class_names: tuple[str, ...] = MIAS_CLASSES

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Image ids, in table order."""
        return tuple(case.image_id for case in self.cases)

    @property
    def patient_ids(self) -> tuple[str, ...]:
        """Patient id of each case, in table order."""
        return tuple(case.patient_id for case in self.cases)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of each case, int64 [n]."""
        return np.array([self.class_names.index(case.label) for case in self.cases], dtype=np.int64)

    @property
    def primary_endpoint(self) -> str:
        """The worst class against all others, as "malignant versus rest"."""
        return f"{self.class_names[-1]} versus rest"

    @property
    def patients_of_classes(self) -> dict[str, int]:
        """For each class the number of patients with an image of it, in the order of the classes."""
        return {name: len({case.patient_id for case in self.cases if case.label == name}) for name in self.class_names}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What may be a slip of the table, and can't be told from it: ids that tell no patients apart, tiny classes."""
        found = []
        if len(set(self.patient_ids)) == len(self.cases) > 1:
            found.append(
                f"each of the {len(self.cases)} images is of a patient of its own; if women have several images here, "
                "the patient column must say so, or one woman comes to stand on both sides of the split"
            )
        found += [
            f"only {count} patient{'s' if count > 1 else ''} of {name!r}: too few for a search"
            for name, count in self.patients_of_classes.items()
            if count < 3
        ]
        return tuple(found)

    def take(self, rows: Iterable[int]) -> CaseTable:
        """The cases at ``rows``, in that order."""
        return CaseTable(tuple(self.cases[int(row)] for row in rows), self.class_names)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything in the table; equal tables have equal fingerprints."""
        text = json.dumps([self.class_names, [asdict(case) for case in self.cases]], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()
