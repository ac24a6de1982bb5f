"""Headless Chromium over its debugging pipe: opens a page and tells what a user would see go wrong.

The pipe (file descriptors 3 and 4, one JSON message between zero bytes) needs neither a port nor a websocket library.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import selectors
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
DEADLINE_SECONDS = 120

# No sandbox inside containers; whatever else talks to the network by itself is switched off.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)


@dataclass
class Visit:
    """What happened while a page was open.

    Attributes:
        requests: Addresses other than the page's own and data: ones.
        complaints: Console errors and warnings, uncaught exceptions, blocked contents.
        width: Of the window in CSS pixels.
        content_width: Of the page; larger than the window where it overflows.
        cut: Tags of elements that reach over the window's right edge without an ancestor that scrolls.
        sideways: Captions of tables that one has to scroll to read.
        bottoms: Of the elements that were asked for, where they end, in CSS pixels from the top.
        printed: Pages of paper (A4), where that was asked for.
    """

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    width: int = 0
    content_width: int = 0
    cut: list[str] = field(default_factory=list)
    sideways: list[str] = field(default_factory=list)
    bottoms: list[float] = field(default_factory=list)
    printed: int = 0


class Browser:
    """One running Chromium."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._answers = to, answers
        self._buffer = b""
        self._sent = 0

    def visit(
        self,
        page: Path,
        *,
        width: int,
        height: int,
        ends: str = "",
        on_paper: bool = False,
        screenshot: Path | None = None,
    ) -> Visit:
        """Open a file at a window size.

        Args:
            page: The file.
            width: Of the window in CSS pixels.
            height: Likewise.
            ends: A CSS selector of elements whose lower edges are wanted.
            on_paper: Whether to print it, too.
            screenshot: Where a picture of the whole page goes.
        """
        visit = Visit()
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._ask(f"{domain}.enable", session=session)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("Emulation.setDeviceMetricsOverride", session=session, **size)
        address = page.resolve().as_uri()
        self._ask("Page.navigate", session=session, url=address)
        while True:
            event = self._receive()
            _note(event, visit, address)
            if event.get("method") == "Page.loadEventFired":
                break
        measured = self._ask("Runtime.evaluate", session=session, expression=_MEASURE, returnByValue=True, visit=visit)
        visit.width, visit.content_width, visit.cut, visit.sideways = measured["result"]["value"]
        if ends:
            where = (
                f"[...document.querySelectorAll({json.dumps(ends)})].map((one) => one.getBoundingClientRect().bottom)"
            )
            found = self._ask("Runtime.evaluate", session=session, expression=where, returnByValue=True, visit=visit)
            visit.bottoms = found["result"]["value"]
        if on_paper:
            printed = self._ask("Page.printToPDF", session=session, paperWidth=8.27, paperHeight=11.69, visit=visit)
            visit.printed = len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"])))
        if screenshot:
            shot = self._ask("Page.captureScreenshot", session=session, captureBeyondViewport=True, visit=visit)
            screenshot.write_bytes(base64.b64decode(shot["data"]))
        self._ask("Target.closeTarget", targetId=target, visit=visit)
        return visit

    def _ask(self, method: str, *, session: str | None = None, visit: Visit | None = None, **params: Any) -> Any:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                return answer["result"]
            if visit:
                _note(answer, visit, "")

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + DEADLINE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\0" not in self._buffer:
                assert selector.select(timeout=max(0.0, end - time.monotonic())), "Chromium does not answer"
                piece = os.read(self._answers, 1 << 20)
                assert piece, "Chromium has ended"
                self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A Chromium with an empty profile; the test skips where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no {' or '.join(NAMES)} here")
    to_read, to = os.pipe()
    answers, to_write = os.pipe()
    # Copies out of the way of 3 and 4, which Chromium reads and writes.
    theirs = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (to_read, to_write)]
    silent = os.open(os.devnull, os.O_RDWR)
    process = os.posix_spawn(
        program,
        [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, silent, 1),
            (os.POSIX_SPAWN_DUP2, silent, 2),
            *((os.POSIX_SPAWN_DUP2, descriptor, number) for descriptor, number in zip(theirs, (3, 4), strict=True)),
        ],
    )
    for descriptor in (to_read, to_write, silent, *theirs):
        os.close(descriptor)
    try:
        yield Browser(to, answers)
    finally:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
        os.close(to), os.close(answers)


def _note(event: dict[str, Any], visit: Visit, own: str) -> None:
    params = event.get("params", {})
    match event.get("method"):
        case "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url != own and not url.startswith(("data:", "about:")):
                visit.requests.append(url)
        case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
            visit.complaints.append(str([item.get("value") for item in params["args"]]))
        case "Runtime.exceptionThrown":
            visit.complaints.append(str(params["exceptionDetails"].get("text")))
        case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
            visit.complaints.append(params["entry"]["text"])


_MEASURE = """(() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (node) => {
    for (; node && node !== document.body; node = node.parentElement)
      if (["auto", "scroll", "hidden"].includes(getComputedStyle(node).overflowX)) return true;
    return false;
  };
  const cut = [...document.body.querySelectorAll("*")]
    .filter((node) => node.getBoundingClientRect().right > width + 1 && !scrolls(node)).map((node) => node.tagName);
  const sideways = [...document.querySelectorAll("table")]
    .filter((table) => table.parentElement.scrollWidth > table.parentElement.clientWidth + 1)
    .map((table) => table.caption ? table.caption.textContent : "?");
  return [width, document.documentElement.scrollWidth, cut, sideways];
})()"""
