from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data import MIAS_CLASSES, Case, CaseTable, DataError, Split, patient_split
from mammo_data.split_table import patients_listed


def table_of(patients: list[tuple[int, int]], class_names: tuple[str, ...] = MIAS_CLASSES) -> CaseTable:
    """Two images a patient, with the two given labels."""
    return CaseTable(
        tuple(
            Case(f"mdb{2 * number + side + 1:03d}", f"p{number:03d}", class_names[labels[side]])
            for number, labels in enumerate(patients)
            for side in (0, 1)
        ),
        class_names,
    )


# Worse in the first image of some women and in the last of others: 53 normal, 56 benign and 52 malignant ones.
MIAS_LIKE = table_of(
    [(0, 0)] * 53
    + [(1, 0)] * 30
    + [(0, 1)] * 25
    + [(1, 1)]
    + [(0, 2)] * 20
    + [(2, 0)] * 26
    + [(1, 2)] * 3
    + [(2, 1)] * 3
)


@pytest.mark.parametrize("block", range(10))
def test_no_patient_is_on_two_sides_over_a_thousand_seeds(block: int) -> None:
    patients = np.array(MIAS_LIKE.patient_ids)
    for seed in range(100 * block, 100 * block + 100):
        split = patient_split(MIAS_LIKE, seed=seed)
        test = set(patients[split.test_rows(MIAS_LIKE)])
        development = set(patients[split.development_rows(MIAS_LIKE)])
        assert not test & development
        assert len(test) + len(development) == 161
        validated: list[int] = []
        for fold in range(5):
            training_rows, validation_rows = split.fold_rows(MIAS_LIKE, fold)
            training, validation = set(patients[training_rows]), set(patients[validation_rows])
            assert not training & validation
            assert not (training | validation) & test
            assert training | validation == development
            validated.extend(validation_rows)
        assert sorted(validated) == split.development_rows(MIAS_LIKE).tolist()


def test_the_split_is_stratified_by_the_patients_worst_label() -> None:
    worst: dict[str, int] = {}
    for case in MIAS_LIKE.cases:
        worst[case.patient_id] = max(worst.get(case.patient_id, 0), MIAS_CLASSES.index(case.label))
    for seed in range(10):
        split = patient_split(MIAS_LIKE, seed=seed)
        assert len(split.test_patients) == 40
        assert np.bincount([worst[patient] for patient in split.test_patients]).tolist() == [13, 14, 13]
        folds = np.array([np.bincount([worst[patient] for patient in fold]) for fold in split.folds])
        assert (np.ptp(folds, axis=0) <= 1).all()
        assert set(folds.sum(axis=1).tolist()) <= {24, 25}


def test_same_seed_same_split_and_another_seed_another() -> None:
    assert patient_split(MIAS_LIKE, seed=1) == patient_split(MIAS_LIKE, seed=1)
    assert patient_split(MIAS_LIKE, seed=1).fingerprint != patient_split(MIAS_LIKE, seed=2).fingerprint
    backwards = MIAS_LIKE.take(range(len(MIAS_LIKE) - 1, -1, -1))
    assert patient_split(backwards, seed=1) == patient_split(MIAS_LIKE, seed=1)


@settings(max_examples=200, deadline=None)
@given(
    labels=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40),
    folds=st.integers(1, 6),
    fraction=st.floats(0, 0.9),
    seed=st.integers(0, 2**32),
)
def test_any_set_gives_an_honest_split_or_says_why_not(
    labels: list[tuple[int, int]], folds: int, fraction: float, seed: int
) -> None:
    table = table_of(labels, ("a", "b", "c", "d", "e"))
    try:
        split = patient_split(table, test_fraction=fraction, folds=folds, seed=seed)
    except DataError:
        assert len(labels) * (1 - fraction) < max(folds, 2) + 3 or len(labels) < 10
        return
    assert len(split.folds) == folds
    assert all(split.folds)
    for fold in range(folds):
        training, validation = split.fold_rows(table, fold)
        assert not set(training) & set(validation)
        assert not (set(training) | set(validation)) & set(split.test_rows(table))


