"""Words of the screen: sizes, durations and intervals as text, this program's version and how it is typed."""

from __future__ import annotations

import os
from typing import Any

VERSION = "0.1.0"
_CONTROL = {number: "?" for number in (*range(32), *range(127, 160)) if chr(number) not in "\n\t"}
UV_RUN = "UV_RUN_RECURSION_DEPTH"
"""What `uv run` sets for the programs that it starts, which are then not on the shell's path."""


def duration(seconds: float) -> str:
    """A time span in at most two units, for example "1 min 20 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    hours, rest = divmod(whole, 3600)
    if hours < 24:
        return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def short_duration(seconds: float) -> str:
    """In one unit and at most six characters: "0.8 s", "12 s", "18 min", "3.1 h"."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def size_text(size: int) -> str:
    """A number of bytes to two digits: "3.8 MB", "0.24 GB"."""
    return f"{size / 1e9:.2g} GB" if size >= 1e8 else f"{size / 1e6:.2g} MB"


def printable(text: str) -> str:
    """The text with "?" for what would steer a terminal: some of it comes out of files that somebody else has made."""
    return text.translate(_CONTROL)


def interval_text(metric: dict[str, Any]) -> str:
    """A metric of ``metrics.json`` with its interval: "0.584 [0.382, 0.762]"."""
    if metric["value"] is None:
        return "not defined"
    if metric.get("lower") is None:
        return f"{metric['value']:.3f}"
    return f"{metric['value']:.3f} [{metric['lower']:.3f}, {metric['upper']:.3f}]"


def program() -> str:
    """The name, behind "uv run" where that has started it."""
    return "uv run mammo-search" if os.environ.get(UV_RUN) else "mammo-search"
