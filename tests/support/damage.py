"""Three ways in which a file comes to harm."""

from __future__ import annotations

from collections.abc import Callable


def cut(content: bytes) -> bytes:
    """The first half."""
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """One bit in the middle."""
    return flipped(content, len(content) // 2, 4)


def empty(content: bytes) -> bytes:
    """Nothing."""
    return b""


def flipped(content: bytes, place: int, bit: int) -> bytes:
    """One bit somewhere."""
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


DAMAGES: tuple[Callable[[bytes], bytes], ...] = (cut, flip, empty)
