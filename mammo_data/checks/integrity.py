"""The integrity check of a set: everything that can be wrong with it, found before the work, named one by one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammo_data.cases import Case, CaseTable
from mammo_data.checks.duplicates import near_duplicates, thumbnail
from mammo_data.checks.integrity_report import INSIDE, IntegrityReport, Problem
from mammo_data.decoding.decode import decode_image, is_truncated
from mammo_data.decoding.pgm import encode_pgm
from mammo_data.errors import DataError, NoFilmError
from mammo_data.preparation.breast import circle_coverage
from mammo_data.preparation.film_check import require_film
from mammo_data.preparation.standardise import UNLOCATABLE_COVERAGE
from mammo_data.sources.base import ImageSource, work_on_films
from mammo_data.sources.film_names import film_name
from mammo_data.sources.open import first_frame
from mammo_data.truth import mias as mias_facts
from mammo_data.truth.info_txt import parse_info


@dataclass(frozen=True)
class _Film:
    sha256: str
    damage: Problem | None = None
    shape: tuple[int, ...] = ()
    pixels_sha256: str = ""
    thumbnail: NDArray[np.float32] | None = None
    coverages: tuple[float | None, ...] = ()
    chest_wall: str = ""
    spare_bits: int = 0


def check(source: ImageSource, *, progress: Callable[[int, int], None] | None = None) -> IntegrityReport:
    """Check a set.

    Args:
        source: The set.
        progress: Called with (images done, images in all).

    Returns:
        What was found; problems do not raise, so that all of them are seen at once.

    Raises:
        DataError: The truth table itself can't be understood, so that there is nothing to compare with.
    """
    height = mias_facts.SIDE
    # Where none can be decoded, each is listed as a problem.
    with suppress(DataError):
        height = first_frame(source)[0]
    table = source.case_table or parse_info(source.info_text, image_height=height)
    cases = {case.image_id: case for case in table.cases}

    def examine(image_id: str, data: bytes) -> _Film:
        try:
            decoded = decode_image(data, image_id)
            image = decoded.grey
            region = require_film(image, image_id)
        except DataError as error:
            no_film = isinstance(error, NoFilmError)
            kind = "no-film" if no_film else "truncated" if is_truncated(data) else "undecodable"
            detail = f"expected {error.expected}, found {error.found.removesuffix(f' in {image_id}')}. {error.remedy}"
            return _Film(hashlib.sha256(data).hexdigest(), Problem(kind, image_id, detail))
        digest = hashlib.sha256(data if _is_pgm(source, image_id) else encode_pgm(image)).hexdigest()
        findings = cases[image_id].findings if image_id in cases else ()
        coverages = tuple(f.circle and circle_coverage(region.mask, *f.circle) for f in findings)
        pixels = hashlib.sha256(image.tobytes()).hexdigest()
        return _Film(
            digest, None, image.shape, pixels, thumbnail(image), coverages, region.chest_wall, decoded.spare_bits
        )

    films = work_on_films(source, examine, progress=progress)
    mias = source.case_table is None and mias_facts.claims_to_be_mias(table.image_ids, source.info_text)
    problems = [*_of_the_listing(source, table, films, mias), *_of_the_films(source, films, mias)]
    problems += [*_of_the_labels(source, table, films, mias), *_of_copies(cases, films)]
    coverages = [value for film in films.values() for value in film.coverages if value is not None]
    known = mias_facts.known_checksums()
    present = [case for case in table.cases if case.image_id in films]
    sides = Counter(
        f"{('even', 'odd')[int(image_id[3:]) % 2]} {film.chest_wall}"
        for image_id, film in films.items()
        if film.chest_wall and source.case_table is None
    )
    return IntegrityReport(
        location=source.location,
        mias=mias,
        images=len(films),
        patients=len({case.patient_id for case in present}),
        labels={name: sum(case.label == name for case in present) for name in table.class_names},
        findings=sum(len(case.findings) for case in present),
        circles=len(coverages),
        circles_inside=sum(value >= INSIDE for value in coverages),
        unlocatable=tuple(
            sorted(name for name, film in films.items() if any(v is None or _off_the_breast(v) for v in film.coverages))
        ),
        chest_wall=dict(sorted(sides.items())),
        matching_checksums=sum(known.get(f"{image_id}.pgm") == film.sha256 for image_id, film in films.items()),
        unused_bits=tuple(sorted(image_id for image_id, film in films.items() if film.spare_bits > 0)),
        primary_endpoint=table.primary_endpoint,
        remarks=table.remarks,
        problems=tuple(sorted(problems, key=lambda problem: (problem.kind, problem.subject))),
    )


def _of_the_listing(source: ImageSource, table: CaseTable, films: dict[str, _Film], mias: bool) -> Iterator[Problem]:
    listed = set(table.image_ids)
    for image_id in sorted(listed - set(films)):
        yield Problem("missing", image_id, "listed in the truth table, but there is no such image")
    for image_id in sorted(set(films) - listed):
        yield Problem("unlisted", image_id, "not in the truth table")
    for path in source.others:
        yield Problem("stray-image", path, "no film's name, not used; remove it", blocks=False)
    if mias and not mias_facts.has_published_labels(table):
        yield Problem("labels", "Info.txt", "another label, tissue or place than MIAS published")


def _of_the_films(source: ImageSource, films: dict[str, _Film], mias: bool) -> Iterator[Problem]:
    sizes = Counter(film.shape for film in films.values() if film.shape)
    frame = (mias_facts.SIDE, mias_facts.SIDE) if mias else sizes.most_common(1)[0][0] if sizes else ()
    known = mias_facts.known_checksums()
    for image_id, film in sorted(films.items()):
        if film.damage is not None:
            yield film.damage
        elif source.case_table is None and film.shape != frame:
            wanted = f"{frame[1]} × {frame[0]}"
            yield Problem("wrong-size", image_id, f"{film.shape[1]} × {film.shape[0]} pixels instead of {wanted}")
        elif mias and _is_pgm(source, image_id) and film.sha256 != known[f"{image_id}.pgm"]:
            yield Problem("altered", image_id, f"SHA-256 {film.sha256[:16]}… is not the known one")


def _of_the_labels(source: ImageSource, table: CaseTable, films: dict[str, _Film], mias: bool) -> Iterator[Problem]:
    for case in table.cases:
        if case.image_id not in films:
            continue
        true = {finding.severity for finding in case.findings} | {case.label}
        true |= {"abnormal"} if case.label != table.class_names[0] else set()
        for path in source.paths(case.image_id) if source.case_table is None else ():
            name = film_name(path)
            if name is not None and name.claims - true:
                yield Problem("mislabelled-folder", path, f"the truth table says {case.label}")
    for image_id, film in films.items():
        # A finding that was never given a place is the source's own statement; a circle off the breast is not.
        if any(map(_off_the_breast, film.coverages)) and not (mias and image_id in mias_facts.UNLOCATABLE):
            yield Problem("unlocatable", image_id, "a finding's circle lies in the background", blocks=False)


def _of_copies(cases: Mapping[str, Case], films: dict[str, _Film]) -> Iterator[Problem]:
    def harm(first: str, second: str) -> bool:
        one, other = cases.get(first), cases.get(second)
        # Twice in one woman's images it can't come to stand on two sides.
        return one is None or other is None or (one.patient_id, one.label) != (other.patient_id, other.label)

    originals: dict[str, str] = {}
    seen = [(image_id, film) for image_id, film in sorted(films.items()) if film.thumbnail is not None]
    for image_id, film in seen:
        if (original := originals.setdefault(film.pixels_sha256, image_id)) != image_id:
            yield Problem("duplicate", image_id, f"the same pixels as {original}", harm(original, image_id))
    if not seen:
        return
    thumbnails = np.stack([film.thumbnail for _, film in seen if film.thumbnail is not None])
    for i, j, correlation in near_duplicates(thumbnails):
        if seen[i][1].pixels_sha256 != seen[j][1].pixels_sha256:
            detail = f"the same film as {seen[i][0]} (thumbnails correlate by {correlation:.4f})"
            yield Problem("look-alike", seen[j][0], detail, harm(seen[i][0], seen[j][0]))


def _off_the_breast(coverage: float | None) -> bool:
    return coverage is not None and coverage < UNLOCATABLE_COVERAGE


def _is_pgm(source: ImageSource, image_id: str) -> bool:
    # Kaggle's scans come as the P5 files that they were made from.
    return source.paths(image_id)[0].lower().endswith((".pgm", ".h5", ".hdf5"))
