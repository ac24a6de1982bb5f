"""Parameters of which the default suite tries the first alone, or a few."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*values: Any) -> list[Any]:
    """Values that are tried with ``-m slow``; what others of the same test show is left to them."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
