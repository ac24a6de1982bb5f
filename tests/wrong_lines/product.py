"""The product's functions, found by their names: module-level functions and methods, in whatever file they lie."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("mammo_data", "reports", "search")
_OWN_FOLDER = "tests/wrong_lines/"


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        path: Relative to the root of the checkout.
        source: Its bytes; syntax trees count columns in bytes.
        tree: Its syntax tree.
    """

    path: Path
    source: bytes
    tree: ast.Module

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        for line in self.source.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        return starts

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node's text begins and ends, in bytes of the file."""
        first, last = self._line_starts[node.lineno - 1], self._line_starts[node.end_lineno - 1]  # type: ignore[attr-defined]
        return first + node.col_offset, last + node.end_col_offset  # type: ignore[attr-defined]

    def text(self, node: ast.AST) -> str:
        """A node's text."""
        start, end = self.span(node)
        return self.source[start:end].decode()


@dataclass(frozen=True)
class Function:
    """A function or method of the product.

    Attributes:
        name: "function" or "Class.method".
        module: The file it lies in.
        node: Its syntax tree.
    """

    name: str
    module: Module
    node: ast.FunctionDef | ast.AsyncFunctionDef

    @property
    def key(self) -> str:
        """What a recording calls it."""
        return f"{self.module.path}::{self.name}"

    @property
    def text(self) -> str:
        """Its source, without its decorators."""
        return self.module.text(self.node)


@dataclass(frozen=True)
class WrongLine:
    """One mistake.

    Attributes:
        function: "function" or "Class.method".
        old: What its source has once; it also tells functions of one name apart.
        new: What is put there.
        tests: Names of tests that must notice; others may notice as well. Empty: any test.
        kind: What kind of mistake it is, in a word or two.
    """

    function: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    kind: str = "known"

    @property
    def key(self) -> str:
        """A short digest of what is changed."""
        return hashlib.sha256("\0".join((self.function, self.old, self.new)).encode()).hexdigest()[:12]


class NotFoundError(Exception):
    """A wrong line that has no place in the product as it is."""


def read_modules(root: Path) -> list[Module]:
    """All files of the product, in order of their paths."""
    paths = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    sources = [(path, path.read_bytes()) for path in paths]
    return [Module(path.relative_to(root), source, ast.parse(source)) for path, source in sources]


def functions_of(module: Module) -> list[Function]:
    """Functions and methods of one file; a function inside another one belongs to that one."""
    found: list[Function] = []

    def visit(body: Sequence[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(Function(prefix + node.name, module, node))
            elif isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")

    visit(module.tree.body, "")
    return found


def place(line: WrongLine, functions: Iterable[Function]) -> Function:
    """The function that a wrong line is of.

    Raises:
        NotFoundError: If no function of that name has the old text exactly once, or several have.
    """
    named = [function for function in functions if function.name == line.function]
    fitting = [function for function in named if function.text.count(line.old) == 1]
    if len(fitting) != 1:
        lines = ", ".join(f"{function.text.count(line.old)} times in {function.module.path}" for function in named)
        raise NotFoundError(f"{line.function}: {line.old!r} {lines or 'and no function of that name'}")
    return fitting[0]


def with_wrong_line(line: WrongLine, function: Function) -> bytes:
    """The source of the whole file with the wrong line in it."""
    start, end = function.module.span(function.node)
    source = function.module.source
    return source[:start] + function.text.replace(line.old, line.new).encode() + source[end:]


def tracked_files(root: Path) -> list[Path]:
    """Files of the checkout, relative to its root: those of git, and new ones that it does not ignore."""
    answer = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    paths = sorted({Path(name) for name in answer.stdout.decode().split("\0") if name})
    return [path for path in paths if (root / path).is_file()]


def tree_digest(root: Path) -> str:
    """12 hex digits of everything that the tests depend on, this folder excepted."""
    digest = hashlib.sha256()
    for path in tracked_files(root):
        counts = path.suffix in {".py", ".toml", ".json", ".j2"} and not path.as_posix().startswith(_OWN_FOLDER)
        if counts:
            digest.update(f"{path} {hashlib.sha256((root / path).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]
