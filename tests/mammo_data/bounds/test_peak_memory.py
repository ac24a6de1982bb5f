"""No file costs more than 600 MB above the process after its imports: hostile images, archives, tables; large films.

`pytest -s -m "slow or not slow"` prints the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support import hostile_archives, hostile_images
from tests.support.hostile_archives import empty
from tests.support.hostile_images import LARGEST
from tests.support.peak_memory import LARGEST_PEAK, Cost, Meter

LONGEST = 20
"""Seconds of the processor; most refusals come within one."""


@pytest.fixture(scope="module")
def meter() -> Iterator[Meter]:
    meter = Meter()
    yield meter
    meter.close()


def some_slow(names: Iterable[str], slow: set[str]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


def require_cheap(cost: Cost, name: str) -> None:
    print(f"{name:36} {cost.peak:5.0f} MB {cost.seconds:5.1f} s  {cost.said[:120]}")
    assert cost.peak < LARGEST_PEAK
    assert cost.seconds < LONGEST


@pytest.mark.parametrize("name", some_slow(hostile_images.HOSTILE, hostile_images.SLOW))
def test_a_hostile_image_is_one_line_at_little_cost(name: str, meter: Meter, tmp_path: Path) -> None:
    suffix, write = hostile_images.HOSTILE[name]
    path = tmp_path / f"film{suffix}"
    write(path)
    cost = meter.cost("films", path)
    require_cheap(cost, name)
    assert cost.said.startswith("Expected ")
    assert "film" in cost.said
    assert "\n" not in cost.said


@pytest.mark.parametrize("name", some_slow(hostile_archives.HOSTILE, hostile_archives.SLOW))
def test_a_hostile_set_is_one_error_at_little_cost(name: str, meter: Meter, tmp_path: Path) -> None:
    suffix, write = hostile_archives.HOSTILE[name]
    path = tmp_path / f"set{suffix}"
    write(path)
    cost = meter.cost("set", path)
    require_cheap(cost, name)
    assert cost.said.startswith("Expected ")


def test_a_split_of_gigabytes_is_one_line(meter: Meter, tmp_path: Path) -> None:
    empty(tmp_path / "split.csv", 3 * 2**30)
    cost = meter.cost("split", tmp_path / "split.csv")
    require_cheap(cost, "split.csv of 3 GB")
    assert cost.said.startswith("Expected at most 16777216 bytes in a file; found 3221225472 in")


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_film_passes_in_every_format(name: str, meter: Meter, tmp_path: Path) -> None:
    suffix, write = LARGEST[name]
    path = tmp_path / f"film{suffix}"
    write(path)
    cost = meter.cost("films", path)
    print(f"{name:36} {cost.peak:5.0f} MB {cost.seconds:5.1f} s  {cost.said[:120]}")
    assert cost.said == ""
    assert cost.peak < LARGEST_PEAK
