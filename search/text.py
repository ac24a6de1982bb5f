"""Words of the screen: numbers, sizes, durations and intervals as text, this program's version and how it is typed."""

from __future__ import annotations

import os

from reports.page.words import duration as duration
from reports.page.words import interval_text as interval_text
from reports.page.words import rounded as rounded
from reports.page.words import short_duration as short_duration

_CONTROL = {number: "?" for number in (*range(32), *range(127, 160)) if chr(number) not in "\n\t"}
VERSION = "0.1.0"
UV_RUN = "UV_RUN_RECURSION_DEPTH"
"""What `uv run` sets for the programs that it starts, which are then not on the shell's path."""


def size_text(size: int) -> str:
    """A number of bytes to two digits: "3.8 MB", "0.24 GB"."""
    return f"{size / 1e9:.2g} GB" if size >= 1e8 else f"{size / 1e6:.2g} MB"


def printable(text: str) -> str:
    """The text with "?" for what would steer a terminal: some of it comes out of files that somebody else has made."""
    return text.translate(_CONTROL)


def program() -> str:
    """The name, behind "uv run" where that has started it."""
    return "uv run mammo-search" if os.environ.get(UV_RUN) else "mammo-search"
