"""Bank store: one folder a bank, named by the fingerprint of everything that its values depend on.

``FINGERPRINT/values.npy`` is the bank and ``bank.json`` (schema: the fields of `BankKey`, ``dtype``, ``shape`` and
``crc32c`` of the values) says what it is; a folder without ``bank.json`` is a fill that is not finished: ``values.npy``
as far as ``progress.json`` says (``{"views": n, "crc32c": of these}``). A fill that was interrupted goes on where it
was; one that was damaged since begins again. The store deletes the banks that were not used for longest when a new one
would exceed its budget, and never one that the coming search needs or that another process fills or reads: whoever
fills it holds ``FINGERPRINT.lock``, whoever reads it ``FINGERPRINT.used-PROCESS-NUMBER`` as long as it has the values.
"""

from __future__ import annotations

import json
import os
import shutil
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from mammo_data.locks import Lock, LockHeldError
from mammo_data.waiting import note
from search.boundary.bank_key import BankKey
from search.boundary.values import FLOAT16_LIMIT, Trunk, bank_dtype, whole_batch
from search.files.atomic import write_atomic
from search.files.damage import DAMAGE
from search.text import size_text

_VIEWS_BETWEEN_SAVES = 512
_CHECKSUM_ITEMS = 2**24
_USED = ".used-"
_PROCESS = uuid4().hex[:12]
_uses = count()
_PixelsFrom = Callable[[int], Iterable[NDArray[np.float32]]]
_Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class BankStore:
    """Banks on disk.

    Attributes:
        directory: The folder of all banks.
        max_bytes: Budget of all banks together.
    """

    directory: Path
    max_bytes: int

    def load(self, key: BankKey) -> NDArray[Any] | None:
        """A finished, undamaged bank as a read-only memory map, or None."""
        folder = self._folder(key)
        try:
            manifest = json.loads((folder / "bank.json").read_text(encoding="utf-8"))
            values = np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False)
            intact = manifest == _manifest(key, values, _checksum(values))
        except DAMAGE:
            return None
        if not intact:
            return None
        os.utime(folder / "bank.json")
        return values

    def ensure(
        self,
        keys: Mapping[int, BankKey],
        *,
        trunk_of: Callable[[Sequence[int]], Trunk],
        pixels_from: _PixelsFrom,
        views: int,
        shapes: Mapping[int, tuple[int, ...]],
        progress: _Progress = None,
    ) -> dict[int, NDArray[Any]]:
        """Load the banks that are there and fill the others in one pass of the trunk.

        Args:
            keys: Depth to key.
            trunk_of: Builds the trunk for some depths, its outputs in their order.
            pixels_from: Batches of pixels, float32 [batch, height, width, 3], of all views from one view on; all but
                the last are of the key's size.
            views: Views in all.
            shapes: Shape of one boundary value of each depth.
            progress: Called with (views done, views in all).

        Returns:
            Depth to values, float16 or float32 [views, ...], read-only memory maps.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        loaded: dict[int, NDArray[Any]] = {}
        with ExitStack() as filling:
            # Two searches that need the same bank: the second waits and then finds it. All take them in one order, so
            # that none waits for who waits for it.
            for depth, key in sorted(keys.items(), key=lambda item: item[1].fingerprint):
                lock = Lock(self.directory / f"{key.fingerprint}.lock", f"fills the bank of depth {depth}")
                lock.acquire()
                filling.callback(lock.release)
                if (values := self.load(key)) is not None:
                    loaded[depth] = self._used(key, values)
                    lock.release()
            missing = sorted(keys.keys() - loaded.keys())
            if missing:
                for folder in (self._folder(keys[depth]) for depth in missing):
                    if (folder / "bank.json").exists():  # it says that it is finished, and is not what was written
                        shutil.rmtree(folder)
                self._make_room(keys, shapes, views)
                trunk, empty = trunk_of(missing), {depth: keys[depth] for depth in missing}
                while not self._fill(empty, trunk, pixels_from, views, shapes, progress):
                    pass
                for depth in missing:
                    values = np.load(self._folder(keys[depth]) / "values.npy", mmap_mode="r")
                    loaded[depth] = self._used(keys[depth], values)
        return loaded

    def _used(self, key: BankKey, values: NDArray[Any]) -> NDArray[Any]:
        """The same values, with a lock that says that they are used until the last reference to them is gone."""
        lock = Lock(self.directory / f"{key.fingerprint}{_USED}{_PROCESS}-{next(_uses)}", "reads a bank")
        lock.acquire()
        weakref.finalize(values, lock.release)
        return values

    def _fill(
        self,
        keys: Mapping[int, BankKey],
        trunk: Trunk,
        pixels_from: _PixelsFrom,
        views: int,
        shapes: Mapping[int, tuple[int, ...]],
        progress: _Progress,
    ) -> bool:
        """Fill the banks of these keys, which are missing, in the order in which the trunk gives their depths.

        Returns:
            False where one turned out to need float32 and its fill has to begin again.
        """
        folders = {depth: self._folder(key) for depth, key in keys.items()}
        batch_size = next(iter(keys.values())).batch_size
        opened = {depth: _open_values(folders[depth], views, shapes[depth], bank_dtype(depth)) for depth in keys}
        files = {depth: values for depth, (values, _) in opened.items()}
        done = saved = min(kept for _, kept in opened.values()) // batch_size * batch_size
        checksums = {depth: _checksum(values[:done]) for depth, values in files.items()}
        for pixels in pixels_from(done):
            for depth, boundary in zip(keys, trunk(whole_batch(pixels, batch_size)), strict=True):
                part = np.asarray(boundary)[: len(pixels)]
                if files[depth].dtype == np.float16 and np.abs(part).max() > FLOAT16_LIMIT:
                    shutil.rmtree(folders[depth])
                    folders[depth].mkdir()
                    (folders[depth] / "float32").touch()
                    return False
                files[depth][done : done + len(pixels)] = part
                checksums[depth] = _checksum(files[depth][done : done + len(pixels)], checksums[depth])
            done += len(pixels)
            if done - saved >= _VIEWS_BETWEEN_SAVES and done < views:
                _save_progress(folders, files, done, checksums)
                saved = done
            if progress:
                progress(done, views)
        if done != views:
            raise ValueError(f"Expected {views} views in the pixel batches. Received: {done}")
        _save_progress(folders, files, done, checksums)
        for depth, key in keys.items():
            manifest = _manifest(key, files[depth], checksums[depth])
            write_atomic(folders[depth] / "bank.json", json.dumps(manifest, indent=2))
        return True

    def _make_room(self, keys: Mapping[int, BankKey], shapes: Mapping[int, tuple[int, ...]], views: int) -> None:
        kept = {key.fingerprint for key in keys.values()}
        needed = sum(bank_bytes(depth, shapes[depth], views) for depth in keys)
        others = [folder for folder in self.directory.iterdir() if folder.is_dir() and folder.name not in kept]
        total = needed + sum(map(_size, others))
        for folder in sorted(others, key=_last_used):
            if total > self.max_bytes and self._delete_unused(folder):
                total = needed + sum(map(_size, others))
        if total > self.max_bytes >= needed:
            note(f"banks take {size_text(total)}, more than cache.max_gb: other processes use some of them")

    def _delete_unused(self, folder: Path) -> bool:
        """Delete a bank, unless another process fills or uses it; says whether it did."""
        filling = Lock(folder.with_name(f"{folder.name}.lock"))
        try:
            filling.acquire(0)
        except LockHeldError:
            return False
        try:
            for file in self.directory.glob(f"{folder.name}{_USED}*[0-9]"):
                if _PROCESS not in file.name:  # its own old banks keep no process from its budget
                    used = Lock(file)
                    used.acquire(0)  # of a process that was killed, where it succeeds
                    used.release()
            shutil.rmtree(folder)
        except LockHeldError:
            return False
        finally:
            filling.release()
        return True

    def _folder(self, key: BankKey) -> Path:
        return self.directory / key.fingerprint


def bank_bytes(depth: int, shape: tuple[int, ...], views: int) -> int:
    """Size of a bank in bytes, unless it turns out to need float32."""
    return int(np.prod(shape)) * views * bank_dtype(depth).itemsize


def _manifest(key: BankKey, values: NDArray[Any], checksum: str) -> dict[str, Any]:
    # Type and shape as well: they stand in the header, which the checksum of the values does not see.
    return {**asdict(key), "dtype": values.dtype.str, "shape": list(values.shape), "crc32c": checksum}


def _open_values(
    folder: Path, views: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[np.memmap[Any, Any], int]:
    """The values of an unfinished bank to write to, and how many views of an interrupted fill are good."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "values.npy"
    if (folder / "float32").exists():
        dtype = np.dtype(np.float32)
    try:
        progress = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        kept = np.lib.format.open_memmap(path, mode="r+")
        done = int(progress["views"])
        expected = (dtype, (views, *shape), progress["crc32c"])
        if 0 <= done <= views and (kept.dtype, kept.shape, _checksum(kept[:done])) == expected:
            return kept, done
    except DAMAGE:
        pass  # there is none, or it is damaged
    values = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(views, *shape))
    # A memory map is a sparse file: where its blocks are missing when the disk is full, writing ends the process.
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return values, 0


def _save_progress(
    folders: Mapping[int, Path], files: Mapping[int, np.memmap[Any, Any]], done: int, checksums: Mapping[int, str]
) -> None:
    for depth, folder in folders.items():
        # The values first: progress must never promise what a power cut could take back.
        files[depth].flush()
        write_atomic(folder / "progress.json", json.dumps({"views": done, "crc32c": checksums[depth]}))


def _checksum(values: NDArray[Any], before: str = "0") -> str:
    """CRC-32C of the values, read in pieces (about a second a GB), going on from that of the values before."""
    total, flat = int(before, 16), values.reshape(-1)
    for start in range(0, len(flat), _CHECKSUM_ITEMS):
        total = google_crc32c.extend(total, flat[start : start + _CHECKSUM_ITEMS].tobytes())
    return f"{total:08x}"


def _last_used(folder: Path) -> float:
    manifest = folder / "bank.json"
    return manifest.stat().st_mtime if manifest.exists() else 0.0


def _size(folder: Path) -> int:
    values = folder / "values.npy"
    return values.stat().st_size if values.exists() else 0
