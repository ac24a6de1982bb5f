"""A download that goes on where it was cut off, with HTTP range requests, within bounds of size and time.

What has arrived is kept as ``NAME.part`` with the server's validator (ETag or Last-Modified) in ``NAME.part.json``;
without a validator nobody could tell whether the rest belongs to the same file, and the download starts anew.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from http.client import responses
from pathlib import Path

import requests
import urllib3.exceptions as urllib3_errors

from mammo_data.errors import DataError
from mammo_data.fetch.transfer import GivenUpError, Limits, Transfer

_ATTEMPTS = 3
_NOT_MENDED_BY_ASKING_AGAIN = {
    urllib3_errors.NameResolutionError: "a host whose name nobody knows",
    urllib3_errors.NewConnectionError: "no connection",
    urllib3_errors.ConnectTimeoutError: "no connection in time",
    urllib3_errors.ProxyError: "no connection through the proxy",
    urllib3_errors.SSLError: "a certificate that is not trusted",
}
_REASONS = {
    requests.Timeout: "no answer in time",
    urllib3_errors.TimeoutError: "no answer in time",
    requests.ConnectionError: "a connection that ended before the file did",
    urllib3_errors.ProtocolError: "a connection that ended before the file did",
}


class ResumingDownload:
    """One file from one address.

    Args:
        url: The address.
        target: Where the file goes once it is whole; the part of it is kept beside it between calls.
        what: What it is, for errors, for example "the archive".
        remedy: What else a user can do when it fails, as a sentence.
        limits: What it may take.
        token: Bearer token for the address's own host, which no other host is told.
        progress: Called with (bytes there, bytes in all; 0 where the server does not say).
    """

    def __init__(
        self,
        url: str,
        target: Path,
        *,
        what: str,
        remedy: str,
        limits: Limits = Limits(),  # noqa: B008  (it is frozen)
        token: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._url, self._target, self._what, self._remedy = url, target, what, remedy
        self._part = target.with_name(f"{target.name}.part")
        self._validator_file = target.with_name(f"{target.name}.part.json")
        self._limits, self._token, self._progress = limits, token.strip(), progress
        self._start = self._total = 0

    def finish(self) -> None:
        """Download what is missing.

        Raises:
            DataError: No connection, an error status, too much, too slow, or an end before the end, also after retries.
        """
        deadline = time.monotonic() + self._limits.whole
        for attempt in range(1, _ATTEMPTS + 1):
            start, validator = self._state()
            headers = {"Range": f"bytes={start}-", "If-Range": validator} if start else {}
            transfer = Transfer(self._url, headers, self._limits, self._token)
            try:
                self._start, self._total = start, 0
                transfer.run(self._begin, deadline=deadline, look=self._look)
                self._require_whole()
                break
            except (requests.RequestException, urllib3_errors.HTTPError, OSError, ValueError, GivenUpError) as error:
                reason, may_pass = _judged(error, anything=transfer.arrived > 0)
                if not may_pass:
                    raise self._failed(reason) from error
                if attempt == _ATTEMPTS:
                    raise self._failed(f"{reason}, {attempt} times") from error
        self._part.replace(self._target)
        self._validator_file.unlink(missing_ok=True)

    def _failed(self, found: str) -> DataError:
        kept, _ = self._state()
        if not kept:  # nobody could tell what it is a part of
            self._part.unlink(missing_ok=True)
            self._validator_file.unlink(missing_ok=True)
        again = f"Try again: {kept} bytes are kept and the download goes on from there" if kept else "Try again"
        return DataError(expected=f"{self._what} from {self._url}", found=found, remedy=f"{again}. {self._remedy}")

    def _kept(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _state(self) -> tuple[int, str]:
        try:
            validator = str(json.loads(self._validator_file.read_text(encoding="utf-8"))["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, ""
        return (self._kept(), validator) if validator else (0, "")

    def _begin(self, answer: requests.Response) -> Callable[[bytes], None]:
        """See whether this answer is the file, or the rest of it, and whether there is room for it."""
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            self._part.unlink(missing_ok=True)
            raise requests.ConnectionError("the part that was kept does not fit the file any more")
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {self._start}-"):
            raise GivenUpError("an answer with another range than was asked for")
        if not resumed:
            self._start = 0
        announced = answer.headers.get("Content-Length", "")
        self._total = self._start + int(announced) if announced.isdigit() else 0
        self._require_bounds(self._total)
        # A weak ETag promises the same meaning, not the same bytes.
        tag = answer.headers.get("ETag", "")
        validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        self._part.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._part.parent).free
        if self._total - self._start > free:
            raise GivenUpError(f"{free} bytes free in {self._part.parent} for {self._total - self._start}")
        self._validator_file.write_text(json.dumps({"validator": validator}), encoding="utf-8")
        if not resumed:
            self._part.write_bytes(b"")
        return self._store

    def _store(self, chunk: bytes) -> None:
        # Opened anew for each piece: a request that was given up may hold no file that its successor writes.
        with self._part.open("ab") as file:
            self._require_bounds(file.tell() + len(chunk))
            file.write(chunk)

    def _require_bounds(self, size: int) -> None:
        if size > self._limits.most_bytes:
            raise GivenUpError(f"more than {self._limits.most_bytes} bytes")

    def _require_whole(self) -> None:
        there = self._kept()
        if self._total and there != self._total:
            raise urllib3_errors.ProtocolError(f"an end after {there} of {self._total} bytes")
        if not there:
            raise GivenUpError("an empty answer")

    def _look(self, arrived: int) -> None:
        if self._progress is not None:
            self._progress(self._start + arrived, self._total)


def _judged(error: Exception, *, anything: bool) -> tuple[str, bool]:
    """Why it failed, in a few words without the server's own, and whether asking again may help."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        code = error.response.status_code
        return f"status {code} {responses.get(code, '')}".strip(), code >= requests.codes.server_error
    # requests wraps what urllib3 says, and urllib3 what it met.
    causes = [error, *error.args[:1], *(getattr(inner, "reason", None) for inner in error.args[:1])]
    for kind, words in _NOT_MENDED_BY_ASKING_AGAIN.items():
        if any(isinstance(cause, kind) for cause in causes):
            return words, False
    for kind, words in _REASONS.items():
        if any(isinstance(cause, kind) for cause in causes):
            # A server that said nothing will say nothing.
            return words, anything or "time" not in words
    text = "".join(letter for letter in " ".join(str(error).split()) if letter.isprintable())[:160]
    return text or type(error).__name__, False
