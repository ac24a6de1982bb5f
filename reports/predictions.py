"""Predictions: the table that every metric, figure and report is made from.

The file ``predictions.csv`` has one row an image, in table order, and the columns

    image_id, patient_id, label, predicted, p_<class>, p_<class>, …

and in a nested run ``outer_fold``, from 1, at the end. ``label`` and ``predicted`` are class names; the probability
columns stand in class order, from harmless to worst, and hold the shortest decimal text that reads back as the same
float64.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.files import write_atomically

PROBABILITY_PREFIX = "p_"
LEADING_COLUMNS = ("image_id", "patient_id", "label", "predicted")
OUTER_FOLD = "outer_fold"

ROW_SUM_TOLERANCE = 1e-4
"""How far a row may be from 1: a float32 softmax over a few classes is well inside, a logit or a typo is not."""


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of n cases.

    Attributes:
        image_ids: Unique image names, n.
        patient_ids: The patient of each image, n; intervals resample patients, never images.
        labels: True class index, int64 [n].
        probabilities: float64 [n, classes], rows sum to 1.
        class_names: Ordered class names, from harmless to worst.

    Raises:
        ReportError: If the columns differ in length, an image stands twice, a label names no class, or a row is no
            probability distribution.
    """

    image_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        labels, probabilities = np.asarray(self.labels), np.asarray(self.probabilities, dtype=np.float64)
        _check_names(self)
        n = len(self.image_ids)
        if len(self.patient_ids) != n or labels.shape != (n,) or probabilities.shape != (n, len(self.class_names)):
            raise ReportError(
                expected=f"{n} patients, labels [{n}] and probabilities [{n}, {len(self.class_names)}]",
                found=f"{len(self.patient_ids)} patients, labels {list(labels.shape)}, "
                f"probabilities {list(probabilities.shape)}",
                remedy="Give every image one patient, one label and one probability a class.",
            )
        if not np.issubdtype(labels.dtype, np.integer):
            raise ReportError(
                expected="integer class indices as labels",
                found=f"labels of type {labels.dtype}",
                remedy="Pass the position of each label in class_names.",
            )
        outside = np.flatnonzero((labels < 0) | (labels >= len(self.class_names)))
        if outside.size:
            raise ReportError(
                expected=f"labels from 0 to {len(self.class_names) - 1}",
                found=f"{labels[outside[0]]} for image {self.image_ids[outside[0]]}",
                remedy="Check that the labels and class_names come from the same case table.",
            )
        _check_distributions(self.image_ids, probabilities)
        object.__setattr__(self, "labels", labels.astype(np.int64))
        object.__setattr__(self, "probabilities", probabilities)

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Index of the most probable class, int64 [n]; the less severe one where two are equal."""
        return self.probabilities.argmax(axis=1).astype(np.int64)

    @property
    def n_patients(self) -> int:
        """Number of different patients."""
        return len(set(self.patient_ids))

    def take(self, rows: Iterable[int]) -> Predictions:
        """The cases at ``rows`` (unique positions from 0), in that order."""
        chosen = [int(row) for row in rows]
        images, patients = (tuple(ids[row] for row in chosen) for ids in (self.image_ids, self.patient_ids))
        return Predictions(images, patients, self.labels[chosen], self.probabilities[chosen], self.class_names)

    def write_csv(self, path: Path, *, outer_folds: Sequence[int] | None = None) -> Path:
        """Writes the table as the module's docstring describes, atomically.

        Args:
            path: The file to make.
            outer_folds: Outer fold of each case in a nested protocol, from 1, n.

        Returns:
            ``path``.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        last = [] if outer_folds is None else [OUTER_FOLD]
        writer.writerow([*LEADING_COLUMNS, *(PROBABILITY_PREFIX + name for name in self.class_names), *last])
        labels, predicted = (np.array(self.class_names)[index].tolist() for index in (self.labels, self.predicted))
        for row, names in enumerate(zip(self.image_ids, self.patient_ids, labels, predicted, strict=True)):
            fold = [] if outer_folds is None else [int(outer_folds[row])]
            writer.writerow([*names, *self.probabilities[row].tolist(), *fold])
        return write_atomically(path, text.getvalue())

    @classmethod
    def read_csv(cls, path: Path) -> Predictions:
        """Reads a file that `write_csv` wrote, or that keeps to its schema.

        Args:
            path: The file; ``predicted`` is not read, for it follows from the probabilities, nor ``outer_fold``.

        Returns:
            The table, with the bits that were written.

        Raises:
            ReportError: If a column is missing, a number can't be read, or the table is not valid.
            OSError: If the file can't be opened.
        """
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        header = rows[0] if rows else []
        if header[-1:] == [OUTER_FOLD]:
            # A row that is too short keeps its length, to be named below.
            header, rows = header[:-1], [row[:-1] if len(row) == len(header) else row for row in rows]
        class_names = tuple(name.removeprefix(PROBABILITY_PREFIX) for name in header[len(LEADING_COLUMNS) :])
        if tuple(header) != LEADING_COLUMNS + tuple(PROBABILITY_PREFIX + name for name in class_names):
            raise ReportError(
                expected=f"the columns {', '.join(LEADING_COLUMNS)} and then one p_<class> a class in {path}",
                found=", ".join(header) or "an empty file",
                remedy="Use a predictions.csv that this program wrote, or rename the columns.",
            )
        index = {name: position for position, name in enumerate(class_names)}
        labels, probabilities = [], []
        for line, row in enumerate(rows[1:], start=2):
            try:
                if len(row) != len(header):
                    raise ValueError(f"{len(row)} columns")
                if row[2] not in index:
                    raise ValueError(f"the label {row[2]!r}")
                labels.append(index[row[2]])
                probabilities.append([float(value) for value in row[len(LEADING_COLUMNS) :]])
            except ValueError as problem:
                raise ReportError(
                    expected=f"{len(header)} columns, a label among {', '.join(class_names)} and plain numbers",
                    found=f"{problem} in row {line} of {path}",
                    remedy="Mend the row or write the file again.",
                ) from problem
        return cls(
            image_ids=tuple(row[0] for row in rows[1:]),
            patient_ids=tuple(row[1] for row in rows[1:]),
            labels=np.array(labels, dtype=np.int64),
            probabilities=np.array(probabilities, dtype=np.float64).reshape(-1, len(class_names)),
            class_names=class_names,
        )


