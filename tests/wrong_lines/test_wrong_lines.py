"""The tests' own test: single wrong lines, of which they have to notice nearly all."""

from collections import Counter
from pathlib import Path

import pytest

from tests.wrong_lines.drawing import DRAWN, SEED, draw
from tests.wrong_lines.known import ACCEPTED, KNOWN
from tests.wrong_lines.product import functions_of, place, read_modules, with_wrong_line
from tests.wrong_lines.running import run, wrong_lines

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def modules():
    return read_modules(ROOT)


def test_each_known_line_has_its_place_and_makes_another_program(modules):
    functions = [function for module in modules for function in functions_of(module)]
    for line in (*KNOWN, *(accepted.line for accepted in ACCEPTED)):
        function = place(line, functions)
        source = with_wrong_line(line, function)
        assert source != function.module.source
        compile(source, str(function.module.path), "exec")


def test_known_lines_name_tests_that_are_there():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [name for line in KNOWN for name in line.tests if f"def {name}(" not in sources]
    assert not missing


def test_enough_is_drawn_the_same_each_time_and_of_every_kind(modules):
    drawn = draw(modules)
    assert drawn == draw(modules, seed=SEED)
    assert len({line.key for line in drawn}) == DRAWN
    assert min(Counter(line.kind for line in drawn).values()) >= DRAWN // 10
    assert {line.key for line in drawn} != {line.key for line in draw(modules, seed=SEED + 1)}


@pytest.mark.slow
def test_nearly_every_wrong_line_is_noticed():
    """Goes on where an earlier run of it, or of ``python -m tests.wrong_lines``, ran out of its 90 minutes."""
    lines = wrong_lines(ROOT, count=DRAWN, seed=SEED)
    answer = run(ROOT, lines, minutes=90, most_seconds=600, processes=2)
    assert answer.is_enough, answer.as_text()
