from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.errors import ReportError
from reports.predictions import Predictions
from tests.support.simulated import simulated_predictions

names = st.text(st.characters(exclude_categories=("C", "Z"), codec="utf-8"), min_size=1, max_size=8)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(names, min_size=1, max_size=12, unique=True),
    st.lists(names, min_size=2, max_size=5, unique=True),
    st.data(),
)
def test_csv_reads_back_with_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, images: list[str], classes: list[str], data: st.DataObject
) -> None:
    n = len(images)
    raw = np.random.default_rng(data.draw(st.integers(0, 2**32))).exponential(size=(n, len(classes)))
    table = Predictions(
        image_ids=tuple(images),
        patient_ids=tuple(data.draw(st.lists(names, min_size=n, max_size=n))),
        labels=np.array(data.draw(st.lists(st.integers(0, len(classes) - 1), min_size=n, max_size=n))),
        probabilities=raw / raw.sum(axis=1, keepdims=True),
        class_names=tuple(classes),
    )
    path = tmp_path_factory.mktemp("csv") / "predictions.csv"
    again = Predictions.read_csv(table.write_csv(path))
    assert (again.image_ids, again.patient_ids, again.class_names) == (
        table.image_ids,
        table.patient_ids,
        table.class_names,
    )
    assert again.labels.tobytes() == table.labels.tobytes()
    assert again.probabilities.tobytes() == table.probabilities.tobytes()


def changed(**columns: object) -> dict[str, object]:
    table = simulated_predictions(patients=3)
    return {name: getattr(table, name) for name in Predictions.__dataclass_fields__} | columns


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"probabilities": np.full((6, 3), 0.4)}, "sum 1.2"),
        ({"probabilities": np.full((6, 3), np.nan)}, "nan"),
        ({"probabilities": np.array([[2.0, -1.0, 0.0]] * 6)}, "from 0 to 1"),
        ({"labels": np.array([0, 1, 2, 3, 0, 0])}, "3 for image mdb004"),
        ({"labels": np.zeros(6)}, "float64"),
        ({"labels": np.zeros(5, int)}, "labels [5]"),
        ({"image_ids": ("a", "b", "c", "a", "d", "e")}, "a more than once"),
        ({"patient_ids": ("a",)}, "1 patients"),
        ({"class_names": ("x", "x", "y")}, "x, x, y"),
        ({"image_ids": ()}, "an empty table"),
        ({"image_ids": ("a", "b", "c", "", "d", "e")}, "printable"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_the_place(columns: dict[str, object], words: str) -> None:
    with pytest.raises(ReportError, match="Expected") as caught:
        Predictions(**changed(**columns))  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("image_id,", "image,", "image, patient_id"),
        ("p_benign", "benign", "benign"),
        (",0.", ",zero.", "row 2 of"),
        (",normal,normal,", ",unknown,normal,", "'unknown'"),
    ],
)
def test_a_broken_csv_names_the_row(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = simulated_predictions(patients=3).write_csv(tmp_path / "predictions.csv")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ReportError) as caught:
        Predictions.read_csv(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_empty_csv_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("")
    with pytest.raises(ReportError, match="an empty file"):
        Predictions.read_csv(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "predictions.csv"
    simulated_predictions(patients=3).write_csv(path)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        simulated_predictions(patients=4).write_csv(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["predictions.csv"]
