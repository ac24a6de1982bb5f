"""Films as files in a folder or below it: MIAS's by their names, or any mammograms that a cases.csv lists."""

from __future__ import annotations

import filecmp
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from mammo_data.errors import DataError
from mammo_data.files import sha256_of
from mammo_data.sources.base import (
    LARGEST_FILM,
    ImageSource,
    choose_info,
    conflicting_copies,
    digest_of,
    files_below,
)
from mammo_data.sources.film_names import film_name, kind_of_file, require_plain_films
from mammo_data.truth.cases_csv import ListedCases, parse_cases
from mammo_data.truth.reading import decode_table, read_file


def list_folder(directory: Path) -> dict[str, list[str]]:
    """What lies in a folder or below it by kind (see `kind_of_file`); sorted paths with slashes, relative to it."""
    listing: dict[str, list[str]] = {"image": [], "info": [], "cases": [], "archive": [], "h5": []}
    for path in files_below(directory):
        if (kind := kind_of_file(path)) and (directory / path).is_file():
            listing[kind].append(path)
    return listing


class FolderSource(ImageSource):
    """MIAS's films as files.

    Args:
        directory: The folder.
        listing: What lies in it.
        info: The truth table where the folder's own is not to be used.

    Raises:
        DataError: The folder holds something else, or a film twice with different bytes.
    """

    def __init__(self, directory: Path, listing: dict[str, list[str]], info: bytes | None = None) -> None:
        self._directory = directory
        films: dict[str, list[str]] = {}
        others: list[str] = []
        for path in listing["image"]:
            name = film_name(path)
            (others if name is None else films.setdefault(name.image_id, [])).append(path)
        require_plain_films(len(films), others, str(directory))
        for image_id, (first, *copies) in films.items():
            for copy in copies:
                if not filecmp.cmp(directory / copy, directory / first, shallow=False):
                    raise conflicting_copies(image_id, first, copy, str(directory))
        if info is None:
            info = choose_info(listing["info"], lambda path: read_file(directory / path), str(directory))
        super().__init__(str(directory), films, info, others)

    def read(self, image_id: str) -> bytes:
        """The encoded file of one film."""
        return read_file(self._directory / self._paths[image_id][0], LARGEST_FILM)

    def _digest(self, image_id: str) -> str:
        return digest_of(self._directory / self._paths[image_id][0])


class CaseFolder(ImageSource):
    """Images that a table lists.

    Args:
        table: The table, usually ``cases.csv``; its paths start from the folder it lies in.
        classes: The order of its classes, as `parse_cases` takes it.

    Raises:
        DataError: The table can't be read, or names a file that is not there.
    """

    def __init__(self, table: Path, classes: Sequence[str] = ()) -> None:
        self._directory = table.parent
        listed = parse_cases(decode_table(read_file(table), str(table)), str(table), classes)
        files = {image_id: (path,) for image_id, path in listed.files.items()}
        if missing := [image_id for image_id, path in listed.files.items() if not (table.parent / path).is_file()]:
            # A table and a disk may write one name with composed and with decomposed letters.
            there = {unicodedata.normalize("NFC", path): path for path in files_below(table.parent)}
            files |= {image_id: (there.get(path, path),) for image_id in missing for path in files[image_id]}
            missing = [image_id for image_id in missing if listed.files[image_id] not in there]
            _require_none_missing(missing, listed, table, there)
        self._listed = listed.table
        super().__init__(str(table.parent), files, case_table=listed.table)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the table and of all images' bytes."""
        return sha256_of([self._listed.fingerprint, list(self.digests.items())])

    def read(self, image_id: str) -> bytes:
        """The encoded file of one image."""
        return read_file(self._directory / self._paths[image_id][0], LARGEST_FILM)

    def _digest(self, image_id: str) -> str:
        return digest_of(self._directory / self._paths[image_id][0])


def _require_none_missing(missing: list[str], listed: ListedCases, table: Path, there: Mapping[str, str]) -> None:
    if missing and len(missing) == len(listed.files):
        raise DataError(
            expected=f"the images that {table.name} lists",
            found=f"none of {len(missing)}, for example no {listed.files[missing[0]]} in {table.parent}",
            remedy="Paths in a table start from its folder: correct them, or move the table.",
        )
    # Systems that take a.png and A.PNG for one file write tables that mean the other.
    alike = {path.casefold(): path for path in there}
    wrong = []
    for image_id in missing:
        path = listed.files[image_id]
        found = f"no {path}" + (f", but {alike[path.casefold()]}," if path.casefold() in alike else "")
        wrong.append(
            DataError(
                expected=f"the image that line {listed.lines[image_id]} of {table.name} lists",
                found=f"{found} in {table.parent}",
                remedy="Add the file, or correct that line.",
            )
        )
    if wrong:
        raise DataError.of_all(wrong)
