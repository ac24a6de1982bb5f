"""All wrong lines: which there are, several at a time, each result kept as it comes, and the account of them."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.wrong_lines.drawing import draw
from tests.wrong_lines.known import ACCEPTED, KNOWN
from tests.wrong_lines.product import (
    Function,
    WrongLine,
    functions_of,
    place,
    read_modules,
    tree_digest,
    with_wrong_line,
)
from tests.wrong_lines.recording import Recording, read_recording
from tests.wrong_lines.trying import (
    Copy,
    ForkServer,
    Tried,
    in_order,
    is_expected,
    record,
    try_line,
    unknown_tests,
)

GOAL = 0.97
_FOLDER = ".wrong-lines"

Placed = tuple[WrongLine, Function]


def wrong_lines(root: Path, *, count: int, seed: int, only: Sequence[str] = ()) -> list[Placed]:
    """The known wrong lines, then the drawn ones, each with its function.

    Args:
        root: The checkout.
        count: How many are drawn.
        seed: Of the draw.
        only: Those whose file, function, text or kind has one of these in it; all by default.

    Raises:
        NotFoundError: If a known one has no place in the product any more.
    """
    modules = read_modules(root)
    functions = [function for module in modules for function in functions_of(module)]
    besides = {line.key for line in KNOWN} | {accepted.line.key for accepted in ACCEPTED}
    lines = [*KNOWN, *draw(modules, count=count, seed=seed, besides=besides)]
    placed = [(line, place(line, functions)) for line in lines]
    texts = [f"{line.key} {line.function} {line.old} {line.new} {line.kind} {at.module.path}" for line, at in placed]
    return [each for each, text in zip(placed, texts, strict=True) if not only or any(word in text for word in only)]


@dataclass(frozen=True)
class Answer:
    """The account.

    Attributes:
        lines: What was to be tried.
        results: What came of each, by its key.
        failed: Tests that fail without any wrong line.
        unrecorded: Whether time ran out before it was known which test comes through which function.
        unknown: Tests that lines name and that there are none of.
    """

    lines: Sequence[Placed]
    results: dict[str, Tried]
    failed: tuple[str, ...]
    unrecorded: bool
    unknown: tuple[str, ...]

    @property
    def share(self) -> float:
        """Noticed among those tried."""
        tried = [self.results[line.key] for line, _ in self.lines if line.key in self.results]
        return sum(each.noticed_by is not None for each in tried) / max(1, len(tried))

    @property
    def is_enough(self) -> bool:
        """Whether all were tried, and enough noticed."""
        return self.share >= GOAL and not self.unknown and all(line.key in self.results for line, _ in self.lines)

    def as_text(self) -> str:
        """Each line that was not noticed, then the counts."""
        said: list[str] = []
        for line, function in self.lines:
            result = self.results.get(line.key)
            if result is not None and result.noticed_by is None:
                after = f", {result.left} more not run for want of time" if result.left else ""
                said += [
                    f"\nNOT NOTICED {line.key} ({line.kind}) by {result.tests} tests{after}",
                    _diff(line, function),
                ]
            elif result is not None and not is_expected(line, str(result.noticed_by)):
                said.append(
                    f"\nnoticed, but by {result.noticed_by} alone: {line.key} {line.function} names {line.tests}"
                )
        if self.unrecorded:
            said.append("\nTime ran out while the tests were recorded; the same command goes on.")
        said += [f"no test is called {name}" for name in self.unknown]
        said += [f"fails without a wrong line, and notices nothing: {name}" for name in self.failed]
        tried = sum(line.key in self.results for line, _ in self.lines)
        seconds = sum(self.results[line.key].seconds for line, _ in self.lines if line.key in self.results)
        said.append(
            f"\n{tried} of {len(self.lines)} wrong lines tried in {seconds / 60:.0f} minutes of test time, "
            f"{self.share:.1%} of them noticed (goal {GOAL:.0%})"
        )
        return "\n".join(said)


def run(
    root: Path,
    lines: Sequence[Placed],
    *,
    minutes: float,
    most_seconds: float,
    processes: int,
    within: Sequence[str] = (),
) -> Answer:
    """Try wrong lines that have no result yet.

    Args:
        root: The checkout.
        lines: What to try.
        minutes: For all of it.
        most_seconds: For one wrong line.
        processes: How many are tried at once.
        within: Files or folders of tests, relative to the root; all by default.
    """
    end = time.monotonic() + 60 * minutes
    folder = root / _FOLDER / "-".join([tree_digest(root), *(name.strip("/").replace("/", ".") for name in within)])
    results_file, recorded = folder / "results.jsonl", folder / "recording" / "complete"
    recorded.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="wrong-lines-"))
    try:
        if not recorded.exists():
            print(f"recording which test comes through which function, in {folder}", flush=True)
            copy = Copy(root, _new(scratch / "recording"))
            left = end - time.monotonic()
            if not record(copy, recorded.parent, processes=processes, within=within, timeout=left):
                return Answer(lines, read_results(results_file), (), True, ())
            recorded.touch()
        recording = read_recording(recorded.parent)
        results = read_results(results_file)
        waiting: SimpleQueue[Placed] = SimpleQueue()
        for line, function in lines:
            if line.key not in results:
                waiting.put((line, function))
        trying = _Trying(root, scratch, recording, results, results_file, waiting, end, most_seconds)
        with ThreadPoolExecutor(processes) as pool:
            for worker in [pool.submit(trying.work, number) for number in range(processes)]:
                worker.result()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    unknown = [name for line, _ in lines for name in unknown_tests(line, recording)] if not within else []
    return Answer(lines, results, recording.failed, False, tuple(sorted(set(unknown))))


def read_results(path: Path) -> dict[str, Tried]:
    """What was found before, by the lines' keys."""
    found = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(text)
        except ValueError:
            continue  # cut short when it was interrupted
        found[entry.pop("key")] = Tried(**{name: entry[name] for name in Tried.__dataclass_fields__})
    return found


