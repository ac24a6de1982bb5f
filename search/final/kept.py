"""What the final stage has done so far, in ``final/`` of the run's folder: an interrupted one goes on behind it.

``final/NAME.npz`` is a part that is done (a retrained model, what the models said of the held-out patients, the audit,
…): its arrays or its ``json``, and ``key``, the text of all that it follows from. A file that is missing, damaged (it
has a checksum, see `search.files.tensors`), of another key or of another shape counts as not kept: that part is done
again. The folder goes when the run is complete: nobody reads it then, and the tails of a large network, one a seed and
one a fold, take hundreds of megabytes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import TypeAdapter

from search.files.damage import DAMAGE
from search.files.tensors import Arrays, load_checked_npz, save_checked_npz
from search.run_folder.directory import RunDirectory

Value = TypeVar("Value")
Make = TypeVar("Make")
_KEY = "key"
_JSON = "json"


@dataclass(frozen=True)
class Form(Generic[Value]):
    """How something is kept.

    Attributes:
        pack: Gives its arrays.
        unpack: Gives it again; a ValueError where they are not of such a thing.
    """

    pack: Callable[[Value], Arrays]
    unpack: Callable[[Arrays], Value]


def as_json(kind: type[Value]) -> Form[Value]:
    """The form of plain values and dataclasses of them; floats come back to the bit.

    Args:
        kind: Their type, as `pydantic.TypeAdapter` takes it.
    """
    adapter = TypeAdapter(kind)
    return Form(
        lambda value: {_JSON: np.array(json.dumps(adapter.dump_python(value)))},
        lambda arrays: adapter.validate_python(json.loads(str(arrays[_JSON]))),
    )


class FinalStore:
    """The finished parts of one run's final stage.

    Args:
        directory: The run's folder, begun: what its manifest says results depend on is a part of every key.
        say: Told which parts were found.
        folder: Where they are kept, where that is not in the run's folder: nothing is written into a complete one.
    """

    def __init__(
        self, directory: RunDirectory, say: Callable[[str], None] = lambda text: None, folder: Path | None = None
    ) -> None:
        self._folder = folder or directory.final_parts
        self._say = say
        self._found: list[str] = []
        manifest = directory.read_manifest()
        self._run = [manifest.results_version, manifest.settings, manifest.fingerprints]

    def kept(self, name: str, form: Form[Value], make: Callable[[], Value], *follows_from: Any) -> Value:
        """A part of the final stage: as it was kept, or made now and kept.

        Args:
            name: Of the part; a file name without its suffix.
            form: How it is kept.
            make: Makes it.
            follows_from: What it depends on beside the run's settings, data and code, as JSON values.

        Raises:
            OSError: If it can't be written.
        """
        return self.kept_each({name: make}, form, *follows_from, made=_one_after_the_other)[0]

    def kept_each(
        self,
        makes: Mapping[str, Make],
        form: Form[Value],
        *follows_from: Any,
        made: Callable[[Mapping[str, Make]], Iterable[tuple[str, Value]]],
    ) -> list[Value]:
        """`kept` for several parts that do not follow from each other.

        Args:
            makes: By name of the part, what makes it.
            form: How each is kept.
            follows_from: As for `kept`.
            made: Makes those that were not kept, and gives them with their names in any order, as they are made.

        Returns:
            The parts, in the order of their names.

        Raises:
            OSError: If one can't be written.
        """
        found = {name: self._load(name, form, follows_from) for name in makes}
        missing = {name: make for name, make in makes.items() if found[name] is None}
        if not missing:
            return [each[0] for each in found.values() if each is not None]
        self._tell()
        for name, value in made(missing):
            path = self._folder / f"{name}.npz"
            path.parent.mkdir(exist_ok=True)  # not its parents: no run goes on in the ruins of its folder
            save_checked_npz(path, {**form.pack(value), _KEY: np.array(self._key(name, follows_from))})
            found[name] = (value,)
        return [each[0] for each in found.values() if each is not None]

    def _key(self, name: str, follows_from: tuple[Any, ...]) -> str:
        return json.dumps([name, *self._run, *follows_from], sort_keys=True)

    def _load(self, name: str, form: Form[Value], follows_from: tuple[Any, ...]) -> tuple[Value] | None:
        """A part as it was kept, alone in a tuple, for it may be None itself; None where it was not."""
        arrays = load_checked_npz(self._folder / f"{name}.npz")
        if arrays is None or str(arrays.pop(_KEY, "")) != self._key(name, follows_from):
            return None
        try:
            value = form.unpack(arrays)
        except (*DAMAGE, AttributeError, LookupError):
            return None  # a whole file, but of something else: what another version kept under this name
        self._found.append(name)
        return (value,)

    def holds(self, name: str) -> bool:
        """Whether there is a part of that name, of whatever key."""
        return (self._folder / f"{name}.npz").is_file()

    def forget(self) -> None:
        """Delete everything: what it was kept for is done."""
        self._tell()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self) -> None:
        if self._found:
            self._say(f"kept from before the interruption: {', '.join(self._found)}")
            self._found.clear()


def _one_after_the_other(makes: Mapping[str, Callable[[], Value]]) -> Iterator[tuple[str, Value]]:
    return ((name, make()) for name, make in makes.items())


def in_threads(workers: int) -> Callable[[Mapping[str, Callable[[], Value]]], Iterator[tuple[str, Value]]]:
    """For `FinalStore.kept_each`: so many parts are made at a time."""

    def made(makes: Mapping[str, Callable[[], Value]]) -> Iterator[tuple[str, Value]]:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="final")
        try:
            yield from zip(makes, pool.map(lambda make: make(), makes.values()), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    return made
