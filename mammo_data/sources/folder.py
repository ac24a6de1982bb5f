"""Films as files in a folder or below it, class folders included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mammo_data.sources.base import FilmSource, choose_info, conflicting_copies, films_fingerprint, read_file
from mammo_data.sources.film_names import film_name, is_archive, is_h5, is_image, is_info, require_plain_films


@dataclass(frozen=True)
class FolderListing:
    """What lies in a folder or below it, by kind; paths with slashes, relative to the folder, sorted."""

    films: Mapping[str, tuple[str, ...]]
    infos: Sequence[str]
    archives: Sequence[str]
    h5_files: Sequence[str]
    others: Sequence[str]


def list_folder(directory: Path) -> FolderListing:
    """List a folder; only names are looked at."""
    films: dict[str, tuple[str, ...]] = {}
    infos, archives, h5_files, others = [], [], [], []
    for found in sorted(directory.rglob("*")):
        path = found.relative_to(directory).as_posix()
        name = film_name(path)
        wanted = name or is_info(path) or is_archive(path) or is_h5(path) or is_image(path)
        if not wanted or not found.is_file():
            continue
        if is_info(path):
            infos.append(path)
        elif name is not None:
            films[name.image_id] = (*films.get(name.image_id, ()), path)
        elif is_image(path):
            others.append(path)
        elif is_archive(path):
            archives.append(path)
        else:
            h5_files.append(path)
    return FolderListing(films, infos, archives, h5_files, others)


class FolderSource(FilmSource):
    """Films as files.

    Args:
        directory: The folder.
        listing: What lies in it.
        info: The truth table where the folder's own is not to be used.

    Raises:
        DataError: The folder holds something else, or a film twice with different bytes.
    """

    def __init__(self, directory: Path, listing: FolderListing, info: bytes | None = None) -> None:
        self._directory = directory
        require_plain_films(len(listing.films), listing.others, str(directory))
        for image_id, (first, *copies) in listing.films.items():
            for copy in copies:
                if read_file(directory / copy) != read_file(directory / first):
                    raise conflicting_copies(image_id, first, copy, str(directory))
        infos = {} if info is not None else {path: read_file(directory / path) for path in listing.infos}
        super().__init__(str(directory), listing.films, choose_info(infos, info, str(directory)), tuple(listing.others))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all names and bytes."""
        # hashlib releases the GIL for large buffers, so threads share the work.
        with ThreadPoolExecutor() as pool:
            digests = pool.map(lambda image_id: hashlib.sha256(self.read(image_id)).hexdigest(), self.image_ids)
            return films_fingerprint(dict(zip(self.image_ids, digests, strict=True)), self._info)

    def read(self, image_id: str) -> bytes:
        """The encoded file of one film."""
        return read_file(self._directory / self._film_paths[image_id][0])

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All films in the order of their names."""
        for image_id in self.image_ids:
            yield image_id, self.read(image_id)