def _check_names(table: Predictions) -> None:
    if len(table.class_names) < 2 or len(set(table.class_names)) != len(table.class_names):
        raise ReportError(
            expected="two or more different class names",
            found=", ".join(table.class_names) or "none",
            remedy="Name the classes from harmless to worst.",
        )
    if not table.image_ids:
        raise ReportError(
            expected="at least one case", found="an empty table", remedy="Predict before asking for metrics."
        )
    for kind, names in (("class", table.class_names), ("image", table.image_ids), ("patient", table.patient_ids)):
        bad = [name for name in names if not name or not name.isprintable()]
        if bad:
            raise ReportError(
                expected=f"{kind} names of printable characters", found=repr(bad[0]), remedy=f"Rename the {kind}."
            )
    if len(set(table.image_ids)) != len(table.image_ids):
        twice = Counter(table.image_ids).most_common(1)[0][0]
        raise ReportError(
            expected="every image once",
            found=f"{twice} more than once",
            remedy="Average the views of an image before the metrics; a case counted twice narrows every interval.",
        )


def _check_distributions(image_ids: tuple[str, ...], probabilities: NDArray[np.float64]) -> None:
    sums = probabilities.sum(axis=1)
    # Neither NaN nor an infinity comes through both.
    with np.errstate(invalid="ignore"):
        good = (probabilities >= 0).all(axis=1) & (np.abs(sums - 1) <= ROW_SUM_TOLERANCE)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise ReportError(
            expected="probabilities from 0 to 1 whose rows sum to 1",
            found=f"{[float(p) for p in probabilities[row]]} (sum {sums[row]:.6g}) for image {image_ids[row]}",
            remedy="Pass the softmax's output, not logits.",
        )
