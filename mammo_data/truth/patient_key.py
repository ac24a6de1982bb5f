"""The key of a patient's id: what two spellings of it have in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:e\+?[0-9]{1,2})?")
_ROUNDED = re.compile(r"[0-9][.,]([0-9]+)[eE]\+?([0-9]{1,3})")
# Not behind a decimal point: 10.01 and 10.1 are two.
_LEADING_ZEROS = re.compile(r"(?<![0-9])(?<![0-9]\.)0+(?=[0-9])")
# "P-16", "P.16" and "P16"; between two numbers the mark tells them apart, whichever it is.
_MARK = re.compile(r"(?<![0-9])[-_./#]+|[-_./#]+(?![0-9])")
_MARK_OF_NUMBERS = re.compile(r"(?<=[0-9])[-_/]+(?=[0-9])")
_DASH = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
# "016_LEFT", "016-R" and "016_L_MLO" are of one woman: the breast and the view are no part of her id.
_SIDE = r"(?:left|right|[lr])"
_VIEW = r"(?:cc|mlo|ml|lm)"
_BREAST = re.compile(
    rf"(?<=[0-9])[-_./]*(?:{_SIDE}[-_./]*{_VIEW}?|{_VIEW}[-_./]*{_SIDE}?)$|(?<=[^-_./])[-_./]+(?:left|right)$"
)
# How spreadsheets mark a number as text: '001 and ="001".
_TEXT_MARKS = "='\""


def patient_key(patient_id: str) -> str:
    """The part of an id that tells women apart, equal for "P7" and "p 07", for "10006" and "10006.0".

    Spreadsheets, file systems and people change the rest: case, spaces, composed or decomposed letters, leading zeros
    of each number in it, whether a number is written as 10006, 10006.0 or 1.0006e+04, marks of text ('001), and the
    marks and dashes of "P-7" and "10_7". A breast or a view at the end ("7_LEFT", "7R", "7-L-MLO") is not the woman's.
    Two women's ids may have the same key by chance, so it finds doubtful ids and replaces none.
    """
    # By way of capitals, of which "i" and the Turkish dotless one have the same, and none has the dotted one's dot.
    folded = unicodedata.normalize("NFKC", patient_id).upper().casefold().replace("i\N{COMBINING DOT ABOVE}", "i")
    text = "".join(unicodedata.normalize("NFKC", folded).split()).strip(_TEXT_MARKS)
    if _NUMBER.fullmatch(text):
        number = format(Decimal(text), "f")
        text = number.rstrip("0").rstrip(".") if "." in number else number
    text = "".join(str(unicodedata.decimal(letter)) if letter.isdecimal() else letter for letter in text)
    text = _BREAST.sub("", _DASH.sub("-", text))
    return _LEADING_ZEROS.sub("", _MARK.sub("", _MARK_OF_NUMBERS.sub("-", text)))


def has_lost_digits(patient_id: str) -> bool:
    """Whether a spreadsheet has rounded an id: 1.23457E+11 stands for each of a million numbers."""
    match = _ROUNDED.fullmatch(patient_id.strip(f"{_TEXT_MARKS} "))
    return match is not None and int(match[2]) > len(match[1])


def two_spellings(patient_ids: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different ids with one key, each perhaps one woman, who would stand on two sides of a split.

    Of several spellings of one key each is paired with the first.
    """
    first: dict[str, str] = {}
    pairs = ((first.setdefault(patient_key(patient), patient), patient) for patient in patient_ids)
    return list(dict.fromkeys((known, patient) for known, patient in pairs if known != patient))


def spelled(patient_id: str) -> str:
    """An id as an error shows it: letters that a screen shows alike, composed or not, are told apart by their codes."""
    return repr(patient_id[:40]) if unicodedata.is_normalized("NFC", patient_id) else ascii(patient_id[:40])
