"""What a DICOM file's compressed parts would become, known before anything is unpacked.

A compressed picture states its own size once more, and its decoder believes that, not the file's rows and columns.
"""

from __future__ import annotations

import re
import struct
import zlib

from mammo_data.decoding.layout import LARGEST_IMAGE, jpeg_layout
from mammo_data.errors import DataError

_MOST_FRAGMENTS = 65_536
_LARGEST_REST = 2**20
_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_START, _META_LENGTH = 132, b"\x02\x00\x00\x00UL\x04\x00"
_LONGEST_META = 4096
_PIECE = 2**20
_MOST_INFLATED = LARGEST_IMAGE + 2**24
# ISO/IEC 15444-1: SOC, then SIZ; tiles and code blocks have a cost each, whatever they hold.
_J2K = re.compile(rb"\xff\x4f\xff\x51")
_J2K_CODING = re.compile(rb"\xff\x52(..)(.)(.)(..)(.)(.)(.)(.)", re.DOTALL)
_MOST_TILES, _MOST_BLOCKS, _MOST_LAYERS = 4_096, 400_000, 100
_RLE_WORST = 64  # bytes that one byte becomes


def require_stream(data: bytes, width: int, height: int, name: str) -> None:
    """Refuse a compressed picture that is not what the file's rows and columns say, or costs far more than that.

    Args:
        data: The encapsulated pixel data: fragments, each an item.
        width: In pixels.
        height: In pixels.
        name: What to call the file in an error.

    Raises:
        DataError: Its own header states another size, or it has more fragments, scans, tiles or code blocks than any.
        ValueError: It has no header that a decoder could read; struct.error, too.
    """
    if sum(data.count(item) for item in _ITEM) > _MOST_FRAGMENTS:
        raise _refused(f"more than {_MOST_FRAGMENTS} fragments", name)
    if len(data) > 2 * width * height + _LARGEST_REST:
        raise _refused(f"{len(data)} bytes for {width} × {height} pixels", name)
    beginning = data.find(b"\xff\xd8\xff", 0, _LONGEST_META)
    if (match := _J2K.search(data, 0, 2 * _MOST_FRAGMENTS)) is not None:
        _require_j2k(data, match.end(), width, height, name)
    elif beginning >= 0:
        # Fragments of one stream are cut anywhere; a header of a JPEG is in the first, which is all that is read.
        stated = jpeg_layout(data, beginning)
        if stated is None or not stated.width * stated.height:
            raise ValueError("a JPEG stream without a frame")
        if (stated.width, stated.height, stated.channels) != (width, height, 1) or stated.fault:
            found = stated.fault or f"{stated.width} × {stated.height} pixels"
            raise _refused(f"{found} in the stream of {width} × {height}", name)
    elif len(data) * _RLE_WORST > LARGEST_IMAGE:
        _require_runs(data, 2 * width * height, name)


def require_inflatable(data: bytes, name: str) -> None:
    """Refuse a deflated file that becomes larger than an image is; pydicom inflates all of it first.

    Raises:
        DataError: It does.
    """
    start = data[_META_START : _META_START + 12]
    if _DEFLATED not in data[:_LONGEST_META]:
        return
    if not start.startswith(_META_LENGTH):
        raise _refused("a deflated file without the length of its header", name)
    place = _META_START + 12 + struct.unpack("<I", start[8:])[0]
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated, rest = 0, data[place : place + _PIECE]
    try:
        while rest and not unpacker.eof:
            inflated += len(unpacker.decompress(rest, _PIECE))
            if inflated > _MOST_INFLATED:
                raise _refused(f"more than {_MOST_INFLATED} bytes after inflation", name)
            rest = unpacker.unconsumed_tail
            if not rest:
                place += _PIECE
                rest = data[place : place + _PIECE]
    except zlib.error as error:
        raise _refused(f"{error}", name) from error


def _require_j2k(data: bytes, place: int, width: int, height: int, name: str) -> None:
    try:
        right, bottom, left, top, across, down = struct.unpack_from(">6I", data, place + 4)
        (channels,) = struct.unpack_from(">H", data, place + 36)
    except struct.error as error:
        raise _refused("a damaged stream", name) from error
    if (right - left, bottom - top, channels) != (width, height, 1):
        found = f"{right - left} × {bottom - top} pixels of {channels} channels"
        raise _refused(f"{found} in the stream of {width} × {height}", name)
    tiles = -(-right // max(1, across)) * -(-bottom // max(1, down))
    coding = _J2K_CODING.search(data, place, place + _LONGEST_META)
    if coding is None:
        raise _refused("a stream that does not say how it is coded", name)
    layers, block = struct.unpack(">H", coding[4])[0], 2 ** (coding[7][0] + coding[8][0] + 4)
    if tiles > _MOST_TILES or width * height / block > _MOST_BLOCKS or layers > _MOST_LAYERS:
        raise _refused(f"a stream of {tiles} tiles, {layers} layers and blocks of {block} pixels", name)


def _require_runs(data: bytes, most: int, name: str) -> None:
    """Count what run lengths (PS3.5 annex G) become; the headers of items and segments among them do no harm."""
    unpacked = place = 0
    while place < len(data):
        code = data[place]
        unpacked += 257 - code if code > 128 else code + 1
        place += 2 if code > 128 else code + 2 if code < 128 else 1
        if unpacked > 2 * most + _LONGEST_META:
            raise _refused(f"run lengths of more than {most} bytes", name)


def _refused(found: str, name: str) -> DataError:
    return DataError(
        expected="a DICOM image whose compressed part is what its rows and columns say",
        found=f"{found[:160]} in {name}",
        remedy="Replace the file by a fresh or an uncompressed copy.",
    )
