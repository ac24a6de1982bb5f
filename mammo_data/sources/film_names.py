"""File names and what they say: a MIAS film, the truth table, an archive, another image, or the 50 µm release."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mammo_data.errors import DataError

INFO_NAME, CASES_NAME = "info.txt", "cases.csv"
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
IMAGE_SUFFIXES = (".pgm", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_KINDS = {"image": IMAGE_SUFFIXES, "archive": (*TAR_SUFFIXES, ".zip"), "h5": (".h5", ".hdf5")}

_CLASS_WORDS = {word: word for word in ("normal", "benign", "malignant", "abnormal")} | {"norm": "normal"}
_FILM = re.compile(rf"^(mdb[0-9]{{3}})(?:[-_ ]({'|'.join(_CLASS_WORDS)}))?$", re.IGNORECASE)
# The 50 µm files carry the side (l, r) and the film's size (s, m, l, x) after the number.
_FIFTY_MICRON_STEM = re.compile(r"^mdb[0-9]{3}[lr][smlx]?$", re.IGNORECASE)
_FIFTY_MICRON_PART = re.compile(r"mias.{0,8}1\.21", re.IGNORECASE)


@dataclass(frozen=True)
class FilmName:
    """A film's name.

    Attributes:
        image_id: "mdb001", lower case.
        claims: What a class suffix and class folders say of it: "normal", "benign", "malignant" or "abnormal".
    """

    image_id: str
    claims: frozenset[str]


def film_name(path: str) -> FilmName | None:
    """The film that a path names, or None.

    Class folders (``benign/mdb001_benign.pgm``) count as claims, not as part of the name.

    Args:
        path: A path with slashes, relative to the set.
    """
    pure = PurePosixPath(path)
    stem = pure.stem
    # Converters that append write mdb001.pgm.png.
    while PurePosixPath(stem).suffix.lower() in (*IMAGE_SUFFIXES, *DICOM_SUFFIXES):
        stem = PurePosixPath(stem).stem
    match = _FILM.match(stem)
    if match is None or kind_of_file(path) != "image":
        return None
    words = [word.lower() for word in ((match[2] or ""), *pure.parts[:-1])]
    return FilmName(match[1].lower(), frozenset(_CLASS_WORDS[word] for word in words if word in _CLASS_WORDS))


def kind_of_file(path: str) -> str:
    """What a path's name says: "image" (a film or not), "info" (Info.txt), "cases", "archive", "h5", or "" for others.

    Hidden files, and those in hidden folders, are none.
    """
    name = PurePosixPath(path).name.lower()
    if is_hidden(path):
        return ""
    if name in (INFO_NAME, CASES_NAME):
        return "info" if name == INFO_NAME else "cases"
    return next((kind for kind, suffixes in _KINDS.items() if name.endswith(suffixes)), "")


def is_hidden(path: str) -> bool:
    """Whether a file or a folder that it lies in is one of those that systems hide, or keep beside the files."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(path).parts)


def is_fifty_micron(path: str) -> bool:
    """Whether a path belongs to the 50 µm release (v1.21), whose truth table counts in another frame."""
    stem = PurePosixPath(path).name.split(".")[0]
    return bool(_FIFTY_MICRON_STEM.match(stem) or _FIFTY_MICRON_PART.search(path))


def require_plain_films(films: int, others: Sequence[str], location: str) -> None:
    """Refuse a set that is not the 322 films and something beside them, but something else.

    Args:
        films: Number of images with a plain name.
        others: Paths of all further images.
        location: What to call the set.

    Raises:
        DataError: The set is the 50 µm release, or has more images without a plain name than with one: an augmented
            copy of a film lands on the other side of a split than the film, and inflates every figure.
    """
    fifty = [path for path in others if is_fifty_micron(path)]
    if fifty and len(fifty) > films:
        raise DataError(
            expected="the 200 µm mini-MIAS films, 1024 × 1024 pixels, with their own Info.txt",
            found=f"the 50 µm release v1.21 ({fifty[0]} and {len(fifty) - 1} more) in {location}, whose names, frame "
            "and truth table differ, so that circles would mark the wrong places",
            remedy="Get the mini-MIAS set (`mammo-search data fetch`), or describe your own with a cases.csv.",
        )
    if len(others) > films:
        raise DataError(
            expected="films with plain names such as mdb001.pgm, one file each",
            found=f"{films} of these and {len(others)} other images such as {others[0]} in {location}; copies made "
            "before the split leak from training into test",
            remedy="Use the original 322 films (augmentation is done here, in training only), or a cases.csv.",
        )
