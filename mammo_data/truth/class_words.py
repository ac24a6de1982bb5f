"""The order of classes, from harmless to worst: known words, numbers, or an order that is stated; never a guess.

The last class is the primary endpoint's, so an order by the alphabet would make "Healthy" the worst of Cancer/Healthy.
Case, spaces, hyphens and underscores of a word do not matter.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mammo_data.errors import DataError

# From harmless to worst; words of one row mean the same class.
KNOWN_WORDS: tuple[tuple[str, ...], ...] = (
    (
        *("normal", "norm", "n", "healthy", "control", "negative", "neg", "no finding", "no findings"),
        *("no cancer", "non-cancer", "not cancer", "cancer-free", "non-malignant"),
    ),
    ("benign", "b", "benign without callback"),
    ("suspicious", "abnormal"),
    ("malignant", "m", "cancer", "cancerous", "carcinoma", "positive", "pos"),
)
"""Words whose class is known, from harmless to worst; N, B and M are MIAS's letters."""

# A published set (CBIS-DDSM) tells these two apart by how the radiologist went on, not by what was found.
_PART, _WHOLE = "benign without callback", "benign"
_NO_ANSWER = (
    *("nan", "na", "n/a", "#n/a", "n.a.", "none", "null", "nil", "?", "unknown", "missing", "undefined"),
    *("not available", "removed", "redacted", "withheld", "anon", "anonymous", "anonymized", "anonymised"),
    *("deidentified", "de-identified"),
)
# Kind, number, the letter of BI-RADS 4a to 4c, and what else is said.
_NUMBERED = re.compile(r"([^0-9]*)([0-9]+(?:\.[0-9]+)?)((?<=4)[abc](?![a-z]))?(.*)", re.DOTALL)
# What parts a number from its word: "1 = benign", "(2) malignant".
_MARKS = ".,:;=/|()[]{}<>\"'+*#"
# How statistics programs code that a value is missing or does not apply.
_MISSING_CODE = re.compile(r"(?:7+|8+|9+)")
_SHOWN = 5
_SHOWN_CLASSES = 8


@dataclass(frozen=True)
class OrderedClasses:
    """The classes of a table.

    Attributes:
        names: Class names from harmless to worst, as the table or the stated order spells them.
        of_word: For each word of the table its class.
    """

    names: tuple[str, ...]
    of_word: Mapping[str, str]


@dataclass(frozen=True)
class _Number:
    kind: str
    key: tuple[float, str]
    rest: str


def order_classes(lines: Mapping[str, Sequence[int]], location: str, stated: Sequence[str] = ()) -> OrderedClasses:
    """Put the class words of a table into their order.

    Known words go by `KNOWN_WORDS`; else each word needs a number ("0 normal", "BI-RADS 4a"), which then counts, or
    ``stated`` has them all. "benign" and "benign without callback" in one table are the one class "benign". Other words
    of the same meaning in one table are refused: they come of sets with different rules, poured together.

    Args:
        lines: For each word of the table, as spelled there, the numbers of its lines.
        location: What to call the table in an error.
        stated: The order that the user gives, from harmless to worst; it goes before everything else.

    Raises:
        DataError: A word has no known place, two words share one, or the stated order contradicts the known words.
    """
    words = sorted(lines, key=lambda word: (min(lines[word]), word))
    if stated:
        places = _stated_places(stated)
        _require_known([word for word in words if word_key(word) not in places], lines, location, stated)
        _require_one_spelling({word: word_key(word) for word in words}, lines, location)
        of_word = {word: stated[places[word_key(word)]] for word in words}
        return OrderedClasses(tuple(name for name in stated if name in of_word.values()), of_word)
    known = [word for word in words if word_key(word) in _RANKS]
    if not known and any(_number(word) for word in words):
        return _by_number(words, lines, location)
    _require_known([word for word in words if word not in known], lines, location)
    _require_one_spelling({word: word_key(word) for word in words}, lines, location)
    of_key = {word_key(word): word for word in words}
    of_word = {word: word for word in words}
    if word_key(_WHOLE) in of_key and word_key(_PART) in of_key:
        of_word[of_key[word_key(_PART)]] = of_key[word_key(_WHOLE)]
    names = list(dict.fromkeys(of_word.values()))
    _require_one_spelling({name: str(_RANKS[word_key(name)]) for name in names}, lines, location)
    return OrderedClasses(tuple(sorted(names, key=lambda name: _RANKS[word_key(name)])), of_word)


