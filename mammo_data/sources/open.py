"""Where images lie: a folder, an archive or an HDF5 file, whichever way the set was packaged, as one `ImageSource`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mammo_data.cases import CaseTable
from mammo_data.errors import DataError
from mammo_data.sources.archive import ArchiveSource
from mammo_data.sources.archive_members import is_archive_file
from mammo_data.sources.base import ImageSource, choose_info, read_file
from mammo_data.sources.case_folder import CASES_NAME, CaseFolder
from mammo_data.sources.film_names import INFO_NAME, is_h5, require_plain_films
from mammo_data.sources.folder import FolderListing, FolderSource, list_folder
from mammo_data.sources.h5 import H5Source
from mammo_data.truth.info_txt import parse_info

if TYPE_CHECKING:
    from mammo_data.sources.base import ImageSource


__all__ = ["ImageSource", "open_source"]
_H5_MAGIC = b"\x89HDF\r\n\x1a\n"


def open_source(path: Path, info: Path | None = None) -> ImageSource:
    """Open a set of images as it was packaged; nothing is unpacked to disk.

    Understood are a folder that holds the films (PGM, PNG, JPEG or TIFF, at any depth, in class folders or not), a tar
    or zip archive of it (nested archives too), Kaggle's ``all_mias_scans.h5``, a folder that holds one of these, and a
    folder with a ``cases.csv``. Where a folder has films as files, archives beside them are not looked at.

    Args:
        path: The folder or file.
        info: The truth table, where it does not lie with the images.

    Raises:
        DataError: There is nothing at ``path``, or nothing that this understands or may read.
    """
    try:
        return _opened(Path(path), info)
    except OSError as error:
        raise DataError(
            expected="images that can be read",
            found=f"{error.strerror or error} at {error.filename or path}",
            remedy="Check --data and its permissions.",
        ) from error


def _opened(path: Path, info: Path | None) -> ImageSource:
    info_bytes = None if info is None else read_file(Path(info))
    if path.is_dir():
        return _open_folder(path, info_bytes)
    if path.is_file():
        if path.name.lower() == CASES_NAME:
            return CaseFolder(path.parent, path)
        beside = _info_beside(path) if info_bytes is None else None
        if is_h5(path.name) or _starts_with(path, _H5_MAGIC):
            return H5Source(path, info_bytes or beside)
        if is_archive_file(path):
            return ArchiveSource(path, info_bytes, beside)
    raise _no_set(f"{'another kind of file' if path.exists() else 'nothing'} at {path}")


def _no_set(found: str) -> DataError:
    return DataError(
        expected="a folder of mdb001.pgm … with Info.txt, an archive of them, or a folder with a cases.csv",
        found=found,
        remedy="Get the images with `mammo-search data fetch`, point --data at them, or try `mammo-search run --demo`.",
    )


def _open_folder(directory: Path, info: bytes | None) -> ImageSource:
    table = next((found for found in sorted(directory.iterdir()) if found.name.lower() == CASES_NAME), None)
    if table is not None:
        return CaseFolder(directory, table)
    listing = list_folder(directory)
    if not (listing.films or listing.others or listing.infos or listing.archives or listing.h5_files):
        raise _no_set(f"nothing of the kind in {directory}")
    if listing.films or len(listing.archives) + len(listing.h5_files) == 0:
        return FolderSource(directory, listing, info)
    require_plain_films(0, listing.others, str(directory))
    packed = _the_one_packed_file(directory, listing)
    if info is None and listing.infos:
        info = choose_info({found: read_file(directory / found) for found in listing.infos}, None, str(directory))
    return H5Source(packed, info) if is_h5(packed.name) else ArchiveSource(packed, info)


def _the_one_packed_file(directory: Path, listing: FolderListing) -> Path:
    # An archive before an HDF5 file: its truth table is the original.
    candidates = listing.archives or listing.h5_files
    if len(candidates) > 1:
        raise DataError(
            expected="one archive of films in the folder",
            found=f"{len(candidates)}, {candidates[0]} and {candidates[1]} among them, in {directory}",
            remedy="Point --data at the one to use.",
        )
    return directory / candidates[0]


def _info_beside(path: Path) -> bytes | None:
    for found in sorted(path.parent.iterdir()):
        if found.name.lower() == INFO_NAME and found.is_file():
            return read_file(found)
    return None


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def load_cases(source: ImageSource) -> CaseTable:
    """The case table of a source, its findings in the frame of the source's own images.

    The image height that the flip of y needs is that of the first image; `prepare` refuses a set of mixed sizes. A
    table of all 322 films that is not the one that MIAS published is refused (see `mias_facts`).

    Raises:
        DataError: As `parse_info`, or a row without its image, or an image without its row, or another truth table.
    """
    from mammo_data.decoding.decode import decode_grey
    from mammo_data.truth.mias import require_published_labels, require_published_size

    if source.case_table is not None:
        return source.case_table
    if not source.image_ids:
        raise DataError(
            expected="images named mdb001.pgm, mdb002.pgm, …",
            found=f"none in {source.location}",
            remedy="Point --data at the folder or archive that holds them.",
        )
    first = source.image_ids[0]
    height, width = decode_grey(source.read(first), first).shape
    require_published_size(source.image_ids, source.info_text, (height, width), source.location)
    table = parse_info(source.info_text, image_height=height)
    images, rows = source.image_ids, table.image_ids
    _require_same("an image for every row of Info.txt", "no image for", rows, images, source.location)
    _require_same("a row of Info.txt for every image", "no row for", images, rows, source.location)
    require_published_labels(table, source.info_text, source.location)
    return table


def _require_same(expected: str, absent: str, wanted: tuple[str, ...], there: tuple[str, ...], location: str) -> None:
    missing = sorted(set(wanted) - set(there))
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise DataError(
            expected=expected, found=f"{absent} {shown} in {location}", remedy="Complete or re-fetch the set."
        )
