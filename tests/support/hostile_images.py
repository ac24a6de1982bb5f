"""Images made to harm, and the largest film in every format; each writer fills one file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.encaps import encapsulate

from tests.support.case_folders import write_dicom

PNG = b"\x89PNG\r\n\x1a\n"
Writer = Callable[[Path], object]


def bomb(size: int, wbits: int = zlib.MAX_WBITS) -> bytes:
    """So many zeros, packed a thousandfold."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    block = bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(size // 2**20)), packer.flush()])


def chunk(kind: bytes, data: bytes, length: int | None = None) -> bytes:
    stated = len(data) if length is None else length
    return struct.pack(">I", stated) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, bits: int, colours: int, *chunks: bytes, interlaced: int = 0, pixels: int = 0
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced))
    return PNG + header + b"".join(chunks) + chunk(b"IDAT", bomb(pixels)) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, channels: int, scans: int = 1) -> bytes:
    """A real progressive one, whose header then states another size, and whose scans come again."""
    film = np.zeros((64, 64, 3), np.uint8) if channels == 3 else np.zeros((64, 64), np.uint8)
    data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    data = data.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", height, width), 1)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def tiff(fields: dict[int, int], strip: bytes = b"", *, following: int = 0) -> bytes:
    """One directory right behind the header, each field a 32-bit number."""
    place = 8 + 2 + 12 * (len(fields) + 2) + 4
    entries = {**fields, 273: place, 279: len(strip)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + struct.pack("<I", following) + strip


GREY = {258: 16, 262: 1, 277: 1}


def tiff_of(width: int, height: int, strip: bytes, **more: int) -> bytes:
    return tiff({256: width, 257: height, 259: 8, 278: height, **GREY}, strip)


def many_pages() -> bytes:
    """Sixty thousand directories of the same few bytes, one after the other."""
    page = struct.pack("<HHHII", 1, 256, 4, 1, 64)
    size = len(page) + 4
    return (
        b"II*\0"
        + struct.pack("<I", 8)
        + b"".join(page + struct.pack("<I", 8 + size * (number + 1)) for number in range(60_000))
    )


def dicom(path: Path, change: Callable[[pydicom.Dataset], object]) -> None:
    write_dicom(path, np.zeros((64, 64), np.uint16), bits=12)
    file = pydicom.dcmread(path)
    change(file)
    file.save_as(path)


def compressed(path: Path, syntax: str, stream: bytes, side: int = 64, fragments: int = 1) -> None:
    def change(file: pydicom.Dataset) -> None:
        file.file_meta.TransferSyntaxUID = syntax
        file.Rows = file.Columns = side
        file.PixelData = encapsulate([stream])
        if fragments > 1:
            file.PixelData = file.PixelData[:-8] + b"\xfe\xff\x00\xe0\0\0\0\0" * fragments + file.PixelData[-8:]
        file["PixelData"].VR = "OB"

    dicom(path, change)


def deflated(path: Path) -> None:
    """A file whose packed part becomes 268 megabytes."""
    dicom(path, lambda file: None)
    data = path.read_bytes()
    length = struct.unpack("<I", data[140:144])[0]
    meta = data[144 : 144 + length].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    place = meta.index(b"\x02\0\x10\0UI") + 6
    meta = meta[:place] + struct.pack("<H", 22) + meta[place + 2 :]
    start = data[:140] + struct.pack("<I", len(meta)) + meta
    path.write_bytes(start + bomb(2**28, -zlib.MAX_WBITS))


def inserted(path: Path, elements: bytes) -> None:
    """Raw elements before the rows of an otherwise good file."""
    dicom(path, lambda file: None)
    data = path.read_bytes()
    place = data.index(b"\x28\0\x02\0US")
    path.write_bytes(data[:place] + elements + data[place:])


def long_element(path: Path, tag: bytes, value: bytes) -> None:
    inserted(path, tag + b"UN\0\0" + struct.pack("<I", len(value)) + value)


def j2k(side: int, tiles: int = 1, channels: int = 1) -> bytes:
    tile = -(-side // tiles)
    size = struct.pack(">HHIIIIIIIIH", 38 + 3 * channels, 0, side, side, 0, 0, tile, tile, 0, 0, channels)
    coding = b"\xff\x52\0\x0c\0\0\0\x01\0\x05\x00\x00\0\x01"
    return b"\xff\x4f\xff\x51" + size + b"\x0b\x01\x01" * channels + coding + bytes(200) + b"\xff\xd9"


def sof(kind: int, side: int, channels: int = 1) -> bytes:
    parts = b"".join(bytes((number, 0x11, 0)) for number in range(channels))
    frame = struct.pack(">HBHHB", 8 + 3 * channels, 12, side, side, channels) + parts
    return b"\xff\xd8\xff" + bytes([kind]) + frame + bytes(64) + b"\xff\xd9"


def rle_bomb() -> bytes:
    segment = b"\x81\0" * (8 * 2**20)
    return struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2


NO_END = b"\xff\xff\xff\xff"
EMPTY_ITEMS = b"\x08\0\x40\x11SQ\0\0" + NO_END + b"\xfe\xff\0\xe0\0\0\0\0" * 300_000 + b"\xfe\xff\xdd\xe0\0\0\0\0"
SEGMENTS = b"\xff\xd8" + b"\xff\xe1\0\x02" * 10**6
LOSSLESS, J2K, JPEG_LS, RLE = ("1.2.840.10008.1.2." + end for end in ("4.70", "4.90", "4.80", "5"))

HOSTILE: dict[str, tuple[str, Writer]] = {
    "png of 2 GB": (".png", lambda p: p.write_bytes(png(16_384, 16_384, 16, 6, pixels=2**27))),
    "png, interlaced": (".png", lambda p: p.write_bytes(png(16_384, 16_384, 16, 0, interlaced=1, pixels=2**27))),
    "png as large as may be": (".png", lambda p: p.write_bytes(png(8_200, 8_200, 16, 0, pixels=2**27 + 2**20))),
    "png in colours": (".png", lambda p: p.write_bytes(png(4_700, 4_700, 16, 2, pixels=2**27 + 2**20))),
    "png, transparent": (".png", lambda p: p.write_bytes(png(4_100, 4_100, 16, 4, pixels=2**27))),
    "png, tRNS": (".png", lambda p: p.write_bytes(png(6_000, 7_500, 16, 0, chunk(b"tRNS", b"\0\0"), pixels=2**20))),
    "png with a profile": (
        ".png",
        lambda p: p.write_bytes(png(64, 64, 8, 0, chunk(b"iCCP", b"x\0\0" + bomb(2**27)), pixels=2**20)),
    ),
    "png with texts": (
        ".png",
        lambda p: p.write_bytes(png(64, 64, 8, 0, *[chunk(b"zTXt", b"x\0\0" + bomb(2**26))] * 20, pixels=2**20)),
    ),
    "png, long chunk": (".png", lambda p: p.write_bytes(png(64, 64, 8, 0, chunk(b"tEXt", b"x", 2**31 - 1)))),
    "png, animated": (".png", lambda p: p.write_bytes(png(64, 64, 8, 0, chunk(b"acTL", b"\0\0\xff\xff\0\0\0\0")))),
    "png of chunks": (".png", lambda p: p.write_bytes(png(64, 64, 8, 0, chunk(b"tEXt", b"") * 10**6))),
    "jpeg of 65,000": (".jpg", lambda p: p.write_bytes(jpeg(65_000, 65_000, 3))),
    "jpeg, progressive": (".jpg", lambda p: p.write_bytes(jpeg(6_700, 6_700, 3))),
    "jpeg of scans": (".jpg", lambda p: p.write_bytes(jpeg(8_000, 8_000, 1, 10_000))),
    "jpeg of segments": (".jpg", lambda p: p.write_bytes(SEGMENTS + jpeg(64, 64, 1)[2:])),
    "tiff of 2 GB": (".tif", lambda p: p.write_bytes(tiff_of(65_000, 16_384, bomb(2**27)))),
    "tiff in one strip": (".tif", lambda p: p.write_bytes(tiff_of(8_200, 8_200, bomb(2**27 + 2**20)))),
    "tiff of 8 bits in one strip": (
        ".tif",
        lambda p: p.write_bytes(
            tiff({256: 6_700, 257: 6_700, 258: 8, 259: 8, 262: 2, 277: 3, 278: 6_700}, bomb(2**27 + 2**23))
        ),
    ),
    "tiff of a tile": (
        ".tif",
        lambda p: p.write_bytes(
            tiff({256: 64, 257: 64, 259: 8, 322: 30_000, 323: 30_000, 324: 200, 325: 99, **GREY}, bomb(2**27))
        ),
    ),
    "tiff in a circle": (".tif", lambda p: p.write_bytes(tiff({256: 64, 257: 64, **GREY}, following=8))),
    "tiff of pages": (".tif", lambda p: p.write_bytes(many_pages())),
    "bigtiff of 2**60 fields": (
        ".tif",
        lambda p: p.write_bytes(b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**60) + bytes(64)),
    ),
    "pgm of 16,384": (".pgm", lambda p: p.write_bytes(b"P5\n16384 16384\n65535\n" + bytes(2**20))),
    "plain pgm": (".pgm", lambda p: p.write_bytes(b"P2\n8000 8000\n255\n" + b"0 " * 2**24)),
    "plain pgm, comment": (".pgm", lambda p: p.write_bytes(b"P2\n64 64\n255\n#" + b"x" * 2**27)),
    "plain pgm, no space": (".pgm", lambda p: p.write_bytes(b"P2\n64 64\n255\n" + b"1" * 2**27)),
    "zeros": (".png", lambda p: p.write_bytes(bytes(2**27))),
    "dicom of 65,535": (".dcm", lambda p: dicom(p, lambda file: file.update({"Rows": 65_535, "Columns": 65_535}))),
    "dicom of frames": (".dcm", lambda p: dicom(p, lambda file: file.update({"NumberOfFrames": 10**6}))),
    "dicom of samples": (".dcm", lambda p: dicom(p, lambda file: file.update({"SamplesPerPixel": 60_000}))),
    "dicom, deflated": (".dcm", deflated),
    "dicom of items": (".dcm", lambda p: inserted(p, EMPTY_ITEMS)),
    "dicom of elements": (
        ".dcm",
        lambda p: inserted(
            p, b"".join(struct.pack("<HH2sH", 9 + 2 * (n >> 16), n & 0xFFFF, b"CS", 0) for n in range(200_000))
        ),
    ),
    "dicom, long window": (".dcm", lambda p: long_element(p, b"\x28\0\x50\x10", b"1\\" * 2**25)),
    "dicom, long table": (".dcm", lambda p: long_element(p, b"\x28\0\x10\x30", b"\xfe\xff\0\xe0\0\0\0\0" * 2**21)),
    "dicom of fragments": (".dcm", lambda p: compressed(p, LOSSLESS, sof(0xC3, 64), fragments=200_000)),
    "dicom, lossless jpeg": (".dcm", lambda p: compressed(p, LOSSLESS, sof(0xC3, 60_000))),
    "dicom, jpeg-ls": (".dcm", lambda p: compressed(p, JPEG_LS, sof(0xF7, 60_000))),
    "dicom, jpeg 2000": (".dcm", lambda p: compressed(p, J2K, j2k(60_000))),
    "dicom, channels": (".dcm", lambda p: compressed(p, J2K, j2k(64, channels=16_000))),
    "dicom, tiles": (".dcm", lambda p: compressed(p, J2K, j2k(6_000, 250), 6_000)),
    "dicom, code blocks": (".dcm", lambda p: compressed(p, J2K, j2k(8_000), 8_000)),
    "dicom, run lengths": (".dcm", lambda p: compressed(p, RLE, rle_bomb())),
}
"""Suffix and writer of each file by its name; none is a film."""

SLOW = {
    *("png as large as may be", "png in colours", "png, transparent", "jpeg, progressive", "plain pgm"),
    *("tiff in one strip", "tiff of 8 bits in one strip", "dicom of items"),
}
"""Those that are decoded, or take seconds."""


def large_film(bits: int) -> np.ndarray:
    """6,000 × 7,500 pixels with a breast: a disc at the edge that grows brighter towards its middle, and noise."""
    down, across = np.ogrid[:7500, :6000]
    distance = ((down - 3700).astype(np.float32) / 3000) ** 2 + (across.astype(np.float32) / 4200) ** 2
    breast = np.clip(1.15 - distance, 0, 1) * (distance < 1) * (2**bits - 1)
    noise = np.random.default_rng(0).integers(0, 2 ** (bits - 6), breast.shape, dtype=np.uint16)
    return np.minimum(breast.astype(np.uint16) + noise, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)


def _encoded(suffix: str, channels: int, bits: int, *options: int) -> Writer:
    def write(path: Path) -> None:
        film = large_film(bits)
        picture = film if channels == 1 else np.repeat(film[:, :, None], channels, axis=2)
        path.write_bytes(cv2.imencode(suffix, picture, options)[1].tobytes())

    return write


def _dicom_film(path: Path, syntax: str = "") -> None:
    bits = 12 if syntax else 16
    write_dicom(path, large_film(bits), bits=bits, photometric="MONOCHROME2")
    if syntax:
        file = pydicom.dcmread(path)
        file.compress(syntax)
        file.save_as(path)


def _plain_pgm(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"P2\n6000 7500\n65535\n")
        for row in large_film(16):
            file.write(b" ".join(b"%d" % value for value in row.tolist()) + b"\n")


FAST_PNG, RAW_TIFF = (cv2.IMWRITE_PNG_COMPRESSION, 1), (cv2.IMWRITE_TIFF_COMPRESSION, 1)
ONE_STRIP = (*RAW_TIFF, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 7500)

LARGEST: dict[str, tuple[str, Writer]] = {
    "png of 16 bits": (".png", _encoded(".png", 1, 16, *FAST_PNG)),
    "png of 8 bits in three channels": (".png", _encoded(".png", 3, 8, *FAST_PNG)),
    "tiff of 16 bits": (".tif", _encoded(".tif", 1, 16, *RAW_TIFF)),
    "tiff of 16 bits in one strip": (".tif", _encoded(".tif", 1, 16, *ONE_STRIP)),
    "tiff of 8 bits in three channels": (".tif", _encoded(".tif", 3, 8, *ONE_STRIP)),
    "jpeg": (".jpg", _encoded(".jpg", 1, 8)),
    "jpeg in colours, progressive": (".jpg", _encoded(".jpg", 3, 8, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "pgm of 16 bits": (
        ".pgm",
        lambda p: p.write_bytes(b"P5\n6000 7500\n65535\n" + large_film(16).astype(">u2").tobytes()),
    ),
    "plain pgm of 16 bits": (".pgm", _plain_pgm),
    "dicom of 16 bits": (".dcm", _dicom_film),
    "dicom, jpeg-ls": (".dcm", lambda p: _dicom_film(p, JPEG_LS)),
    "dicom, jpeg 2000": (".dcm", lambda p: _dicom_film(p, J2K)),
}
"""A film of 6,000 × 7,500 pixels by format."""
