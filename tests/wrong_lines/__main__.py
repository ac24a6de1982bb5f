"""``python -m tests.wrong_lines``: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.wrong_lines.drawing import DRAWN, SEED
from tests.wrong_lines.running import run, wrong_lines

ROOT = Path(__file__).parents[2]


def options() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.wrong_lines", description=__doc__)
    parser.add_argument("--minutes", type=float, default=90.0, help="time for all of it; the same command goes on")
    parser.add_argument("--most-seconds", type=float, default=600.0, help="time for one wrong line")
    parser.add_argument("--processes", type=int, default=2, help="tests at work at once")
    parser.add_argument("--drawn", type=int, default=DRAWN, help="wrong lines that are drawn")
    parser.add_argument("--seed", type=int, default=SEED, help="of the draw")
    parser.add_argument(
        "--only", nargs="*", default=[], help="those whose file, function, text or kind has one of these in it"
    )
    parser.add_argument("--within", nargs="*", default=[], help="files or folders of tests to run; all by default")
    parser.add_argument("--list", action="store_true", help="print what would be tried")
    return parser


def main() -> int:
    """Exit code 0 where enough was noticed and nothing is left to try."""
    asked = options().parse_args()
    lines = wrong_lines(ROOT, count=asked.drawn, seed=asked.seed, only=asked.only)
    if asked.list:
        for line, function in lines:
            print(f"{line.key}  {line.kind}  {function.module.path}  {line.function}")
            print(f"    - {' '.join(line.old.split())[:110]}\n    + {' '.join(line.new.split())[:110]}")
        return 0
    answer = run(
        ROOT,
        lines,
        minutes=asked.minutes,
        most_seconds=asked.most_seconds,
        processes=asked.processes,
        within=asked.within,
    )
    print(answer.as_text())
    return 0 if answer.is_enough else 1


if __name__ == "__main__":
    sys.exit(main())
