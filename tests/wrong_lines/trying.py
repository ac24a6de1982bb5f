"""One wrong line after another in a copy of the checkout, each under the tests that come through its function."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.wrong_lines.product import Function, WrongLine, tracked_files, with_wrong_line
from tests.wrong_lines.recording import FOLDER, RecordedTest, Recording, instrument

_FIRST_SECONDS = 20.0
"""What the first of two processes is given: all tests' files need not be collected where the cheapest notice."""

_NAMES_IT = 0.3
_HAS_NOTICED = 0.5
_OWN_FOLDER = 0.3
_PYTEST = ("-q", "-p", "no:cacheprovider", "--no-header", "--tb=line")


@dataclass(frozen=True)
class Tried:
    """What came of a wrong line.

    Attributes:
        noticed_by: The test that failed first, or "collection"; None where none did.
        message: What it said.
        tests: Tests that were given the line, all or until the first failed.
        left: Tests that time did not allow.
        seconds: Wall time.
    """

    noticed_by: str | None
    message: str
    tests: int
    left: int
    seconds: float


class Copy:
    """A copy of the checkout, and the environment that programs in it have.

    Args:
        root: The checkout.
        folder: Where the copy lies: beside it, so that it can be told from others, all that its tests write.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = folder / "copy"
        for path in tracked_files(root):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, self.root / path)
        if (root.parent / "shared").is_dir():
            (folder / "shared").symlink_to((root.parent / "shared").resolve())
        self._temporary = folder / "temporary"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            # The same examples each time.
            "CI": "1",
            "TMPDIR": str(self._temporary),
            # What a wrong line leaves in caches must not be found by anybody.
            "XDG_CACHE_HOME": str(self._temporary / "cache"),
            "MPLCONFIGDIR": str(folder / "matplotlib"),
        }
        self.clean()

    def clean(self) -> None:
        """Delete what tests have written."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, source: bytes) -> None:
        """Change a file of the product, and forget how it was compiled: same size and second look unchanged."""
        (self.root / path).write_bytes(source)
        for compiled in (self.root / path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()


class ForkServer:
    """The parent's side of `fork_server`, which runs in a copy."""

    def __init__(self, copy: Copy) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.wrong_lines.fork_server"],
            cwd=copy.root,
            env=copy.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._log = copy.root.parent / "pytest.log"
        self._answer()

    def run(self, tests: Iterable[str], *, timeout: float) -> tuple[int | None, str]:
        """Exit code, None where time ran out, and output of pytest, which stops at the first failure."""
        arguments = ["-x", "-n", "0", *_PYTEST, *tests]
        order = {"arguments": arguments, "log": str(self._log), "timeout": timeout}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code: int | None = json.loads(self._answer())["code"]
        return code, self._log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that runs the tests has ended")
        return line


def record(copy: Copy, folder: Path, *, processes: int, within: Sequence[str], timeout: float) -> bool:
    """Run the default tests on an instrumented copy; whether they came to an end in time."""
    instrument(copy.root)
    # This folder's own test tells every wrong line by its text.
    own = f"--ignore={Path(__file__).parent.relative_to(Path(__file__).parents[2])}"
    command = [sys.executable, "-m", "pytest", "-n", str(processes), own, *_PYTEST]
    environment = {**copy.environment, FOLDER: str(folder), "PYTEST_PLUGINS": "tests.wrong_lines.recording"}
    with (folder.parent / "recording.log").open("a") as log:
        process = subprocess.Popen(
            [*command, *within], cwd=copy.root, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        try:
            return process.wait(timeout) in {0, 1, 5}
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            return False


def in_order(
    line: WrongLine, function: Function, recording: Recording, root: Path, *, noticed: Mapping[str, int]
) -> list[RecordedTest]:
    """The tests that a wrong line is shown, the most promising for their price first.

    First those that must notice, then those that come through the function (the cheaper in the folder that mirrors its
    own), then the others of their files: what a module keeps between its tests is recorded under the first of them.

    Args:
        line: The line.
        function: Its function.
        recording: Which test comes through which function, and how long each takes.
        root: The checkout.
        noticed: How many wrong lines each test has noticed already.
    """
    direct = {name: test for name, test in recording.tests.items() if function.key in test.functions}
    files = {test.file for test in direct.values()}
    sharing: dict[str, int] = {}
    for test in direct.values():
        for fixture in test.fixtures:
            sharing[fixture] = sharing.get(fixture, 0) + 1
    word = re.compile(rf"\b({'|'.join(map(re.escape, function.name.split('.')))})\b")
    naming = {file for file in files if word.search((root / file).read_text(encoding="utf-8"))}

    own = Path("tests") / Path(function.module.path).parent

    def rank(test: RecordedTest) -> tuple[bool, bool, float]:
        price = 0.05 + test.seconds
        price += sum(recording.fixture_seconds[name] / sharing.get(name, 1) for name in test.fixtures)
        price *= (_NAMES_IT if test.file in naming else 1.0) * (_HAS_NOTICED if noticed.get(test.name) else 1.0)
        price *= _OWN_FOLDER if Path(test.file).parent == own else 1.0
        return not _is_named(test.name, line.tests), test.name not in direct, price

    candidates = [test for test in recording.tests.values() if test.file in files or _is_named(test.name, line.tests)]
    return sorted(candidates, key=rank)


def unknown_tests(line: WrongLine, recording: Recording) -> list[str]:
    """Tests that a wrong line names and that there are none of."""
    return [name for name in line.tests if not any(_is_named(test, (name,)) for test in recording.tests)]


def is_expected(line: WrongLine, noticed_by: str) -> bool:
    """Whether a line was noticed by a test that it names; any will do for one that names none."""
    return not line.tests or _is_named(noticed_by, line.tests)


def _is_named(test: str, names: Collection[str]) -> bool:
    return test.rpartition("::")[2].partition("[")[0] in names


def try_line(
    line: WrongLine,
    function: Function,
    tests: Sequence[RecordedTest],
    fixture_seconds: Mapping[str, float],
    *,
    copy: Copy,
    server: ForkServer,
    seconds: float,
) -> Tried:
    """Put a wrong line into a copy, run tests until one fails, and put the right one back.

    Args:
        line: The line.
        function: Its function.
        tests: In their order.
        fixture_seconds: What fixtures take.
        copy: The copy; it is left as it was.
        server: Runs tests in it.
        seconds: How long all of it may take; what is longer than four times its due hangs, and is noticed.
    """
    begin, done = time.monotonic(), 0
    copy.write(function.module.path, with_wrong_line(line, function))
    try:
        for part in _parts(tests, fixture_seconds):
            left = seconds - (time.monotonic() - begin)
            due = 120.0 + 4 * _due(part, fixture_seconds)
            code, output = server.run([test.name for test in part], timeout=min(left, due)) if left > 0 else (None, "")
            if code is None and (left <= 0 or due > left):
                return Tried(None, "time ran out", done, len(tests) - done, round(time.monotonic() - begin, 1))
            done += len(part)
            if code != 0:
                noticed_by, message = _failure(code, output)
                return Tried(noticed_by, message, done, len(tests) - done, round(time.monotonic() - begin, 1))
        return Tried(None, "", done, 0, round(time.monotonic() - begin, 1))
    finally:
        copy.write(function.module.path, function.module.source)
        copy.clean()


def _parts(tests: Sequence[RecordedTest], fixture_seconds: Mapping[str, float]) -> list[Sequence[RecordedTest]]:
    count = 0
    while count < len(tests) and _due(tests[: count + 1], fixture_seconds) <= _FIRST_SECONDS and count < 60:
        count += 1
    return [part for part in (tests[:count], tests[count:]) if part]


def _due(tests: Sequence[RecordedTest], fixture_seconds: Mapping[str, float]) -> float:
    fixtures = frozenset[str]().union(*(test.fixtures for test in tests))
    return sum(test.seconds for test in tests) + sum(fixture_seconds[name] for name in fixtures)


def _failure(code: int | None, output: str) -> tuple[str, str]:
    """The test that failed, and its message."""
    if code is None:
        return "hangs", "longer than four times as long as without the wrong line"
    for written in output.splitlines():
        found = re.match(r"(?:FAILED|ERROR) (\S+\.py(?:::.*?)?)(?: - (.*))?$", written)
        if found:
            name = found[1]
            return (name if "::" in name else "collection"), (found[2] or "")[:300]
    if code < 0 or code == 3:
        return "crash", f"exit code {code}: " + " ".join(output.split()[-40:])
    if code in {2, 4}:
        return "collection", " ".join(output.split()[-40:])
    raise RuntimeError(f"pytest ended with {code}:\n{output[-2000:]}")
