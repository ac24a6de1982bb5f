"""Imported weights as one safetensors file each: written once, whole or not at all, read back in under a second.

The file's metadata (all strings): `format`, `architecture`, `fingerprint`, `provenance`, `genuine` (true, false or
unknown), `verification`. Its tensors carry the official names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from search.bit.architecture import BitArchitecture
from search.bit.checkpoint import match_official
from search.bit.weights import BitWeights, fingerprint_of
from search.errors import ConfigError, WeightsError
from search.files.tensors import save_safetensors

FORMAT = "mammo-search bit weights 1"
SUFFIX = ".safetensors"
_GENUINE = {"true": True, "false": False, "unknown": None}


def require_stored_name(path: Path) -> None:
    """Refuse a name that `--weights` would not know for a stored file, or that can't be written, before the work.

    Raises:
        ConfigError: If it has another suffix or is a folder, or its folder is absent.
    """
    remedy = "Correct --output."
    if path.suffix != SUFFIX or path.is_dir():
        raise ConfigError(expected=f"a file that ends in {SUFFIX}", found=str(path), remedy=remedy)
    if not path.absolute().parent.is_dir():
        raise ConfigError(expected="a folder that is there", found=str(path.parent), remedy=remedy)


def write_stored(path: Path, weights: BitWeights, arch: BitArchitecture) -> None:
    """Write weights to a safetensors file, atomically."""
    metadata = {
        "format": FORMAT,
        "architecture": arch.name,
        "fingerprint": weights.fingerprint,
        "provenance": weights.provenance,
        "genuine": next(word for word, value in _GENUINE.items() if value is weights.genuine),
        "verification": weights.verification,
    }
    save_safetensors(path, weights.arrays, metadata)


def read_stored(path: Path, arch: BitArchitecture) -> BitWeights:
    """Read weights back and check them against their fingerprint.

    Raises:
        WeightsError: If the file is damaged, is no such file, or is of another architecture.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    metadata = stored_metadata(path)
    try:
        arrays = match_official(load_file(path), arch, path.name).candidates[0]
    except (OSError, SafetensorError) as error:
        raise _damaged(path, str(error)) from error
    fingerprint = fingerprint_of(arrays)
    if metadata.get("fingerprint") not in (None, fingerprint):
        raise _damaged(path, "contents that do not match the stored fingerprint")
    return BitWeights(
        arrays,
        fingerprint,
        metadata.get("provenance", f"safetensors {path.name}"),
        _GENUINE.get(metadata.get("genuine", "unknown")),
        metadata.get("verification", ""),
    )


def stored_metadata(path: Path) -> dict[str, str]:
    """The metadata of a stored file, without reading its tensors.

    Raises:
        WeightsError: If the file is no readable safetensors file.
    """
    # A safetensors file begins with the length of its JSON header, little-endian, in eight bytes.
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise _damaged(path, "a header longer than the file")
            metadata = json.loads(file.read(length)).get("__metadata__", {})
    except (OSError, ValueError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    return {str(key): str(value) for key, value in metadata.items()}


def stored_once(path: Path, arch: BitArchitecture, import_weights: Callable[[], BitWeights]) -> BitWeights:
    """Read `path`, or import and store it first; of several processes that ask at once, one does the work.

    Args:
        path: The stored file. A lock file of the same name stands beside it.
        arch: Architecture of the weights.
        import_weights: Makes the weights; called with the lock held.

    Raises:
        WeightsError: What `import_weights` raises.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            try:
                return read_stored(path, arch)
            except WeightsError:
                # The cache is ours to mend; a file that the user named is never replaced.
                path.unlink()
        # With the lock held, a temporary file of this name belongs to a process that was killed.
        for leftover in path.parent.glob(f".{path.stem}-*{SUFFIX}"):
            leftover.unlink()
        weights = import_weights()
        write_stored(path, weights, arch)
        return weights


def _damaged(path: Path, found: str) -> WeightsError:
    return WeightsError(
        expected=f"a whole weights file at {path}",
        found=found,
        remedy="Carry the file over again, or fetch it with mammo-search weights fetch.",
    )
