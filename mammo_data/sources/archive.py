"""Films in a tar or zip archive, nested archives included, read in passes from its beginning to its end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mammo_data.errors import DataError
from mammo_data.sources.archive_members import Member, archive_members
from mammo_data.sources.base import FilmSource, choose_info, conflicting_copies, films_fingerprint
from mammo_data.sources.film_names import INFO_NAME, film_name, is_h5, is_image, is_info, require_plain_films


class ArchiveSource(FilmSource):
    """Films in an archive; nothing is unpacked to disk.

    Args:
        path: The archive.
        info: The truth table where the archive's own is not to be used.
        beside: The truth table where the archive has none of its own.

    Raises:
        DataError: The archive is damaged or hostile, holds something else, or a film twice with different bytes.
    """

    def __init__(self, path: Path, info: bytes | None = None, beside: bytes | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._cursor: Iterator[Member] | None = None
        self._digests: dict[str, str] = {}
        infos: dict[str, bytes] = {}
        paths: dict[str, tuple[str, ...]] = {}
        others: list[str] = []
        scans = ""
        for member in archive_members(path):
            if is_info(member.path):
                infos[member.path] = member.read()
            elif name := film_name(member.path):
                digest = hashlib.sha256(member.read()).hexdigest()
                known = paths.get(name.image_id, ())
                if self._digests.setdefault(name.image_id, digest) != digest:
                    raise conflicting_copies(name.image_id, known[0], member.path, str(path))
                paths[name.image_id] = (*known, member.path)
            elif is_image(member.path):
                others.append(member.path)
            elif is_h5(member.path):
                scans = member.path
        require_plain_films(len(paths), others, str(path))
        if scans and not paths:
            raise DataError(
                expected="films in the archive",
                found=f"only {scans} in {path}",
                remedy="Unpack that file and point --data at it.",
            )
        if not infos and beside is not None:
            infos = {INFO_NAME: beside}
        super().__init__(str(path), paths, choose_info(infos, info, str(path)), tuple(others))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all names and bytes, not of the archive: repacking changes nothing."""
        return films_fingerprint(self._digests, self._info)

    def read(self, image_id: str) -> bytes:
        """The encoded file of one film; cheap in the archive's order, a pass from its beginning otherwise."""
        wanted = self._film_paths[image_id][0]
        with self._lock:
            for _ in range(2):
                if self._cursor is None:
                    self._cursor = archive_members(self._path)
                for member in self._cursor:
                    if member.path == wanted:
                        return member.read()
                self._cursor = None
        raise DataError(
            expected=f"{wanted} in {self._path}, as it was when it was opened",
            found="an archive that has changed since",
            remedy="Start again.",
        )

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All films in the archive's order, in one pass."""
        firsts = {paths[0]: image_id for image_id, paths in self._film_paths.items()}
        for member in archive_members(self._path):
            # A name may stand in an archive twice; its copies are equal, which was seen at the opening.
            if (image_id := firsts.pop(member.path, None)) is not None:
                yield image_id, member.read()
