"""The command line inside the test's own process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from search.cli.main import main


@dataclass(frozen=True)
class Answer:
    """Exit code, and what went to stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return self.err.strip().splitlines()


def typed(capsys: pytest.CaptureFixture[str], *words: object) -> Answer:
    """Type a command."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    streams = capsys.readouterr()
    return Answer(end.value.code or 0, streams.out, streams.err)  # type: ignore[arg-type]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "search", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300
    )
