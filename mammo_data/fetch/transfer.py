"""One HTTP request under watch: what it asks, whom it follows, how fast its answer has to come.

A socket's own timeout begins anew with every byte, and the lookup of a name has none. So the request runs in a thread,
and whoever waits for it counts what has arrived.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from requests.auth import AuthBase

_MOST_REDIRECTS = 10
_CONNECT_SECONDS = 10.0
_CHUNK = 2**16
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Limits:
    """What one download may take.

    Attributes:
        most_bytes: Its size, as it is declared and as it arrives.
        silence: Seconds without a byte of the file; names, redirects and headers count, too.
        least_rate: Bytes a second that have to arrive over each `window`.
        window: Seconds.
        whole: Seconds for all of it, repeated requests included.
    """

    most_bytes: int = 4 * 2**30
    silence: float = 30.0
    least_rate: float = 4096.0
    window: float = 60.0
    whole: float = 6 * 3600.0


class GivenUpError(Exception):
    """A request that would end no better a moment later; its text says why, in a few words."""


class Transfer:
    """One GET request; a transfer is used once.

    Args:
        url: The address.
        headers: Of the request.
        limits: What it may take.
        token: Bearer token for the address's own host; no other host is told it.
    """

    def __init__(self, url: str, headers: dict[str, str], limits: Limits, token: str = "") -> None:
        self._url, self._headers, self._limits, self._token = url, headers, limits, token
        self._given_up, self._lock = False, threading.Lock()
        self.arrived = 0
        """Bytes of the file that this request brought."""

    def run(
        self,
        begin: Callable[[requests.Response], Callable[[bytes], object]],
        *,
        deadline: float,
        look: Callable[[int], None],
    ) -> None:
        """Ask, and hand over what arrives.

        Args:
            begin: Is given the answer, before any of its body, and returns what takes each piece of it. Neither is
                called after this method has ended.
            deadline: On `time.monotonic`'s clock.
            look: Called with the bytes that arrived, whenever it is more.

        Raises:
            GivenUpError: Too slow, or sent to where it must not go.
            requests.RequestException, urllib3.exceptions.HTTPError: What the network did.
        """
        done: Future[None] = Future()

        def work() -> None:
            try:
                self._work(begin)
            except Exception as error:  # noqa: BLE001  # raised again by whoever waits
                done.set_exception(error)
            else:
                done.set_result(None)

        # Nobody waits for it at the program's end: a server may hold it for hours.
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        try:
            self._watch(worker, deadline, look)
        finally:
            with self._lock:
                self._given_up = True
        done.result(timeout=0)

    def _watch(self, worker: threading.Thread, deadline: float, look: Callable[[int], None]) -> None:
        limits = self._limits
        began = moved_at = time.monotonic()
        seen = counted = 0
        while worker.is_alive():
            worker.join(_LOOK_SECONDS)
            now, arrived = time.monotonic(), self.arrived
            if arrived > seen:
                seen, moved_at = arrived, now
                look(arrived)
            elif now - moved_at > limits.silence:
                raise requests.Timeout
            if now - began > limits.window:
                if arrived - counted < limits.least_rate * (now - began):
                    raise GivenUpError(f"less than {limits.least_rate:g} bytes a second for {limits.window:g} seconds")
                began, counted = now, arrived
            if now > deadline:
                raise GivenUpError(f"no end within {limits.whole:g} seconds")
        if self.arrived > seen:  # a small file is there before the first look
            look(self.arrived)

    def _work(self, begin: Callable[[requests.Response], Callable[[bytes], object]]) -> None:
        with requests.Session() as session, self._answer(session) as answer:
            with self._lock:
                if self._given_up:
                    return
                take = begin(answer)
            # Never unpacked on the way: a small packed answer may be an endless file. What arrives is what is counted.
            while chunk := answer.raw.read1(_CHUNK, decode_content=False):
                with self._lock:
                    if self._given_up:
                        return
                    take(chunk)
                    self.arrived += len(chunk)

    def _answer(self, session: requests.Session) -> requests.Response:
        """The last answer after redirects, its body unread."""
        # A packed transfer would be unpacked on the way, and its ranges would count other bytes.
        headers = {"Accept-Encoding": "identity", **self._headers}
        timeout = (min(_CONNECT_SECONDS, self._limits.silence), self._limits.silence)
        url = self._url
        if not (self._token.isascii() and self._token.isprintable()):  # http.client's error would show it
            raise GivenUpError("a token that can't be sent")
        for _ in range(_MOST_REDIRECTS + 1):
            own = self._token and _host(urlsplit(url)) == _host(urlsplit(self._url))
            auth = _Bearer(self._token) if own else None
            answer = session.get(url, headers=headers, auth=auth, stream=True, timeout=timeout, allow_redirects=False)
            target = session.get_redirect_target(answer)
            if target is None:
                return answer
            answer.close()
            before, url = urlsplit(url).scheme, urljoin(url, target)
            scheme = urlsplit(url).scheme
            if scheme not in ("https", before) or scheme not in ("http", "https"):
                raise GivenUpError(f"a redirect from {before} to {scheme}")
        raise GivenUpError("redirects without an end")


class _Bearer(AuthBase):
    """A token; given as such, for a .netrc file would replace a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _host(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port