class _Trying:
    """What the threads share; each has a copy of its own."""

    def __init__(
        self,
        root: Path,
        scratch: Path,
        recording: Recording,
        results: dict[str, Tried],
        results_file: Path,
        waiting: SimpleQueue[Placed],
        end: float,
        most_seconds: float,
    ) -> None:
        self._root, self._scratch, self._recording = root, scratch, recording
        self._results, self._results_file, self._waiting = results, results_file, waiting
        self._end, self._most_seconds = end, most_seconds
        self._lock = threading.Lock()
        self._noticed: dict[str, int] = {}
        for result in results.values():
            self._count(result)

    def work(self, number: int) -> None:
        """Try lines until there are none, or no time."""
        copy = Copy(self._root, _new(self._scratch / str(number)))
        server = ForkServer(copy)
        try:
            while time.monotonic() < self._end:
                try:
                    line, function = self._waiting.get_nowait()
                except Empty:
                    return
                with self._lock:
                    noticed = dict(self._noticed)
                tests = in_order(line, function, self._recording, self._root, noticed=noticed)
                left = self._end - time.monotonic()
                result = try_line(
                    line,
                    function,
                    tests,
                    self._recording.fixture_seconds,
                    copy=copy,
                    server=server,
                    seconds=min(self._most_seconds, left),
                )
                if result.noticed_by is not None or not result.left or left > self._most_seconds:
                    self._keep(line, result)
        finally:
            server.close()

    def _keep(self, line: WrongLine, result: Tried) -> None:
        with self._lock:
            entry = {"key": line.key, **asdict(result), "function": line.function, "old": line.old, "new": line.new}
            with self._results_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
            self._results[line.key] = result
            self._count(result)
            done = f"noticed by {result.noticed_by}" if result.noticed_by else "NOT NOTICED"
            print(
                f"{len(self._results):4} {line.key} {line.function} ({line.kind}): {done}, {result.seconds:.0f} s",
                flush=True,
            )

    def _count(self, result: Tried) -> None:
        if result.noticed_by is not None:
            self._noticed[result.noticed_by] = self._noticed.get(result.noticed_by, 0) + 1


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _diff(line: WrongLine, function: Function) -> str:
    before, after = (text.decode().splitlines() for text in (function.module.source, with_wrong_line(line, function)))
    name = f"{function.module.path}, {function.name}"
    return "\n".join(difflib.unified_diff(before, after, name, name, lineterm="", n=1))
