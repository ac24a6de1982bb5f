"""SavedModels that mean harm: programs that act when they are opened or run, and checkpoints that lie."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tests.support.bit_stand_in import TINY, stand_in_arrays
from tests.support.bundles import (
    FLOAT,
    HEADER,
    KEY,
    Record,
    block,
    entry,
    message,
    number,
    object_graph,
    table,
    varint,
    write_checkpoint,
    write_index,
)

SAME = "the same arrays"
"""What comes of a model whose program does not matter: its arrays, to the bit."""

GAMMA, BETA = "resnet/group_norm/gamma", "resnet/group_norm/beta"
SHARD, INDEX = "variables/variables.data-00000-of-00001", "variables/variables.index"
PROGRAMS = ("hidden function", "DebugIdentity", "ReadFile", "py_function", "table")


def write_program(folder: Path, kind: str, victim: Path) -> Path:
    """A SavedModel with genuine variables, whose program writes or reads `victim` when it is opened or called."""
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    module = tf.Module()
    module.parameters = [tf.Variable(value, name=name) for name, value in stand_in_arrays(TINY).items()]
    secret = folder.with_suffix(".txt")
    secret.write_text("word 1\n")

    def written() -> str:
        victim.write_text("by Python")
        return ""

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def inner(value):
        match kind:
            case "DebugIdentity":
                where = [f"file://{victim}"]
                value = tf.raw_ops.DebugIdentity(input=value, tensor_name="v:0", debug_urls=where)
            case "ReadFile":
                tf.print(tf.io.read_file(str(secret)))
            case "py_function":
                tf.numpy_function(written, [], tf.string)
            case _:
                tf.io.write_file(str(victim), "written")
        return value

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def call(images):
        return tf.fill([1, 32], inner(tf.reduce_mean(images)))

    module.__call__ = call
    if kind == "table":
        words = tf.lookup.TextFileInitializer(str(secret), tf.string, 0, tf.int64, 1, delimiter=" ")
        module.table = tf.lookup.StaticHashTable(words, -1)
    tf.saved_model.save(module, str(folder))
    victim.unlink(missing_ok=True)
    if kind == "hidden function":
        # The library keeps it, and TensorFlow loads it from there.
        program = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        functions = program.meta_graphs[0].object_graph_def.concrete_functions
        for name in [name for name in functions if "inner" in name]:
            del functions[name]
        (folder / "saved_model.pb").write_bytes(program.SerializeToString())
    for asset in (folder / "assets").glob("*"):
        asset.unlink()  # whoever opened the program would miss it
    return folder


def positions(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by their positions, as a module that keeps them in a list has them."""
    return {KEY.format(f"parameters/{place}"): values for place, values in enumerate(arrays.values())}


