"""How this program is typed, for commands that are shown to be typed next."""

from __future__ import annotations

import os

UV_RUN = "UV_RUN_RECURSION_DEPTH"
"""What `uv run` sets for the programs that it starts, which are then not on the shell's path."""


def program() -> str:
    """The name, behind "uv run" where that has started it."""
    return "uv run mammo-search" if os.environ.get(UV_RUN) else "mammo-search"