def is_no_answer(word: str) -> bool:
    """Whether a cell says that its value is not known: "nan", "unknown", "n/a", "-" and the like."""
    return not word_key(word) or word_key(word) in _NO_ANSWER_KEYS


def _stated_places(stated: Sequence[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    ranked = [word for word in stated if word_key(word) in _RANKS]
    falls = [pair for pair in pairwise(ranked) if _RANKS[word_key(pair[0])] > _RANKS[word_key(pair[1])]]
    for place, word in enumerate(stated):
        if word_key(word) in places or is_no_answer(word):
            fault = "a class without a name" if is_no_answer(word) else f"{word[:40]!r} twice"
            raise _bad_order(stated, f"classes that differ in more than case, spaces and hyphens; found {fault}")
        places[word_key(word)] = place
    if falls:
        milder, worse = falls[0][1], falls[0][0]
        raise _bad_order(stated, f"classes from harmless to worst; found {worse[:40]!r} before {milder[:40]!r}")
    if len(places) < 2:
        raise _bad_order(stated, f"at least two classes; found {len(places)}")
    return places


def _bad_order(stated: Sequence[str], fault: str) -> DataError:
    expected, _, found = fault.partition("; found ")
    shown = ", ".join(word[:40] for word in stated)
    return DataError(expected=expected, found=f"{found} in the stated order {shown}", remedy="Correct that order.")


def word_key(word: str) -> str:
    """A class word without what does not matter: case, spaces, hyphens, underscores and Unicode form."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
    return "".join(letter for letter in folded if not (letter.isspace() or letter == "_" or _is_dash(letter)))


def _is_dash(letter: str) -> bool:
    return letter == "\N{MINUS SIGN}" or unicodedata.category(letter) == "Pd"


_RANKS = {word_key(word): rank for rank, words in enumerate(KNOWN_WORDS) for word in words}
_NO_ANSWER_KEYS = frozenset(map(word_key, _NO_ANSWER))


def _by_number(words: Sequence[str], lines: Mapping[str, Sequence[int]], location: str) -> OrderedClasses:
    found = {word: number for word in words if (number := _number(word))}
    kinds = [number.kind for number in found.values()]
    kind = max(kinds, key=kinds.count)
    numbers = {word: number for word, number in found.items() if number.kind == kind}
    _require_known([word for word in words if word not in numbers], lines, location)
    _require_one_spelling({word: str(number.key) for word, number in numbers.items()}, lines, location)
    _require_no_codes(numbers, lines, location)
    names = tuple(sorted(words, key=lambda word: numbers[word].key))
    ranked = [(name, _RANKS[rest]) for name in names if (rest := numbers[name].rest) in _RANKS]
    for (milder, rank), (worse, next_rank) in pairwise(ranked):
        if rank > next_rank:
            raise DataError(
                expected="numbers that rise from the harmless class to the worst",
                found=f"{milder[:40]!r} before {worse[:40]!r} in {location}",
                remedy="Correct the numbers.",
            )
    return OrderedClasses(names, {word: word for word in words})


def _require_no_codes(numbers: Mapping[str, _Number], lines: Mapping[str, Sequence[int]], location: str) -> None:
    """Refuse 9, 99 or 999 far above the other numbers: as a code for "missing" it would be the worst class."""
    values = {number.key[0] for number in numbers.values()}
    for word, (value, _) in ((word, number.key) for word, number in numbers.items() if not number.kind + number.rest):
        if _MISSING_CODE.fullmatch(f"{value:g}") and value == max(values) and value - 1 not in values:
            order = ", ".join(sorted(numbers, key=lambda each: numbers[each].key))
            raise DataError(
                expected="numbers from the harmless class to the worst, none that stands for a missing label",
                found=f"{word!r} in {_places(lines[word])} of {location}, as missing values are coded",
                remedy=f'Remove those lines; if it is a class, say so: "# classes: {order}" as the first line of the '
                "table, or data.classes in the settings.",
            )


def _number(word: str) -> _Number | None:
    """The number in a label, where it says how bad the class is: not below zero, and not a code for a missing label."""
    text = unicodedata.normalize("NFKC", word).casefold().strip()
    match = _NUMBERED.fullmatch(text)
    if match is None or (text and _is_dash(text[0])):
        return None
    kind, value, rest = word_key(match[1]), float(match[2]), word_key(match[4].strip(_MARKS + " "))
    # BI-RADS 0 is an examination that was not finished, no class below BI-RADS 1.
    if rest in _NO_ANSWER_KEYS or ("birads" in kind and value == 0):
        return None
    return _Number(kind, (value, match[3] or ""), rest)


def _require_known(
    unknown: Sequence[str], lines: Mapping[str, Sequence[int]], location: str, stated: Sequence[str] = ()
) -> None:
    if not unknown:
        return
    known = [*map(word_key, stated)] or list(_RANKS)
    shown = "; ".join(f"{word[:40]!r} in {_places(lines[word])}{_meant(word, known)}" for word in unknown[:_SHOWN])
    more = f"; and {len(unknown) - _SHOWN} words more" if unknown[_SHOWN:] else ""
    if stated:
        raise DataError(
            expected=f"labels of the stated classes {', '.join(stated)}",
            found=f"{shown}{more} of {location}",
            remedy="Correct those lines, or add the class where the order is stated; a model's classes stand.",
        )
    remedy = "Correct those lines, or remove them."
    if new := [word for word in unknown if not is_no_answer(word) and not _meant(word, known)]:
        ranked = sorted((word for word in lines if word_key(word) in _RANKS), key=lambda word: _RANKS[word_key(word)])
        words = [word[:40] for word in (*ranked[:-1], *new, *ranked[-1:])][:_SHOWN_CLASSES]
        quoted = ", ".join(f'"{word}"' for word in words)
        remedy = (
            f"Correct those lines, or state the order from harmless to worst, here in the order that is right: "
            f'"# classes: {", ".join(words)}" as the first line of the table, or data.classes = [{quoted}] in the '
            "settings."
        )
    raise DataError(
        expected="labels whose order is known: "
        + ", then ".join(f"{words[0]} (or {', '.join(words[1:])})" for words in KNOWN_WORDS),
        found=f"{shown}{more} of {location}",
        remedy=remedy,
    )


def _meant(word: str, known: Sequence[str]) -> str:
    """A known word that this one is nearly: a slip, and no class of its own."""
    key = word_key(word)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.8) if len(key) > 3 and not _number(word) else []
    return f" (did you mean {close[0]!r}?)" if close else ""


def _require_one_spelling(keys: Mapping[str, str], lines: Mapping[str, Sequence[int]], location: str) -> None:
    """Refuse two words of one place: to make them one class, or to order them, is the user's choice."""
    first: dict[str, str] = {}
    for word, key in keys.items():
        other = first.setdefault(key, word)
        if other != word:
            raise DataError(
                expected="one word for each class",
                found=f"{other[:40]!r} in {_places(lines[other])} and {word[:40]!r} in {_places(lines[word])} of "
                f"{location}, which mean the same",
                remedy="Write one of them in all those lines, or number the classes from harmless to worst.",
            )


def _places(numbers: Sequence[int]) -> str:
    shown = sorted(numbers)[:_SHOWN]
    more = f" and {len(numbers) - _SHOWN} more" if numbers[_SHOWN:] else ""
    return f"line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, shown))}{more}"