def named(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The object graph of `positions` of arrays."""
    return object_graph(dict(zip(positions(arrays), arrays, strict=True)))


def key_of(name: str) -> bytes:
    """The key, in `positions` of the stand-in's arrays, of a variable."""
    return KEY.format(f"parameters/{list(TINY.variable_shapes).index(name)}").encode()


def _checkpoint(
    folder: Path, graph: Callable[[bytes], bytes] = bytes, extra: Mapping[bytes, bytes] | None = None
) -> Path:
    arrays = stand_in_arrays(TINY)
    return write_checkpoint(folder, positions(arrays), graph(named(arrays)), (extra or {}).items())


def _with_entry(name: str, *described: object) -> Callable[[Path], object]:
    return lambda folder: _checkpoint(folder, extra={key_of(name): entry(*described)})


def _with_graph(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: _checkpoint(folder, change)


def _with_values(name: str, value: float) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        arrays = stand_in_arrays(TINY)
        arrays[name][3] = value
        write_checkpoint(folder, positions(arrays), named(arrays))

    return write


def _with_index(index: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        _checkpoint(folder)
        write_index(folder, index((folder / INDEX).read_bytes()))

    return write


def _with_program(program: bytes | int) -> Callable[[Path], object]:
    """Positions without names, and a program of these bytes, or of so many zeros."""

    def write(folder: Path) -> None:
        write_checkpoint(folder, positions(stand_in_arrays(TINY)))
        with (folder / "saved_model.pb").open("wb") as file:
            if isinstance(program, bytes):
                file.write(program)
            else:
                file.truncate(program)

    return write


def _with_link(place: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        _checkpoint(folder)
        moved = folder.parent / f"{folder.name} {Path(place).name}"
        (folder / place).rename(moved)
        (folder / place).symlink_to(moved)

    return write


def _with_pipe(folder: Path) -> None:
    _checkpoint(folder)
    (folder / SHARD).unlink()
    os.mkfifo(folder / SHARD)


def _cut(folder: Path) -> None:
    _checkpoint(folder)
    os.truncate(folder / SHARD, (folder / SHARD).stat().st_size // 2)


def _flipped(folder: Path) -> None:
    _checkpoint(folder)
    content = bytearray((folder / SHARD).read_bytes())
    content[5000] ^= 1
    (folder / SHARD).write_bytes(content)


def _growing_keys(times: int) -> bytes:
    """Each key takes all of the one before: a table of three bytes a key that would unpack to a thousand times more."""
    records = b""
    for length in range(times):
        records += varint(length) + varint(1) + varint(0) + b"k"
    return records + struct.pack("<II", 0, 1)


def _object_graph_of_program(graph: bytes) -> bytes:
    return number(1, 1) + message(2, message(7, graph))


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = message(1, content)
        if len(content) > 300_000:
            break
    return content


_A_RECORD: list[Record] = [HEADER, (b"a", entry(FLOAT, (1,), 0, 4))]


def _exchange(_: bytes) -> bytes:
    names = dict(zip(positions(stand_in_arrays(TINY)), TINY.variable_shapes, strict=True))
    return object_graph({key: {GAMMA: BETA, BETA: GAMMA}.get(name, name) for key, name in names.items()})


CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "index behind a link": (_with_link(INDEX), "a link"),
    "shard behind a link": (_with_link(SHARD), "a link"),
    "variables behind a link": (_with_link("variables"), "a link"),
    "pipe for a shard": (_with_pipe, "link, (folder, pipe or )?device"),
    "10^12 numbers": (_with_entry(GAMMA, FLOAT, (10**12,), 0, 4 * 10**12), "breaks off"),
    "10^12 numbers in 4 bytes": (_with_entry(GAMMA, FLOAT, (10**12,), 0, 4), r"4 bytes for .*1000000000000"),
    "10^12 numbers that nobody needs": (
        lambda folder: _checkpoint(folder, extra={b"x": entry(FLOAT, (10**12,), 0, 4 * 10**12)}),
        "breaks off",
    ),
    "negative side": (_with_entry(GAMMA, FLOAT, (-1,), 0, 128), "128 bytes for"),
    "sides that overflow": (_with_entry(GAMMA, FLOAT, (2**48, 2**48), 0, 0), "0 bytes for"),
    "another shape": (_with_entry(GAMMA, FLOAT, (16, 2), 0, 128), "1 of another shape"),
    "a type that there is not": (_with_entry(GAMMA, 200, (32,), 0, 128), "1 of another type"),
    "place behind the end": (_with_entry(GAMMA, FLOAT, (32,), 2**62, 128), "breaks off"),
    "partitioned": (
        lambda folder: _checkpoint(folder, extra={key_of(GAMMA): entry(FLOAT, (32,), 0, 128) + message(7, b"")}),
        "a partitioned tensor",
    ),
    "entry of garbage": (lambda folder: _checkpoint(folder, extra={key_of(GAMMA): b"\xff" * 30}), "64 bits"),
    "entry that breaks off": (lambda folder: _checkpoint(folder, extra={key_of(GAMMA): b"\x12\x7f"}), "longer than"),
    "index of garbage": (_with_index(lambda index: os.urandom(len(index))), "no table"),
    "index of nothing": (_with_index(lambda _: b""), "no table"),
    "index cut short": (_with_index(lambda index: index[:-60] + index[-48:]), "outside|compressed or damaged"),
    "index with a flipped bit": (_with_index(lambda index: b"\x01" + index[1:]), "compressed or damaged"),
    "index that is compressed": (_with_index(lambda _: table([block(_A_RECORD)], compression=1)), "compressed"),
    "index that repeats a block": (_with_index(lambda _: table([block(_A_RECORD)], times=9)), "twice"),
    "index of empty blocks": (_with_index(lambda _: table([block([])], times=1000)), "100 blocks"),
    "index of growing keys": (_with_index(lambda _: table([_growing_keys(30_000)])), "do not fit"),
    "index of a big-endian machine": (
        _with_index(lambda _: table([block([(b"", b"\x08\x01\x10\x01"), *_A_RECORD[1:]])])),
        "big-endian",
    ),
    "index without a header": (_with_index(lambda _: table([block(_A_RECORD[1:])])), "without shards"),
    "index of 5 MiB": (_with_index(lambda index: bytes(5 * 2**20) + index), "more than 4194304"),
    "shard cut short": (_cut, "breaks off"),
    "shard with a flipped bit": (_flipped, "checksum"),
    "gamma and beta exchanged": (_with_graph(_exchange), "not the genuine BiT-M-R50x1, 2 of"),
    "one name twice": (
        _with_graph(lambda graph: graph + object_graph({"parameters/0": "x", key_of(BETA).decode(): GAMMA})),
        "two names for",
    ),
    "two variables of one name": (
        lambda folder: write_checkpoint(
            folder,
            {**stand_in_arrays(TINY), f"module/{GAMMA}": stand_in_arrays(TINY)[GAMMA]},
        ),
        "1 there twice",
    ),
    "graph of garbage": (_with_graph(lambda graph: graph[:-3]), "longer than"),
    "graph of empty objects": (_with_graph(lambda _: message(1, b"") * 200_000), "100000 fields"),
    "graph that is no text": (_with_graph(lambda graph: graph.replace(b"resnet", b"resn\xfft")), "utf-8"),
    "not a number": (_with_values(GAMMA, np.nan), f"1 of 64 that are not, in {GAMMA}"),
    "infinite": (_with_values(GAMMA, np.inf), f"1 of 64 that are not, in {GAMMA}"),
    "program of 65 MiB": (_with_program(65 * 2**20), "more than 67108864"),
    "program of empty objects": (_with_program(_object_graph_of_program(message(1, b"") * 200_000)), "100000 fields"),
    "program of garbage": (_with_program(b"\xff" * 100), "64 bits"),
    "program nested without end": (_with_program(_object_graph_of_program(_nested(10_000))), SAME),
    "program that goes in a circle": (
        _with_program(_object_graph_of_program(message(1, message(1, number(1, 0) + message(2, b"parameters"))))),
        SAME,
    ),
    "program that refers to nothing": (
        _with_program(_object_graph_of_program(message(1, message(1, number(1, 99) + message(2, b"parameters"))))),
        SAME,
    ),
}
"""What is wrong to how it is written, and what is said; nameless ones can still be told by their checksums."""
