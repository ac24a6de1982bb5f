"""Fetching mini-MIAS: download, verification of every file in it, and the films laid out as a flat folder.

Where the mini-MIAS archive can be had, and under what terms: the one table to change when an address does.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mammo_data.errors import DataError
from mammo_data.fetch.resuming import ResumingDownload
from mammo_data.sources.archive_members import archive_members
from mammo_data.truth.mias import CHECKSUM_NOTE, CONFIRMED_BY_A_SECOND_COPY, known_checksums

ARCHIVE = "all-mias.tar.gz"
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
        return {
            "directory": str(self.directory),
            "files": self.files,
            "downloaded": self.downloaded,
            "url": self.url,
            "checksums_confirmed_by_a_second_copy": CONFIRMED_BY_A_SECOND_COPY,
            "checksums_note": CHECKSUM_NOTE,
        }


def fetch(
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
    urls = urls or tuple(mirror.url for mirror in MIRRORS)
    for url in urls:
        if not url.lower().startswith(("http://", "https://")):
            raise DataError(expected="an http or https address", found=repr(url), remedy="Correct --url.")
    working = directory / _DOWNLOADING
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / LICENCE_NAME).write_text(LICENCE_NOTICE, encoding="utf-8")
        archive, url = _download(urls, working, timeout, progress)
        _lay_out(archive, directory, known)
    except DataError:
        if not any(part.stat().st_size for part in working.glob("*.part")):
            shutil.rmtree(working, ignore_errors=True)
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
    import pooch

    failures: list[DataError] = []
    for url in urls:
        # Parts of different places must not be joined.
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{ARCHIVE}"
        download = ResumingDownload(working / f"{name}.part", timeout=timeout, progress=progress)
        try:
            with _quiet_pooch():
                path = pooch.retrieve(url, known_hash=None, fname=name, path=working, downloader=download)
            return Path(path), url
        except DataError as error:
            failures.append(error)
    raise failures[-1]


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Without pooch's advice to note the archive's hash: each file in it is verified."""
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _lay_out(archive: Path, directory: Path, known: Mapping[str, str]) -> None:
    """Verify all files in one pass, then write them in a second; nothing is written if one is wrong."""
    try:
        wrong, seen = [], set()
        for name, data in _known_files(archive, known):
            seen.add(name)
            if hashlib.sha256(data).hexdigest() != known[name]:
                wrong.append(name)
        missing = sorted(set(known) - seen)
        if wrong or missing:
            found = [f"{len(wrong)} with another, {wrong[0]} first"] if wrong else []
            found += [f"{len(missing)} missing, {missing[0]} first"] if missing else []
            raise DataError(
                expected=f"{len(known)} files with the known SHA-256 in the archive",
                found=" and ".join(found),
                remedy="Try again, or name another address with --url; the archive was removed, no film was written.",
            )
    except DataError:
        archive.unlink()
        raise
    for name, data in _known_files(archive, known):
        temporary = directory / f".{name}.part"
        temporary.write_bytes(data)
        temporary.replace(directory / name)


def _known_files(archive: Path, known: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for member in archive_members(archive):
        # The name alone, never the archive's path: where a file goes is decided here.
        name = PurePosixPath(member.path).name
        if name in known:
            yield name, member.read()


def _all_there(directory: Path, known: Mapping[str, str]) -> bool:
    paths = [(directory / name, digest) for name, digest in known.items()]
    if not all(path.is_file() for path, _ in paths):
        return False
    return all(hashlib.sha256(path.read_bytes()).hexdigest() == digest for path, digest in paths)


@dataclass(frozen=True)
class Mirror:
    """A place that offers the archive.

    Attributes:
        name: Who runs it.
        url: The archive, http or https.
        note: What is particular about it.
    """

    name: str
    url: str
    note: str


MIRRORS = (
    Mirror(
        "PEIPA, University of Essex",
        "http://peipa.essex.ac.uk/pix/mias/all-mias.tar.gz",
        "the original place; the archive's own SHA-256 is not known, those of the files in it are",
    ),
)
"""Tried in this order. Kaggle's mirror needs an account, and the 50 µm release at Cambridge is another set."""
LICENCE_NAME = "LICENCE-NOTICE.txt"
LICENCE_NOTICE = """\
The mini-MIAS database belongs to the Mammographic Image Analysis Society. By fetching it you accept the agreement that
comes with it (Licence.txt): use for research purposes only; no renting, leasing or selling; no warranty. Publications
that use it must cite: J Suckling et al (1994), The Mammographic Image Analysis Society Digital Mammogram Database,
Excerpta Medica, International Congress Series 1069, pp 375-378.
"""
