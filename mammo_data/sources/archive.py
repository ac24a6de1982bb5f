"""Films in a tar or zip archive, nested archives included, read in passes from its beginning to its end."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

from mammo_data.errors import DataError
from mammo_data.sources.archive_members import Member, archive_members
from mammo_data.sources.base import ImageSource, choose_info, conflicting_copies
from mammo_data.sources.film_names import film_name, kind_of_file, require_plain_films
from mammo_data.truth.reading import LARGEST_TABLE, require_size


class ArchiveSource(ImageSource):
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
        self._cursor: Iterator[Member] = iter(())
        self.digests = {}
        infos: dict[str, bytes] = {}
        films: dict[str, list[str]] = {}
        unused: dict[str, list[str]] = {"image": [], "h5": [], "cases": []}
        for member in archive_members(path):
            if name := film_name(member.path):
                films.setdefault(name.image_id, []).append(member.path)
                digest = hashlib.sha256(member.read()).hexdigest()
                if self.digests.setdefault(name.image_id, digest) != digest:
                    raise conflicting_copies(name.image_id, films[name.image_id][0], member.path, str(path))
            elif (kind := kind_of_file(member.path)) == "info":
                infos = _with_info(infos, member, str(path))
            elif kind in unused:
                unused[kind].append(member.path)
        if unused["cases"]:
            raise DataError(
                expected="a cases.csv in a folder, with the images that it lists",
                found=f"{unused['cases'][0]} in {path}",
                remedy="Unpack the archive and point --data at the folder of that table.",
            )
        require_plain_films(len(films), unused["image"], str(path))
        if unused["h5"] and not films:
            raise DataError(
                expected="films in the archive",
                found=f"only {unused['h5'][-1]} in {path}",
                remedy="Unpack that file and point --data at it.",
            )
        if info is None:
            info = choose_info(infos, infos.__getitem__, str(path)) if infos or beside is None else beside
        super().__init__(str(path), films, info, unused["image"])

    def read(self, image_id: str) -> bytes:
        """The encoded file of one film; cheap in the archive's order, a pass from its beginning otherwise."""
        wanted = self._paths[image_id][0]
        with self._lock:
            for _ in range(2):
                for member in self._cursor:
                    if member.path == wanted:
                        return member.read()
                self._cursor = archive_members(self._path)
        raise DataError(
            expected=f"{wanted} in {self._path}, as it was when it was opened",
            found="an archive that has changed since",
            remedy="Start again.",
        )

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """All films in the archive's order, in one pass."""
        firsts = {paths[0]: image_id for image_id, paths in self._paths.items()}
        for member in archive_members(self._path):
            # A name may stand in an archive twice; its copies are equal, which was seen at the opening.
            if (image_id := firsts.pop(member.path, None)) is not None:
                yield image_id, member.read()


def _with_info(infos: dict[str, bytes], member: Member, location: str) -> dict[str, bytes]:
    """The truth tables that are nearest to the top, with one more; of many, two that differ are kept."""
    nearest, depth = min((path.count("/") for path in infos), default=None), member.path.count("/")
    if nearest is not None and (depth > nearest or (depth == nearest and len(infos) > 1)):
        return infos
    require_size(member.size, LARGEST_TABLE, f"{member.path} of {location}")
    table = member.read()
    if depth != nearest:
        return {member.path: table}
    return infos if table in infos.values() else {**infos, member.path: table}
