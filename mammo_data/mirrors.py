"""Where the mini-MIAS archive can be had, and under what terms: the one table to change when an address does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mirror:
    """A place that offers the archive.

    Attributes:
        name: Who runs it.
        url: The archive, http or https.
        note: What is particular about it.
    """

    name: str
    url: str
    note: str


MIRRORS = (
    Mirror(
        "PEIPA, University of Essex",
        "http://peipa.essex.ac.uk/pix/mias/all-mias.tar.gz",
        "the original place; the archive's own SHA-256 is not known, those of the files in it are",
    ),
)
"""Tried in this order. Kaggle's mirror needs an account, and the 50 µm release at Cambridge is another set."""

LICENCE_NAME = "LICENCE-NOTICE.txt"
LICENCE_NOTICE = """\
The mini-MIAS database belongs to the Mammographic Image Analysis Society. By fetching it you accept the agreement that
comes with it (Licence.txt): use for research purposes only; no renting, leasing or selling; no warranty. Publications
that use it must cite: J Suckling et al (1994), The Mammographic Image Analysis Society Digital Mammogram Database,
Excerpta Medica, International Congress Series 1069, pp 375-378.
"""
