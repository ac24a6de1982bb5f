"""However its words and ids are spelled, a table is read as it was meant, or it is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import DataError, parse_cases
from mammo_data.truth.class_words import KNOWN_WORDS, word_key
from mammo_data.truth.patient_key import patient_key

RANK = {word_key(word): rank for rank, words in enumerate(KNOWN_WORDS) for word in words}
FORMS = st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])
LETTERS = st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=1, max_size=5)


@st.composite
def spellings(draw: st.DrawFn, word: str) -> str:
    """A word as people and programs write it."""
    change = draw(st.sampled_from([str, str.upper, str.title, str.lower, str.swapcase]))
    space = draw(st.sampled_from([" ", "_", "-", "  "]))
    return f" {unicodedata.normalize(draw(FORMS), change(word).replace(' ', space))} "


@st.composite
def labels(draw: st.DrawFn) -> str:
    known = st.sampled_from([word for words in KNOWN_WORDS for word in words]).flatmap(spellings)
    slip = st.sampled_from(
        ["malignent", "begnin", "nan", "unknown", "-", "mass", "cyst", "malignant?", "0", "BI-RADS 0"]
    )
    return draw(st.one_of(known, known, known, known, slip, LETTERS))


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def table(rows: list[tuple[str, str, str]], first: str = "") -> str:
    return "\n".join([first, "image,patient,label", *(",".join(map(quoted, row)) for row in rows)])


@settings(max_examples=300, deadline=None)
@given(words=st.lists(labels(), min_size=2, max_size=6))
def test_no_word_is_placed_by_a_guess(words: list[str]) -> None:
    try:
        read = parse_cases(table([(f"{n}.png", f"p{n}", word) for n, word in enumerate(words)])).table
    except DataError:
        return
    # Numbers, none of which is among these words alone, would be an order, too.
    ranks = [RANK[word_key(name)] for name in read.class_names]
    assert ranks == sorted(set(ranks))
    for word, case in zip(words, read.cases, strict=True):
        assert RANK[word_key(case.label)] == RANK[word_key(word)]


@settings(max_examples=200, deadline=None)
@given(words=st.lists(labels(), min_size=2, max_size=5), stated=st.lists(labels(), min_size=2, max_size=5))
def test_a_stated_order_is_taken_as_it_is_or_refused(words: list[str], stated: list[str]) -> None:
    try:
        read = parse_cases(table([(f"{n}.png", f"p{n}", w) for n, w in enumerate(words)]), classes=stated).table
    except DataError:
        return
    order = [word_key(word) for word in stated]
    places = [order.index(word_key(name)) for name in read.class_names]
    assert places == sorted(places)
    known = [RANK[key] for key in order if key in RANK]
    assert all(milder <= worse for milder, worse in pairwise(known))
    assert [word_key(case.label) for case in read.cases] == [word_key(word) for word in words]


@settings(max_examples=200, deadline=None)
@given(words=st.lists(labels(), min_size=2, max_size=4))
def test_an_image_with_several_lines_is_its_worst(words: list[str]) -> None:
    rows = [("a.png", "p", word) for word in words] + [("b.png", "q", "benign"), ("c.png", "r", "malignant")]
    try:
        read = parse_cases(table(rows)).table
    except DataError:
        return
    assert RANK[word_key(read.cases[0].label)] == max(RANK[word_key(word)] for word in words)


@settings(max_examples=300, deadline=None)
@given(
    name=st.one_of(st.just(""), LETTERS),
    number=st.integers(0, 10**6),
    zeros=st.integers(0, 4),
    form=FORMS,
    tail=st.sampled_from(["", ".0", ".", ".00"]),
    change=st.sampled_from([str, str.upper, str.lower, str.casefold]),
)
def test_two_spellings_of_an_id_are_never_two_patients(
    name: str, number: int, zeros: int, form: str, tail: str, change: Callable[[str], str]
) -> None:
    plain = f"{name}{number}"
    other = f" {unicodedata.normalize(form, change(name))} {'0' * zeros}{number}{'' if name else tail}"
    try:
        read = parse_cases(table([("a.png", plain, "normal"), ("b.png", other, "malignant")])).table
    except DataError:
        return
    assert set(read.patient_ids) == {plain}, (plain, other)


@settings(max_examples=200, deadline=None)
@given(
    ids=st.lists(st.one_of(LETTERS, st.integers(1, 10**9).map(str), LETTERS.map("{}12".format)), min_size=2, max_size=5)
)
def test_two_patients_are_never_one(ids: list[str]) -> None:
    try:
        read = parse_cases(table([(f"{n}.png", p, ("normal", "cancer")[n % 2]) for n, p in enumerate(ids)])).table
    except DataError:
        return
    assert len(set(read.patient_ids)) == len({patient_key(patient) for patient in ids}) == len(set(ids))
