"""Files damaged at random: each is what it was, or ends as one clear line, none as another error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import CaseTable, DataError, decode_grey, open_source, parse_info
from mammo_data.truth.mias import claims_to_be_mias, has_published_labels
from mammo_data.truth.reading import decode_table
from tests.support.packagings import FILES, tar_bytes, zip_bytes


def mutated(text: bytes, draw: Callable[[st.SearchStrategy], object]) -> bytes:
    """One local damage: bytes replaced, inserted, removed, swapped, or a line dropped, doubled or moved."""
    kind = draw(st.sampled_from(["replace", "insert", "delete", "cut", "drop", "double", "swap", "letter"]))
    place = draw(st.integers(0, len(text) - 1))
    length = draw(st.integers(1, 6))
    if kind == "replace":
        return text[:place] + draw(st.binary(min_size=length, max_size=length)) + text[place + length :]
    if kind == "insert":
        return text[:place] + draw(st.binary(min_size=1, max_size=6)) + text[place:]
    if kind == "delete":
        return text[:place] + text[place + length :]
    if kind == "cut":
        return text[:place]
    lines = text.splitlines(keepends=True)
    line, other = place % len(lines), (place + length) % len(lines)
    if kind == "drop":
        return b"".join(lines[:line] + lines[line + 1 :])
    if kind == "double":
        return b"".join([*lines[: line + 1], lines[line], *lines[line + 1 :]])
    if kind == "swap":
        lines[line], lines[other] = lines[other], lines[line]
        return b"".join(lines)
    # The worst: a letter of a row becomes another letter that is valid in its place.
    letters = [n for n, byte in enumerate(text) if byte in b"BMFGD0123456789" and text[n - 1 : n] in (b" ", b"b")]
    spot = letters[place % len(letters)] if letters else place
    return text[:spot] + draw(st.sampled_from([b"B", b"M", b"F", b"G", b"D", b"1", b"3"])) + text[spot + 1 :]


def fuzz(check: Callable[[st.DataObject], None], examples: int) -> None:
    settings(max_examples=examples, deadline=None)(given(data=st.data())(check))()


def counts(full: int) -> pytest.MarkDecorator:
    """A tenth of the examples by default, all of them with ``-m slow``."""
    return pytest.mark.parametrize("examples", [full // 10, pytest.param(full, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def phantom_info(phantom: Path) -> tuple[bytes, CaseTable]:
    data = (phantom / "Info.txt").read_bytes()
    return data, parse_info(decode_table(data), image_height=256)


@counts(2000)
def test_a_damaged_truth_table_is_right_or_refused(phantom_info: tuple[bytes, CaseTable], examples: int) -> None:
    text, expected = phantom_info

    def check(data: st.DataObject) -> None:
        try:
            table = parse_info(decode_table(mutated(text, data.draw)), image_height=256)
        except DataError:
            return
        assert sorted(table.cases, key=lambda case: case.image_id) == list(expected.cases)

    fuzz(check, examples)


@pytest.mark.mias
@counts(2000)
def test_a_damaged_table_of_the_real_set_is_right_or_refused(mias_archive: Path, examples: int) -> None:
    text = open_source(mias_archive).info_text
    original, expected = text.encode(), parse_info(text)

    def check(data: st.DataObject) -> None:
        try:
            info_text = decode_table(mutated(original, data.draw))
            table = parse_info(info_text)
        except DataError:
            return
        # `load_cases` refuses the first two.
        complete = table.image_ids == expected.image_ids
        if complete and (has_published_labels(table) or not claims_to_be_mias(table.image_ids, info_text)):
            assert [(c.image_id, c.label, c.tissue) for c in table.cases] == [
                (c.image_id, c.label, c.tissue) for c in expected.cases
            ]

    fuzz(check, examples)


@counts(1000)
def test_a_damaged_film_is_a_film_of_that_size_or_refused(examples: int) -> None:
    film = b"P5\n# a comment\n12 9\n255\n" + bytes(range(108))

    def check(data: st.DataObject) -> None:
        try:
            pixels = decode_grey(mutated(film, data.draw), "film")
        except DataError:
            return
        assert pixels.dtype == np.uint8
        assert pixels.size in (108, 54), "a maxval above 255 makes two bytes a pixel"

    fuzz(check, examples)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".png", ".jpg", ".tiff"]))
def test_damaged_bytes_of_other_formats_never_raise_anything_else(data: st.DataObject, suffix: str) -> None:
    film = np.arange(30 * 20, dtype=np.uint8).reshape(30, 20)
    damaged = mutated(cv2.imencode(suffix, film)[1].tobytes(), data.draw)
    with contextlib.suppress(DataError):
        assert decode_grey(damaged, "film").dtype == np.uint8


@settings(max_examples=300, deadline=None)
@given(data=st.data(), packed=st.sampled_from([tar_bytes(FILES), tar_bytes(FILES, "w"), zip_bytes(FILES)]))
def test_a_damaged_archive_never_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, packed: bytes
) -> None:
    path = tmp_path_factory.mktemp("archive") / "set.tar"
    path.write_bytes(mutated(packed, data.draw))
    try:
        source = open_source(path)
        for image_id in source.image_ids:
            source.read(image_id)
    except DataError:
        pass
