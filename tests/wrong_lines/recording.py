"""Which test comes through which function: recorded once, on a copy whose functions write down that they are called.

Each function of the copy begins with ``_reached("path::name")``, a built-in that this pytest plugin provides. What a
fixture comes through counts for every test that uses it. Other processes that tests start get the built-in from
``sitecustomize.py`` in the copy, and write each function down at once, under the test that started them.

``tests-PID.jsonl``, a line a fixture or test: ``{"fixture": name, "seconds", "functions"}`` or ``{"test": node id,
"passed", "seconds", "functions", "fixtures"}``. ``others-PID.jsonl``: ``{"of": fixture or node id, "function"}``.
Tests that have a line are not run again: an interrupted recording goes on.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.wrong_lines.product import functions_of, read_modules

if TYPE_CHECKING:
    from _pytest.fixtures import FixtureDef

FOLDER = "WRONG_LINES_RECORDING"
"""Environment variable: where the recording is kept."""

_CONTEXT = "WRONG_LINES_CONTEXT"

_IN_OTHER_PROCESSES = f'''\
import builtins, json, os

_seen = set()


def _reached(name):
    of, folder = os.environ.get("{_CONTEXT}"), os.environ.get("{FOLDER}")
    if name not in _seen and of and folder:
        _seen.add(name)
        file = os.open(f"{{folder}}/others-{{os.getpid()}}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, (json.dumps({{"of": of, "function": name}}) + "\\n").encode())
        os.close(file)


builtins._reached = _reached
'''


def instrument(copy: Path) -> None:
    """Let every function of a copy of the checkout tell that it is called."""
    for module in read_modules(copy):
        for function in functions_of(module):
            body = function.node.body
            has_docstring = ast.get_docstring(function.node, clean=False) is not None
            body.insert(int(has_docstring), ast.parse(f"_reached({function.key!r})").body[0])
        (copy / module.path).write_text(ast.unparse(module.tree) + "\n", encoding="utf-8")
    (copy / "sitecustomize.py").write_text(_IN_OTHER_PROCESSES, encoding="utf-8")


@dataclass(frozen=True)
class RecordedTest:
    """One test.

    Attributes:
        name: Its node id.
        seconds: What it takes without its fixtures.
        fixtures: Those that take long enough to count.
        functions: Keys of all functions it comes through, its fixtures included.
    """

    name: str
    seconds: float
    fixtures: frozenset[str]
    functions: frozenset[str]

    @property
    def file(self) -> str:
        """Path of the test's file."""
        return self.name.partition("::")[0]


@dataclass(frozen=True)
class Recording:
    """What a recording found.

    Attributes:
        tests: Tests that passed, by node id.
        fixture_seconds: What fixtures take, by their names.
        failed: Tests that failed without any wrong line; they can notice nothing.
    """

    tests: dict[str, RecordedTest]
    fixture_seconds: dict[str, float]
    failed: tuple[str, ...]


def read_recording(folder: Path) -> Recording:
    """Put together what all processes have written."""
    fixture_seconds: dict[str, float] = {}
    through: dict[str, set[str]] = defaultdict(set)
    for entry in _entries(folder.glob("others-*.jsonl")):
        through[entry["of"]].add(entry["function"])
    tests = []
    for entry in _entries(folder.glob("tests-*.jsonl")):
        if "fixture" in entry:
            name = entry["fixture"]
            fixture_seconds[name] = max(entry["seconds"], fixture_seconds.get(name, 0.0))
            through[name].update(entry["functions"])
        else:
            tests.append(entry)
            through[entry["test"]].update(entry["functions"])
    return Recording(
        tests={
            entry["test"]: RecordedTest(
                entry["test"],
                entry["seconds"],
                frozenset(name for name in entry["fixtures"] if fixture_seconds.get(name, 0.0) > 0.05),
                frozenset().union(*(through[name] for name in (entry["test"], *entry["fixtures"]))),
            )
            for entry in tests
            if entry["passed"]
        },
        fixture_seconds=fixture_seconds,
        failed=tuple(sorted(entry["test"] for entry in tests if entry["passed"] is False)),
    )


def _entries(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for path in sorted(paths):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue  # cut short when the recording was interrupted


class Recorder:
    """The plugin.

    Args:
        folder: Where the recording is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._reached: set[str] = set()
        builtins._reached = self._reached.add  # type: ignore[attr-defined]
        folder.mkdir(parents=True, exist_ok=True)
        self._done = {entry["test"] for entry in _entries(folder.glob("tests-*.jsonl")) if "test" in entry}
        self._file = (folder / f"tests-{os.getpid()}.jsonl").open("a", encoding="utf-8", buffering=1)
        # One set of functions, and the seconds of fixtures set up meanwhile, for each thing that is going on.
        self._functions: list[set[str]] = [set()]
        self._fixture_seconds = [0.0]
        self._passed: bool | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        left_out = [item for item in items if item.nodeid in self._done]
        items[:] = [item for item in items if item.nodeid not in self._done]
        config.hook.pytest_deselected(items=left_out)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._passed = None
        self._begin(item.nodeid)
        start = time.perf_counter()
        result = yield
        seconds = time.perf_counter() - start - self._fixture_seconds[-1]
        found = getattr(item, "_fixtureinfo", None)
        fixtures = [_name(each) for all_of in found.name2fixturedefs.values() for each in all_of] if found else []
        self._end({"test": item.nodeid, "passed": self._passed, "seconds": seconds, "fixtures": fixtures})
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            self._passed = False
        elif report.when == "call" and report.passed and self._passed is None:
            self._passed = True
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: FixtureDef[Any]) -> Generator[None, Any, Any]:
        before = os.environ.get(_CONTEXT, "")
        self._begin(_name(fixturedef))
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            whole = time.perf_counter() - start
            own = whole - self._fixture_seconds[-1]
            self._end({"fixture": _name(fixturedef), "seconds": own})
            os.environ[_CONTEXT] = before
            self._fixture_seconds[-1] += whole

    def _begin(self, context: str) -> None:
        self._drain()
        os.environ[_CONTEXT] = context
        self._functions.append(set())
        self._fixture_seconds.append(0.0)

    def _end(self, entry: dict[str, Any]) -> None:
        self._drain()
        self._fixture_seconds.pop()
        entry["seconds"] = round(entry["seconds"], 3)
        self._file.write(json.dumps({**entry, "functions": sorted(self._functions.pop())}) + "\n")

    def _drain(self) -> None:
        # A copy at once: another thread may add to it.
        found = self._reached.copy()
        self._reached -= found
        self._functions[-1] |= found


def _name(fixturedef: FixtureDef[Any]) -> str:
    return f"{fixturedef.baseid}::{fixturedef.argname}"


def pytest_configure(config: pytest.Config) -> None:
    """Begin to record; the process that only hands out tests to others records nothing."""
    is_controller = bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")
    if FOLDER in os.environ and not is_controller:
        config.pluginmanager.register(Recorder(Path(os.environ[FOLDER])), "wrong-lines-recorder")
