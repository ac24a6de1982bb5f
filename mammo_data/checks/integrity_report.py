"""What the integrity check answers: the facts of a set, and its problems.

Facts are counted, problems listed. What is known of the genuine set and can't be mended (its six findings without a
place) is a fact there; the same in another set is a problem.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from mammo_data.errors import MOST_LINES, DataError
from mammo_data.truth import mias as mias_facts

INSIDE = 0.95
"""Part of a circle on the breast from which it counts as inside."""

# What can't be read, or is no film, is not trained on however well its owner knows it.
_ACCEPTABLE = ("altered", "duplicate", "look-alike", "mislabelled-folder")

MOST_NAMES = 12
"""Images that a line of the text names; Kaggle's HDF5 file has no place of any finding. JSON has all."""


@dataclass(frozen=True)
class Problem:
    """Something wrong.

    Attributes:
        kind: missing, unlisted, truncated, undecodable, no-film, wrong-size, altered, duplicate, look-alike,
            stray-image, mislabelled-folder, unlocatable or labels.
        subject: The image (or file) it is about.
        detail: What is wrong with it.
        blocks: Whether a search on such data would be wrong, so that a run refuses them; a file that is not used, or a
            circle beside the breast, does no harm.
    """

    kind: str
    subject: str
    detail: str
    blocks: bool = True

    def __str__(self) -> str:
        return f"{'' if self.blocks else 'note: '}{self.kind}: {self.subject}: {self.detail}"


@dataclass(frozen=True)
class IntegrityReport:
    """What a set is made of, and what is wrong with it.

    Attributes:
        location: Where it lies.
        mias: Whether it lists exactly the films of mini-MIAS.
        images: Number of images.
        patients: Number of women.
        labels: Images by label, in the order of the classes.
        findings: Number of findings.
        circles: How many of them have a place and a radius.
        circles_inside: How many circles lie at least 95 % on the breast.
        unlocatable: Images with a finding without a place, or with its circle in the background.
        chest_wall: Films by number (odd, even) and side of the chest wall, as "odd right"; {} for other sets.
        matching_checksums: Images whose SHA-256 is the known one (`truth.mias.CHECKSUM_NOTE`); a conversion counts as
            the P5 file that its pixels make.
        primary_endpoint: The worst class against all others; ``labels`` has the classes from harmless to worst.
        remarks: What may be a slip of the table (see `CaseTable.remarks`).
        unused_bits: Images that use fewer bits than their files state, so that grey levels go by the film's own range.
        problems: What is wrong, sorted; empty for a sound set.
    """

    location: str
    mias: bool
    images: int
    patients: int
    labels: dict[str, int]
    findings: int
    circles: int
    circles_inside: int
    unlocatable: tuple[str, ...]
    chest_wall: dict[str, int]
    matching_checksums: int
    primary_endpoint: str
    remarks: tuple[str, ...]
    unused_bits: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def blocking(self) -> tuple[Problem, ...]:
        """The problems for which a run refuses the set; the others are notes."""
        return tuple(problem for problem in self.problems if problem.blocks)

    def as_json(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return asdict(self) | {
            "checksums_confirmed_by_a_second_copy": mias_facts.CONFIRMED_BY_A_SECOND_COPY,
            "checksums_note": mias_facts.CHECKSUM_NOTE,
        }

    def as_text(self) -> str:
        """The facts in a few lines."""
        labels = ", ".join(f"{count} {label}" for label, count in self.labels.items())
        unlocatable = _some(self.unlocatable) or "none"
        lines = [
            f"{self.location}: {self.images} images of {self.patients} patients ({labels})",
            f"classes from harmless to worst: {', '.join(self.labels)}; primary endpoint: {self.primary_endpoint}",
            *self.remarks,
            f"{self.findings} findings, {self.circles} with a circle, {self.circles_inside} of these at least "
            f"{INSIDE:.0%} on the breast; not to be located: {unlocatable}",
        ]
        if self.mias:
            all_match = self.matching_checksums == mias_facts.IMAGES
            # How far the known ones are to be trusted is of interest where one differs.
            known = "known SHA-256" if all_match else mias_facts.CHECKSUM_NOTE
            lines.append(f"{self.matching_checksums} of {mias_facts.IMAGES} images have the {known}")
        if self.unused_bits:
            lines.append(f"grey levels by the film's own range, not by the stated bits: {_some(self.unused_bits)}")
        blocking, notes = len(self.blocking), len(self.problems) - len(self.blocking)
        lines.append("; ".join([_counted(blocking, "problem"), *([_counted(notes, "note")] if notes else [])]))
        return "\n".join(lines)

    def require_sound(self) -> None:
        """Refuse the set for a search.

        Raises:
            DataError: There are problems, each in a line, that would make a search on it wrong.
        """
        # No number of copies hides the films that can't be used at all.
        blocking = sorted(self.blocking, key=lambda problem: problem.kind in _ACCEPTABLE)
        more = f" and {len(blocking) - 1} more problem{'s' if len(blocking) > 2 else ''}" if blocking[1:] else ""
        known = ", or, if you know better, accept it with --set data.accept_problems=true"
        if blocking:
            error = DataError(
                expected="a set that `data check` finds nothing wrong with",
                found=f"{blocking[0]}{more} in {self.location}",
                remedy=f"See all with `mammo-search data check {self.location}`; mend the set"
                + (f"{known}." if all(problem.kind in _ACCEPTABLE for problem in blocking) else "."),
            )
            if more:
                error.args = ("\n".join([*map(str, blocking[:MOST_LINES]), str(error)]),)
            raise error


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if names[MOST_NAMES:] else ""
    return ", ".join(names[:MOST_NAMES]) + more
