"""A folder with a cases.csv: any mammograms, any classes, as an `ImageSource`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mammo_data.cases import CaseTable
from mammo_data.errors import DataError
from mammo_data.sources.base import read_file
from mammo_data.truth.cases_csv import parse_cases
from mammo_data.truth.info_txt import decode_info

CASES_NAME = "cases.csv"
LARGEST_FILM = 512 * 2**20
"""Bytes; an uncompressed 16-bit tomosynthesis slice or full-field mammogram has up to about 60 MiB."""


class CaseFolder:
    """Images listed in a table.

    Args:
        directory: The folder that the table's paths start from.
        table: The table, usually ``cases.csv`` in it.

    Raises:
        DataError: The table can't be read, or names a file that is not there.
    """

    def __init__(self, directory: Path, table: Path) -> None:
        self._directory = directory
        self.location = str(directory)
        self.info_text = ""
        self.others: tuple[str, ...] = ()
        listed = parse_cases(decode_info(read_file(table), str(table)), str(table))
        self._files = listed.files
        self.case_table: CaseTable | None = listed.table
        self.image_ids = tuple(sorted(listed.files))
        missing = [path for path in listed.files.values() if not (directory / path).is_file()]
        if missing:
            more = f" and {len(missing) - 1} more missing" if missing[1:] else ""
            raise DataError(
                expected=f"the images that {table.name} lists",
                found=f"no {missing[0]}{more} in {directory}",
                remedy="Add the files or remove their lines.",
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the table and of all images' bytes."""
        digests = [[image_id, hashlib.sha256(data).hexdigest()] for image_id, data in self.stream()]
        table = self.case_table.fingerprint if self.case_table is not None else ""
        return hashlib.sha256(json.dumps([table, digests]).encode()).hexdigest()

    def paths(self, image_id: str) -> tuple[str, ...]:
        """Where an image lies below the folder."""
        return (self._files[image_id],)

    def read(self, image_id: str) -> bytes:
        """The encoded file of one image."""
        return read_file(self._directory / self._files[image_id], LARGEST_FILM)

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All images in the order of their names."""
        for image_id in self.image_ids:
            yield image_id, self.read(image_id)
