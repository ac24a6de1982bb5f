"""The opening of a set: a folder, an archive or an HDF5 file, whichever way it was packaged, as one `ImageSource`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mammo_data.cases import CaseTable
from mammo_data.decoding.decode import decode_grey
from mammo_data.errors import DataError
from mammo_data.sources.archive import ArchiveSource
from mammo_data.sources.archive_members import is_archive_file
from mammo_data.sources.base import ImageSource, choose_info, first_bytes
from mammo_data.sources.film_names import film_name, kind_of_file, require_plain_films
from mammo_data.sources.folder import CaseFolder, FolderSource, list_folder
from mammo_data.sources.h5 import H5Source
from mammo_data.truth.info_txt import parse_info
from mammo_data.truth.mias import require_published_labels, require_published_size
from mammo_data.truth.reading import read_file

_H5_MAGIC = b"\x89HDF\r\n\x1a\n"


def open_source(path: Path, info: Path | None = None, classes: Sequence[str] = ()) -> ImageSource:
    """Open a set of images as it was packaged; nothing is unpacked to disk.

    Understood are a folder that holds the films (PGM, PNG, JPEG or TIFF, at any depth, in class folders or not), a tar
    or zip archive of it (nested archives too), Kaggle's ``all_mias_scans.h5``, a folder that holds one of these, and a
    folder with a ``cases.csv``. Where a folder has films as files, archives beside them are not looked at.

    Args:
        path: The folder or file.
        info: The truth table, where it does not lie with the images.
        classes: The labels of a cases.csv from harmless to worst, where they are not known words; Info.txt has its own.

    Raises:
        DataError: There is nothing at ``path``, or nothing that this understands or may read.
    """
    path = Path(path)
    try:
        given = None if info is None else read_file(Path(info))
        return _open_folder(path, given, classes) if path.is_dir() else _open_file(path, given, classes)
    except OSError as error:
        raise DataError(
            expected="images that can be read",
            found=f"{error.strerror or error} at {error.filename or path}",
            remedy="Check --data and its permissions.",
        ) from error


def _open_file(path: Path, info: bytes | None, classes: Sequence[str]) -> ImageSource:
    if path.is_file():
        if kind_of_file(path.name) == "cases":
            return _case_folder(path, info, classes)
        infos = [] if info is not None else [found.name for found in _files_of(path.parent, "info")]
        beside = _chosen(path.parent, infos) if infos else None
        if kind_of_file(path.name) == "h5" or first_bytes(path, len(_H5_MAGIC)) == _H5_MAGIC:
            return H5Source(path, info or beside)
        if is_archive_file(path):
            return ArchiveSource(path, info, beside)
    raise _no_set(f"{'another kind of file' if path.exists() else 'nothing'} at {path}")


def _files_of(directory: Path, kind: str) -> list[Path]:
    return [found for found in sorted(directory.iterdir()) if kind_of_file(found.name) == kind and found.is_file()]


def _chosen(directory: Path, infos: Sequence[str]) -> bytes:
    return choose_info(infos, lambda path: read_file(directory / path), str(directory))


def _case_folder(table: Path, info: bytes | None, classes: Sequence[str]) -> CaseFolder:
    if info is not None:
        raise DataError(
            expected="either a cases.csv or --info",
            found=f"both, with {table}",
            remedy="Leave --info out, or point --data at MIAS's films without that table.",
        )
    return CaseFolder(table, classes)


def _no_set(found: str) -> DataError:
    return DataError(
        expected="a folder of mdb001.pgm … with Info.txt, an archive of them, or a folder with a cases.csv",
        found=found,
        remedy="Get the images with `mammo-search data fetch`, point --data at them, or try `mammo-search run --demo`.",
    )


def _open_folder(directory: Path, info: bytes | None, classes: Sequence[str]) -> ImageSource:
    tables = _files_of(directory, "cases")
    if tables[1:]:
        raise DataError(
            expected="one cases.csv in the folder",
            found=f"{' and '.join(table.name for table in tables)} in {directory}",
            remedy="Remove or rename the one that is not meant.",
        )
    if tables:
        return _case_folder(tables[0], info, classes)
    listing = list_folder(directory)
    if listing["cases"]:
        raise DataError(
            expected="a cases.csv in the folder that --data names",
            found=f"{listing['cases'][0]} in {directory}",
            remedy="Point --data at the folder of that table, or move the table out if it is not meant.",
        )
    if not any(listing.values()):
        raise _no_set(f"nothing of the kind in {directory}")
    # An archive before an HDF5 file: its truth table is the original.
    packed = listing["archive"] or listing["h5"]
    if not packed or any(map(film_name, listing["image"])):
        return FolderSource(directory, listing, info)
    require_plain_films(0, listing["image"], str(directory))
    if len(packed) > 1:
        raise DataError(
            expected="one archive of films in the folder",
            found=f"{len(packed)}, {packed[0]} and {packed[1]} among them, in {directory}",
            remedy="Point --data at the one to use.",
        )
    if info is None and listing["info"]:
        info = _chosen(directory, listing["info"])
    return (ArchiveSource if listing["archive"] else H5Source)(directory / packed[0], info)


def load_cases(source: ImageSource) -> CaseTable:
    """The case table of a source, its findings in the frame of the source's own images.

    The image height that the flip of y needs is that of the first image; `prepare` refuses a set of mixed sizes. A
    table of all 322 films that is not the one that MIAS published is refused (see `mammo_data.truth.mias`).

    Raises:
        DataError: As `parse_info`, or a row without its image, or an image without its row, or another truth table.
    """
    if source.case_table is not None:
        return source.case_table
    shape = first_frame(source)
    require_published_size(source.image_ids, source.info_text, shape, source.location)
    table = parse_info(source.info_text, image_height=shape[0])
    images, rows = source.image_ids, table.image_ids
    _require_same("an image for every row of Info.txt", "no image for", rows, images, source.location)
    _require_same("a row of Info.txt for every image", "no row for", images, rows, source.location)
    require_published_labels(table, source.info_text, source.location)
    return table


def first_frame(source: ImageSource) -> tuple[int, int]:
    """Height and width in pixels of the first image that can be decoded: the frame that Info.txt's y counts in.

    Raises:
        DataError: There is no image, or none can be decoded.
    """
    first: DataError | None = None
    for image_id in source.image_ids:
        try:
            height, width = decode_grey(source.read(image_id), image_id).shape
        except DataError as error:
            first = first or error
        else:
            return height, width
    raise first or DataError(
        expected="images named mdb001.pgm, mdb002.pgm, …",
        found=f"none in {source.location}",
        remedy="Point --data at the folder or archive that holds them.",
    )


def _require_same(expected: str, absent: str, wanted: tuple[str, ...], there: tuple[str, ...], location: str) -> None:
    missing = sorted(set(wanted) - set(there))
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise DataError(
            expected=expected, found=f"{absent} {shown} in {location}", remedy="Complete or re-fetch the set."
        )
