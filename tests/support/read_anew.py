"""A run's files and Info.txt read anew, by nothing of the packages: whose score is whose, and what is the truth."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.trials import TrialRecord
from search.run_folder.directory import RunDirectory

_FILM = re.compile(r"(?P<name>mdb\d{3}) [FGD] [A-Z]{4}(?: (?P<severity>[BM])(?: \d+ \d+ (?P<radius>\d+))?)?")


@dataclass(frozen=True)
class Truth:
    """What Info.txt says of the films.

    Attributes:
        labels: Image id to 0 (normal), 1 (benign) or 2 (malignant), the worst of its findings.
        located: Ids of the images with a finding that has a circle.
    """

    labels: dict[str, int]
    located: frozenset[str]

    def of(self, images: list[str]) -> NDArray[np.int64]:
        """Labels of some images, int64 [images]."""
        return np.array([self.labels[image] for image in images])


def truth_in(info: Path) -> Truth:
    """Read Info.txt."""
    labels: dict[str, int] = {}
    located = set()
    for found in filter(None, map(_FILM.match, info.read_text(encoding="latin-1").splitlines())):
        name = found["name"]
        labels[name] = max(labels.get(name, 0), ("BM".index(found["severity"]) + 1) if found["severity"] else 0)
        if found["radius"]:
            located.add(name)
    return Truth(labels, frozenset(located))


def sides_in(split_file: Path) -> dict[str, tuple[str, str]]:
    """Image id to (patient id, side), a side being "test" or a fold's number."""
    with split_file.open(newline="") as file:
        return {row["image_id"]: (row["patient_id"], row["side"]) for row in csv.DictReader(file)}


def out_of_fold_at(
    directory: RunDirectory, record: TrialRecord, records: tuple[TrialRecord, ...], epoch: int
) -> tuple[list[str], NDArray[np.float64], NDArray[np.int32]]:
    """Image ids, logits [images, classes] and folds after an epoch, from the file of the run that has trained it."""
    while epoch <= record.initial_epoch:
        assert record.parent is not None
        record = records[record.parent]
    with np.load(directory.path / "oof" / f"{record.run:04d}.npz", allow_pickle=False) as oof:
        logits = oof["logits"][epoch - 1 - record.initial_epoch].astype(np.float64)
        return oof["image"].tolist(), logits, oof["fold"]
