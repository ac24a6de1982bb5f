"""What is expected to fit a device: the setting that is named where its memory ran out, and the banks that it keeps."""

import pytest

from search.config.reading import load_config
from search.plan.device_memory import MemoryDemand, describe_kept, expected_peaks

GIGABYTE = 10**9


def demand(**settings):
    return MemoryDemand.of(load_config(None, {path.replace("__", "."): value for path, value in settings.items()}))


@pytest.mark.parametrize(
    ("memory", "settings", "named"),
    [
        (1.5, {}, "--set search.batch_size=16"),
        (1.5, {"search__batch_size": 256}, "--set search.batch_size=16"),
        (0.5, {"preparation__image_size": 896}, "--set space.unfreeze_depth=[0]"),
        (0.2, {}, "a smaller --image-size"),
        (40, {}, "--set search.batch_size=16"),
        (40, {"search__batch_size": 2}, "a smaller --image-size"),
    ],
)
def test_where_memory_ran_out_what_fits_is_named_and_half_the_batch_where_all_should_fit(memory, settings, named):
    assert demand(**settings).smaller(int(memory * GIGABYTE)) == named


def test_the_memory_is_that_of_this_process_where_none_is_given():
    assert demand().smaller() == "--set search.batch_size=16"


def test_banks_leave_room_for_the_expected_peak_and_half_of_a_device_to_others():
    asked = demand()
    peak = max(expected_peaks(asked.config, asked.precision).values())
    assert asked.room_for_banks(40 * GIGABYTE) == 20 * GIGABYTE
    assert asked.room_for_banks(2 * GIGABYTE) == pytest.approx(1.8 * GIGABYTE - peak, abs=1)
    assert asked.room_for_banks(GIGABYTE) == 0


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (8, "the banks of depth 0, 1, 3 are kept there"),
        (5, "the banks of depth 0, 1, 3 are kept there, as many at a time as fit"),
        (3, "the banks of depth 0, 1 are kept there"),
        (0, "no bank is kept there"),
    ],
)
def test_which_banks_are_kept_is_said(room, words):
    assert describe_kept({0: 1, 1: 2, 3: 4}, room) == words
