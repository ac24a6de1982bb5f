"""The house in figures: who imports whom among the product's files, in which circles and chains, and how much there is.

Every import counts: those inside functions, and those for type checkers alone. An import of a package counts as one of
its ``__init__``.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

PACKAGES = ("mammo_data", "reports", "search")
Place = TypeVar("Place", bound=Hashable)
Arrows = dict[Place, set[Place]]
"""Each place to those that it imports; a place that nobody imports, and that imports nobody, is there too."""


class Import(NamedTuple):
    """One import of one of our files.

    Attributes:
        importer: Name of the file that says it, for example "search/cli/run.py".
        line: Where.
        imported: Name of the file that it needs.
        in_function: Whether it is carried out when a function is called.
    """

    importer: str
    line: int
    imported: str
    in_function: bool


@dataclass(frozen=True)
class House:
    """The product's packages in a folder.

    Attributes:
        root: The folder.
    """

    root: Path

    @cached_property
    def texts(self) -> dict[str, str]:
        """Name of each Python file, relative to the root, to its content."""
        files = (file for package in PACKAGES for file in sorted((self.root / package).rglob("*.py")))
        return {file.relative_to(self.root).as_posix(): file.read_text(encoding="utf-8") for file in files}

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """All imports of ours by ours."""
        return tuple(found for file, text in self.texts.items() for found in self._imports_of(file, ast.parse(text)))

    @cached_property
    def arrows(self) -> Arrows[str]:
        """Each file to the files that it imports."""
        arrows: Arrows[str] = {file: set() for file in self.texts}
        for found in self.imports:
            arrows[found.importer].add(found.imported)
        return arrows

    @property
    def lazy_imports(self) -> tuple[str, ...]:
        """Places of the statements inside functions, for example "search/cli/run.py:63"."""
        return tuple(sorted({f"{found.importer}:{found.line}" for found in self.imports if found.in_function}))

    @property
    def dynamic_imports(self) -> dict[str, int]:
        """Files that import by a name that they compute, or answer for a name that they lack, to how often."""
        words = ("import_module(", "__import__(", "def __getattr__(", "lazy_loader.")
        return {file: many for file, text in self.texts.items() if (many := sum(map(text.count, words)))}

    @property
    def code_lines(self) -> int:
        """Lines that are not blank and no comment, docstring or import."""
        return sum(map(code_lines, self.texts.values()))

    @property
    def fullest_folders(self) -> Counter[str]:
        """Folder to its Python files, ``__init__`` left out."""
        return Counter(str(Path(file).parent) for file in self.texts if Path(file).name != "__init__.py")

    def _imports_of(self, file: str, tree: ast.Module) -> Iterator[Import]:
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        inside = {id(node) for function in functions for node in ast.walk(function)}
        for node in ast.walk(tree):
            for module in _modules(node, file):
                if (found := self._file_of(module)) and found != file:
                    yield Import(file, node.lineno, found, id(node) in inside)  # type: ignore[attr-defined]

    def _file_of(self, module: str) -> str | None:
        """The file of a module; of a name in a module it is the module's."""
        for name in (module, module.rpartition(".")[0]):
            path = name.replace(".", "/")
            for file in (f"{path}.py", f"{path}/__init__.py"):
                if file in self.texts:
                    return file
        return None


def _modules(node: ast.AST, file: str) -> Iterator[str]:
    """What an import asks for, by full names: module, or module and name."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = Path(file).parts[: -node.level] if node.level else ()
        module = ".".join((*above, *([node.module] if node.module else [])))
        yield from (f"{module}.{alias.name}" for alias in node.names)


def code_lines(text: str) -> int:
    """Lines of a file that are not blank and no comment, docstring or import."""
    other: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node) is None:
                continue
            node = node.body[0]
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        other.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(map(str.strip, text.splitlines()), start=1)
    return sum(bool(line) and not line.startswith("#") and number not in other for number, line in lines)


def groups(arrows: Mapping[Place, Set[Place]]) -> list[list[Place]]:
    """Strongly connected components: places that reach each other are in one group."""
    places = list(arrows)
    number = {place: position for position, place in enumerate(places)}
    pairs = [(number[place], number[other]) for place in places for other in arrows[place]]
    rows, columns = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    matrix = csr_array((np.ones(len(pairs), np.int8), (rows, columns)), shape=(len(places), len(places)))
    _, labels = connected_components(matrix, directed=True, connection="strong")
    members: dict[int, list[Place]] = defaultdict(list)
    for place, label in zip(places, labels, strict=True):
        members[label].append(place)
    return list(members.values())


def circles(arrows: Mapping[Place, Set[Place]]) -> list[list[Place]]:
    """Groups of places that import each other, each sorted."""
    return [sorted(group, key=str) for group in groups(arrows) if len(group) > 1]


def longest_chain(arrows: Mapping[Place, Set[Place]]) -> int:
    """Places on the longest way along the arrows, a circle counted as one."""
    group_of = {place: position for position, group in enumerate(groups(arrows)) for place in group}
    below: dict[int, set[int]] = defaultdict(set)
    for place, others in arrows.items():
        below[group_of[place]] |= {group_of[other] for other in others} - {group_of[place]}
    length: dict[int, int] = {}
    for group in TopologicalSorter(below).static_order():  # what is imported comes first
        length[group] = 1 + max((length[other] for other in below[group]), default=0)
    return max(length.values())


def between(arrows: Mapping[str, Set[str]], room_of: Mapping[str, str]) -> Arrows[str]:
    """Each room to the rooms that its files import; files without a room are left out."""
    rooms: Arrows[str] = {room: set() for room in room_of.values()}
    for file, others in arrows.items():
        if file in room_of:
            rooms[room_of[file]] |= {room_of[other] for other in others if other in room_of} - {room_of[file]}
    return rooms
