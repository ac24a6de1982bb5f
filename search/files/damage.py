"""Damage: what reading a file raises whose bytes have changed."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib

DAMAGE = (
    *(OSError, EOFError, MemoryError, zlib.error, zipfile.BadZipFile),
    *(ValueError, KeyError, TypeError, RuntimeError, OverflowError),
    *(SyntaxError, tokenize.TokenError, struct.error),  # numpy reads a header as Python's text
)
"""What json, numpy and zipfile raise for a file whose bytes have changed: whichever field was hit, another one."""
