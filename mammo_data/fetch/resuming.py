"""A download that goes on where it was cut off, with HTTP range requests.

What has arrived is kept as ``NAME.part`` with the server's validator (ETag or Last-Modified) in ``NAME.part.json``;
without a validator nobody could tell whether the rest belongs to the same file, and the download starts anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import requests
import urllib3

from mammo_data.errors import DataError

LARGEST_DOWNLOAD = 4 * 2**30
"""Bytes; the archive has 0.06 GiB."""
_CHUNK = 2**16
_ATTEMPTS = 3
_REASONS = {
    requests.TooManyRedirects: "redirects without an end",
    requests.Timeout: "no answer in time",
    urllib3.exceptions.TimeoutError: "no answer in time",
    urllib3.exceptions.ProtocolError: "a connection that ended before the file did",
}


class ResumingDownload:
    """One file from one address.

    Args:
        url: The address.
        target: Where the file goes once it is whole; the part of it is kept beside it between calls.
        timeout: Seconds to wait for a connection, and for each further piece.
        progress: Called with (bytes there, bytes in all; 0 where the server does not say).
    """

    def __init__(
        self, url: str, target: Path, *, timeout: float = 30.0, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self._url, self._target = url, target
        self._part = target.with_name(f"{target.name}.part")
        self._validator_file = target.with_name(f"{target.name}.part.json")
        self._timeout, self._progress = timeout, progress

    def finish(self) -> None:
        """Download what is missing.

        Raises:
            DataError: No connection, an error status, a timeout or an end before the end, also after retries.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._attempt()
                break
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                if not _may_pass(error):
                    raise self._failed(_reason(error)) from error
                if attempt == _ATTEMPTS:
                    raise self._failed(f"{_reason(error)}, {attempt} times") from error
        self._part.replace(self._target)
        self._validator_file.unlink(missing_ok=True)

    def _failed(self, found: str) -> DataError:
        kept = self._kept()
        again = f"Try again: {kept} bytes are kept and the download goes on from there" if kept else "Try again"
        return DataError(
            expected=f"the archive from {self._url}",
            found=found,
            remedy=f"{again}; or name another address with --url, or put the archive there yourself.",
        )

    def _kept(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _attempt(self) -> None:
        start, validator = self._state()
        # A packed transfer would be unpacked on the way, and its ranges would count other bytes.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": validator}
        with requests.get(self._url, headers=headers, stream=True, timeout=self._timeout) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink(missing_ok=True)
                raise requests.ConnectionError("the part that was kept does not fit the file any more")
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise ValueError("an answer with another range than was asked for")
            self._store(answer, start if resumed else 0)

    def _state(self) -> tuple[int, str]:
        try:
            validator = str(json.loads(self._validator_file.read_text(encoding="utf-8"))["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""
        return (self._kept(), validator) if validator else (0, "")

    def _store(self, answer: requests.Response, start: int) -> None:
        announced = answer.headers.get("Content-Length", "")
        total = start + int(announced) if announced.isdigit() else 0
        # A weak ETag promises the same meaning, not the same bytes.
        tag = answer.headers.get("ETag", "")
        validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._validator_file.write_text(json.dumps({"validator": validator}), encoding="utf-8")
        there = start
        with self._part.open("ab" if start else "wb") as file:
            while chunk := answer.raw.read(_CHUNK, decode_content=False):
                there += len(chunk)
                if max(there, total) > LARGEST_DOWNLOAD:
                    raise ValueError(f"more than {LARGEST_DOWNLOAD} bytes")
                file.write(chunk)
                if self._progress is not None:
                    self._progress(there, total)
        if total and there != total:
            raise requests.ConnectionError(f"an end after {there} of {total} bytes")


def _may_pass(error: Exception) -> bool:
    """Whether the same request could succeed a moment later; a page that is not there will not."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code >= requests.codes.server_error
    # What requests raises is an OSError, and some of it a ValueError, too.
    if isinstance(error, requests.RequestException):
        return isinstance(error, (requests.ConnectionError, requests.Timeout))
    return isinstance(error, (urllib3.exceptions.HTTPError, OSError))


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectionError) and "NewConnectionError" in str(error):
        return "no connection"
    known = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), "")
    return known or " ".join(str(error).split())[:160] or type(error).__name__
