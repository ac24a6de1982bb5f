"""Fields of a protocol buffer, walked over as bytes.

No message is built. A field that nobody asks for is stepped over, so a program of any size or depth costs nothing.
Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

MOST_FIELDS = 100_000
"""Of one message; a BiT's object graph has some thousands."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number and the place after it.

    Raises:
        ValueError: If the data end before, or if it has more than 64 bits.
    """
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number that breaks off")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")


def fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Field number, number (0 for bytes) and bytes (empty for a number) of every field, in order.

    Raises:
        ValueError: If this is no message, or one of more than `MOST_FIELDS`.
    """
    at = 0
    for _ in range(MOST_FIELDS):
        if at == len(message):
            return
        key, at = varint(message, at)
        kind, value, size = key & 7, 0, 0
        if kind == _VARINT:
            value, at = varint(message, at)
        elif kind == _BYTES:
            size, at = varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of the unknown type {kind}")
        content = message[at : at + size]
        if len(content) < size:
            raise ValueError("a field that is longer than its message")
        at += size
        if kind in (_FIXED64, _FIXED32):
            value = int.from_bytes(content, "little")
        yield key >> 3, value, content
    raise ValueError(f"a message of more than {MOST_FIELDS} fields")


def every(message: memoryview, number: int) -> Iterator[memoryview]:
    """The bytes of each field of a number."""
    return (content for found, _, content in fields(message) if found == number)


def last(message: memoryview, number: int) -> memoryview:
    """The bytes of the last field of a number, none if there is no such field."""
    return next(reversed(list(every(message, number))), memoryview(b""))


def text(message: memoryview, number: int) -> str:
    """The last field of a number as text."""
    return bytes(last(message, number)).decode()


def whole_number(message: memoryview, number: int) -> int:
    """The last field of a number as a number, 0 if there is no such field."""
    return next(reversed([value for found, value, _ in fields(message) if found == number]), 0)
