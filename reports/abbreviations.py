"""The codes of MIAS in words (``Info.txt`` of the database), for whoever does not know them by heart."""

from __future__ import annotations

ABNORMALITIES = {
    "CALC": "calcification",
    "CIRC": "circumscribed mass",
    "SPIC": "spiculated mass",
    "ARCH": "architectural distortion",
    "ASYM": "asymmetry",
    "MISC": "other, ill-defined mass",
}

TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}


def abnormality(code: str) -> str:
    """A kind of finding in words; what is no code of MIAS stays as it is."""
    return ABNORMALITIES.get(code, code)


def tissue(code: str) -> str:
    """A background tissue in words with its code, for other data sets use the same letters in another sense."""
    return f"{TISSUES[code]} ({code})" if code in TISSUES else code


def slice_title(group: str, level: str) -> str:
    """A subgroup's name, for example "tissue: fatty (F)".

    Args:
        group: "tissue", "abnormality", "radius" or "other breast".
        level: Value within the group.
    """
    words = {"tissue": tissue, "abnormality": abnormality}.get(group, str)(level)
    return "both breasts of affected women" if group == "other breast" else f"{group}: {words}"
