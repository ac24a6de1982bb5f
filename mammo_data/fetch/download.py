"""The fetching of mini-MIAS: where it can be had and under what terms, verification of every file, a flat folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mammo_data.errors import DataError
from mammo_data.fetch.resuming import ResumingDownload
from mammo_data.fetch.transfer import Limits
from mammo_data.files import write_whole
from mammo_data.sources.archive_members import archive_members
from mammo_data.truth.mias import CHECKSUM_NOTE, CONFIRMED_BY_A_SECOND_COPY, known_checksums

ARCHIVE = "all-mias.tar.gz"
MIRRORS = ("http://peipa.essex.ac.uk/pix/mias/all-mias.tar.gz",)
"""Tried in this order. PEIPA, University of Essex, is the original place; the archive's own SHA-256 is not known, those
of the files in it are. Kaggle's mirror needs an account, and the 50 µm release at Cambridge is another set."""
LICENCE_NAME = "LICENCE-NOTICE.txt"
LICENCE_NOTICE = """\
The mini-MIAS database belongs to the Mammographic Image Analysis Society. By fetching it you accept the agreement that
comes with it (Licence.txt): use for research purposes only; no renting, leasing or selling; no warranty. Publications
that use it must cite: J Suckling et al (1994), The Mammographic Image Analysis Society Digital Mammogram Database,
Excerpta Medica, International Congress Series 1069, pp 375-378.
"""
_DOWNLOADING = ".downloading"


@dataclass(frozen=True)
class Fetched:
    """What is there now.

    Attributes:
        directory: The folder of the films.
        files: Number of verified files.
        downloaded: False where all of them were there before.
        url: Where they came from; "" where nothing was downloaded.
    """

    directory: Path
    files: int
    downloaded: bool
    url: str

    def as_json(self) -> dict[str, Any]:
        """As one JSON document."""
        return asdict(self) | {
            "directory": str(self.directory),
            "checksums_confirmed_by_a_second_copy": CONFIRMED_BY_A_SECOND_COPY,
            "checksums_note": CHECKSUM_NOTE,
        }


def fetch_mias(
    directory: Path,
    *,
    urls: tuple[str, ...] = (),
    known: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    progress: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Get the set into a folder; whatever is there already and genuine is not fetched again.

    Nothing is laid out before every file is verified. The licence notice is written beside the films.

    Args:
        directory: Where the films go, flat.
        urls: Where to try, in this order; the mirrors by default.
        known: SHA-256 (hex) by name of all files to expect; MIAS's by default.
        timeout: Seconds without a byte after which a server is given up.
        progress: Called with (bytes there, bytes in all; 0 where the server does not say).

    Raises:
        DataError: No place gave the archive, or a file in it is not the genuine one.
    """
    known = known_checksums() if known is None else known
    if _all_there(directory, known):
        return Fetched(directory, len(known), downloaded=False, url="")
    urls = urls or MIRRORS
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise DataError(expected="an http or https address", found=repr(url), remedy="Correct --url.")
    working = directory / _DOWNLOADING
    try:
        directory.mkdir(parents=True, exist_ok=True)
        archive, url = _download(urls, working, timeout, progress)
        _lay_out(archive, directory, known)
    except DataError:
        if not any(part.stat().st_size for part in working.glob("*.part")):
            shutil.rmtree(working, ignore_errors=True)
            with suppress(OSError):  # it may have something else
                directory.rmdir()
        raise
    except OSError as error:
        raise DataError(
            expected=f"a folder to write to at {directory}",
            found=error.strerror or str(error),
            remedy="Name another with --to.",
        ) from error
    shutil.rmtree(working)
    return Fetched(directory, len(known), downloaded=True, url=url)


def _download(
    urls: tuple[str, ...], working: Path, timeout: float, progress: Callable[[int, int], None] | None
) -> tuple[Path, str]:
    failures: list[DataError] = []
    for url in urls:
        # Parts of different places must not be joined.
        archive = working / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{ARCHIVE}"
        try:
            if not archive.is_file():
                ResumingDownload(
                    url,
                    archive,
                    what="the archive",
                    remedy=f"Or name another address with --url, or bring the archive: run --data {ARCHIVE}.",
                    limits=Limits(silence=timeout),
                    progress=progress,
                ).finish()
            return archive, url
        except DataError as error:
            failures.append(error)
    raise failures[-1]


def _lay_out(archive: Path, directory: Path, known: Mapping[str, str]) -> None:
    """Verify all files in one pass, then write them in a second; nothing is written if one is wrong."""
    try:
        wrong, seen = [], set()
        for name, data in _known_files(archive, known):
            seen.add(name)
            if hashlib.sha256(data).hexdigest() != known[name]:
                wrong.append(name)
        faults = {"with another": wrong, "missing": sorted(set(known) - seen)}
        found = [f"{len(names)} {fault}, {names[0]} first" for fault, names in faults.items() if names]
        if found:
            raise DataError(
                expected=f"{len(known)} files with the known SHA-256 in the archive",
                found=" and ".join(found),
                remedy="Try again, or name another address with --url; the archive was removed, no film was written.",
            )
    except DataError:
        archive.unlink()
        raise
    (directory / LICENCE_NAME).write_text(LICENCE_NOTICE, encoding="utf-8")
    for name, data in _known_files(archive, known):
        write_whole(directory / name, data)


def _known_files(archive: Path, known: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for member in archive_members(archive):
        # The name alone, never the archive's path: where a file goes is decided here.
        name = PurePosixPath(member.path).name
        if name in known:
            yield name, member.read()


def _all_there(directory: Path, known: Mapping[str, str]) -> bool:
    if not all((directory / name).is_file() for name in known):
        return False
    return all(hashlib.sha256((directory / name).read_bytes()).hexdigest() == sha for name, sha in known.items())
