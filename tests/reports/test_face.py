from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import reports

HEAVY = {"pandas", "sklearn", "scipy", "matplotlib", "optuna", "jinja2", "numpy"}


def test_the_package_alone_loads_no_library() -> None:
    program = f"import sys, reports; print(sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert answer.stdout == "[]\n"


def test_words_and_errors_of_the_screen_come_without_numpy() -> None:
    program = (
        "import sys\n"
        "from reports import ReportError, TrialRecord, duration, interval_text, ranked\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert answer.stdout == "[]\n"


def test_every_public_name_is_there_and_the_type_checker_sees_the_same_one() -> None:
    tree = ast.parse(Path(reports.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {line.names[0].name: line.module for line in block.body if isinstance(line, ast.ImportFrom)}
    assert sorted(seen) == reports.__all__ == sorted(set(dir(reports)))
    for name, module in seen.items():
        assert getattr(reports, name) is vars(sys.modules[module])[name]
    assert reports.evaluate.__module__ == "reports.evaluation.evaluate"


def test_a_name_that_is_not_there_is_said_as_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'reports' has no attribute 'evaluat'"):
        getattr(reports, "evaluat")  # noqa: B009