def test_a_class_of_two_is_on_both_sides_and_a_single_one_trains() -> None:
    table = table_of([(0, 0)] * 20 + [(1, 0)] * 2 + [(2, 0)])
    for seed in range(20):
        split = patient_split(table, seed=seed)
        test = table.take(split.test_rows(table)).labels
        assert np.count_nonzero(test == 1) == 1
        assert np.count_nonzero(test == 2) == 0


def test_too_few_patients_is_a_data_error() -> None:
    with pytest.raises(DataError, match="found 5 patients"):
        patient_split(table_of([(0, 0)] * 5))
    with pytest.raises(ValueError, match="test_fraction"):
        patient_split(MIAS_LIKE, test_fraction=1.0)


def test_a_split_survives_its_file(tmp_path: Path) -> None:
    for folds in (1, 5):
        split = patient_split(MIAS_LIKE, seed=7, folds=folds)
        split.write_csv(tmp_path / "split.csv", MIAS_LIKE)
        assert Split.read_csv(tmp_path / "split.csv") == split


def test_a_doctored_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    patient_split(MIAS_LIKE).write_csv(path, MIAS_LIKE)
    lines = path.read_text().splitlines()
    lines[1] = (
        lines[1].replace(",test,", ",0,") if ",test," in lines[1] else ",".join([*lines[1].split(",")[:3], "test", "0"])
    )
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match="two sides"):
        Split.read_csv(path)
    path.write_text("nothing")
    with pytest.raises(DataError, match="split table"):
        Split.read_csv(path)
    with pytest.raises(ValueError, match="received a on two"):
        Split(("a",), (("b",), ("a",)), 0)


def test_who_is_held_out_has_a_fingerprint_of_its_own() -> None:
    five, four = (patient_split(MIAS_LIKE, folds=folds, seed=3) for folds in (5, 4))
    assert five.fingerprint != four.fingerprint
    assert five.test_fingerprint == four.test_fingerprint != patient_split(MIAS_LIKE, seed=4).test_fingerprint


def test_a_file_lists_those_too_that_are_always_trained_on(tmp_path: Path) -> None:
    patient_split(MIAS_LIKE, folds=1).write_csv(tmp_path / "split.csv", MIAS_LIKE)
    assert patients_listed(tmp_path / "split.csv") == set(MIAS_LIKE.patient_ids)


SAVED_AS = {
    "byte order mark": lambda text: "\ufeff" + text,
    "Windows": lambda text: text.replace("\n", "\r\n"),
    "semicolons": lambda text: text.replace(",", ";"),
    "tabs": lambda text: "\ufeff" + text.replace(",", "\t").replace("\n", "\r\n"),
    "quotes": lambda text: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()),
    "empty lines": lambda text: text + ",,,,\n\n",
    "Unicode text": lambda text: "\ufeff" + text.replace(",", "\t").replace("\n", "\r\n"),
    "spaces": lambda text: text.replace(",", " , "),
}


@pytest.mark.parametrize("saved_as", SAVED_AS)
def test_a_split_is_read_as_a_spreadsheet_saves_it(saved_as: str, tmp_path: Path) -> None:
    split = patient_split(MIAS_LIKE)
    split.write_csv(tmp_path / "split.csv", MIAS_LIKE)
    text = SAVED_AS[saved_as]((tmp_path / "split.csv").read_text())
    (tmp_path / "saved.csv").write_bytes(text.encode("utf-16-le" if saved_as == "Unicode text" else "utf-8"))
    assert Split.read_csv(tmp_path / "saved.csv") == split
    assert patients_listed(tmp_path / "saved.csv") == set(MIAS_LIKE.patient_ids)


@pytest.mark.parametrize("line", ["mdb001,p001\n", "mdb001,p001,normal,0,0,more,and more\n"])
def test_a_split_with_lines_of_another_length_is_no_split(line: str, tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("image_id,patient_id,label,side,seed\n" + line)
    with pytest.raises(DataError, match=r"split\.csv"):
        Split.read_csv(tmp_path / "split.csv")
