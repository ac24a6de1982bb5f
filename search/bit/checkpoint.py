"""Which array of a file is which variable of BiT: by the authors' names, by timm's, or by an order.

What the file declares is compared first; only arrays that fit are read, so that a file can cost no more than the
backbone itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from search.bit.architecture import BitArchitecture
from search.bit.formats.base import StoredArray
from search.errors import WeightsError

_OFFICIAL_TAIL = re.compile(
    r"(?:^|.*?/)((?:root_block/standardized_conv2d/kernel|block\d+/unit\d+/[abc]/.+|group_norm/(?:gamma|beta)"
    r"|head/conv2d/(?:kernel|bias)))$"
)
_TIMM_ROOT = "stem.conv.weight"
_TIMM_IN_UNIT = re.compile(
    r"stages\.(\d{1,3})\.blocks\.(\d{1,3})\.(conv[123]\.weight|norm[123]\.\w+|downsample\.conv\.weight)"
)
_TIMM_LEAVES = {
    "conv": {"weight": "standardized_conv2d/kernel"},
    "norm": {"weight": "group_norm/gamma", "bias": "group_norm/beta"},
}


@dataclass(frozen=True)
class Matching:
    """Which array may be which variable.

    Args:
        candidates: Possible assignments, the likeliest first, each with exactly the official names as float32. By name
            there is one; by order there may be several, which only the published checksums can tell apart.
        by_name: Whether the file's own names decided.
    """

    candidates: tuple[dict[str, np.ndarray], ...]
    by_name: bool


def match_official(stored: Sequence[StoredArray], arch: BitArchitecture, source: str) -> Matching:
    """Read the arrays that are BiT's: by name if possible, else by order and shape.

    Args:
        stored: What a file declares, in the file's order.
        arch: The architecture that they should fill.
        source: What to call the file in errors.

    Raises:
        WeightsError: If names, shapes or types don't fit, or a value is not finite.
    """
    wanted = arch.variable_shapes
    if any(array.name == _TIMM_ROOT for array in stored):
        named = [_from_timm(array) for array in stored if not array.name.startswith("head.")]
    else:
        named = [replace(array, name=name) for array in stored if (name := official_name(array.name))]
    if named:
        fitting = _fitting(named, wanted, source)
        return Matching(({name: _values(fitting[name], source) for name in wanted},), by_name=True)
    floats = [array for array in stored if array.dtype is not None]
    orders = [
        order for order in _known_orders(arch) if [wanted[name] for name in order] == [array.shape for array in floats]
    ]
    if not orders:
        raise WeightsError(
            expected=f"the {len(wanted)} variables of BiT {arch.name} by name or in a known order",
            found=f"{len(stored)} arrays in {source} that fit neither",
            remedy="Name a BiT checkpoint of this architecture with --weights.",
        )
    values = [_values(array, source) for array in floats]
    found = (dict(zip(order, values, strict=True)) for order in orders)
    return Matching(tuple({name: arrays[name] for name in wanted} for arrays in found), by_name=False)


def official_name(name: str) -> str | None:
    """The official form `resnet/…` of a variable's name, whatever its prefix and suffix; None if it is none of BiT's.

    >>> official_name("module/resnet/block1/unit01/a/group_norm/beta:0")
    'resnet/block1/unit01/a/group_norm/beta'
    """
    match = _OFFICIAL_TAIL.match(name.split(":")[0])
    return f"resnet/{match.group(1)}" if match else None


def official_name_of_timm(name: str) -> str:
    """The official form of a name in timm's conversion (timm/models/resnetv2.py); an unknown name as it is.

    >>> official_name_of_timm("stages.0.blocks.2.norm3.bias")
    'resnet/block1/unit03/c/group_norm/beta'
    """
    if name == _TIMM_ROOT:
        return "resnet/root_block/standardized_conv2d/kernel"
    if name in ("norm.weight", "norm.bias"):
        return f"resnet/{_TIMM_LEAVES['norm'][name.removeprefix('norm.')]}"
    if not (match := _TIMM_IN_UNIT.fullmatch(name)):
        return name
    unit = f"resnet/block{int(match[1]) + 1}/unit{int(match[2]) + 1:02d}"
    if match[3].startswith("downsample"):
        return f"{unit}/a/proj/standardized_conv2d/kernel"
    layer, leaf = match[3].split(".")
    return f"{unit}/{'abc'[int(layer[-1]) - 1]}/{_TIMM_LEAVES[layer[:-1]].get(leaf, leaf)}"


def _from_timm(array: StoredArray) -> StoredArray:
    """The array under its official name; PyTorch's kernels are [out, in, rows, columns], the official [rows, columns,
    in, out]."""
    name = official_name_of_timm(array.name)
    if len(array.shape) != 4:
        return replace(array, name=name)
    filters, channels, rows, columns = array.shape
    shape = (rows, columns, channels, filters)
    return replace(array, name=name, shape=shape, read=lambda: np.ascontiguousarray(array.read().transpose(2, 3, 1, 0)))


def _fitting(
    named: Sequence[StoredArray], wanted: Mapping[str, tuple[int, ...]], source: str
) -> dict[str, StoredArray]:
    by_name = {array.name: array for array in named}
    faults = {
        "missing": [name for name in wanted if name not in by_name],
        "unknown": [name for name in by_name if name not in wanted and "/head/" not in name],
        "of another shape": [name for name in wanted if name in by_name and by_name[name].shape != wanted[name]],
        "of another type": [name for name in wanted if name in by_name and by_name[name].dtype is None],
        "there twice": [name for name, count in Counter(array.name for array in named).items() if count > 1],
    }
    if any(faults.values()):
        first = next(name for names in faults.values() for name in names)
        detail = "the first"
        if first in faults["of another shape"]:
            detail = f"shape {by_name[first].shape} instead of {wanted[first]}"
        raise WeightsError(
            expected=f"the {len(wanted)} variables of this backbone",
            found=f"{', '.join(f'{len(names)} {fault}' for fault, names in faults.items() if names)} in {source} "
            f"({first[:200]!r}: {detail})",
            remedy="Choose the --backbone that the file was made for, or another file with --weights.",
        )
    return by_name


def _values(array: StoredArray, source: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        values = array.read().astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise WeightsError(
            expected=f"finite numbers in {source}",
            found=f"{np.count_nonzero(~np.isfinite(values))} of {values.size} that are not, in {array.name[:200]}",
            remedy="Fetch or convert the weights again, or name another file with --weights.",
        )
    return values


def _known_orders(arch: BitArchitecture) -> Sequence[tuple[str, ...]]:
    """Orders in which a module may list its variables: of creation, of creation with beta first, alphabetical."""
    created = tuple(arch.variable_shapes)
    # Every gamma is followed by its beta, so exchanging the two words exchanges the places.
    exchanged = {"gamma": "beta", "beta": "gamma"}
    beta_first = tuple(re.sub("gamma$|beta$", lambda leaf: exchanged[leaf.group()], name) for name in created)
    return (created, beta_first, tuple(sorted(created)))
