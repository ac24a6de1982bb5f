"""The key of a patient's id: what two spellings of it have in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?(?:e\+?[0-9]{1,2})?")
# Not behind a decimal point: 10.01 and 10.1 are two.
_LEADING_ZEROS = re.compile(r"(?<![0-9])(?<![0-9]\.)0+(?=[0-9])")
# "P-16" and "P16"; between two numbers the mark tells them apart.
_MARK = re.compile(r"(?<=[^\W\d_])[-_]+(?=[0-9])")
# How spreadsheets mark a number as text: '001 and ="001".
_TEXT_MARKS = "='\""


def patient_key(patient_id: str) -> str:
    """The part of an id that tells women apart, equal for "P7" and "p 07", for "10006" and "10006.0".

    Spreadsheets, file systems and people change the rest: case, spaces, composed or decomposed letters, leading zeros
    of each number in it, whether a number is written as 10006, 10006.0 or 1.0006e+04, marks of text ('001), and the
    mark of "P-7". Two women's ids may have the same key by chance, so it finds doubtful ids and replaces none.
    """
    # By way of capitals, of which "i" and the Turkish dotless one have the same, and none has the dotted one's dot.
    folded = unicodedata.normalize("NFKC", patient_id).upper().casefold().replace("i\N{COMBINING DOT ABOVE}", "i")
    text = "".join(unicodedata.normalize("NFKC", folded).split()).strip(_TEXT_MARKS)
    if _NUMBER.fullmatch(text):
        number = format(Decimal(text), "f")
        text = number.rstrip("0").rstrip(".") if "." in number else number
    return _LEADING_ZEROS.sub("", _MARK.sub("", text))


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
