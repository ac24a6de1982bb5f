"""Who is where in a nested run, and how many views a search's images have: nothing of it from those left out."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammo_data.cases import Case, CaseTable
from mammo_data.errors import DataError
from search.bit.architecture import SMALL
from search.config.reading import load_config
from search.protocols.banks import SharedBanks, views_of_searches
from search.protocols.expected_banks import plan_search_banks
from search.protocols.nested.split import final_split, inner_split, outer_split

NAMES = ("normal", "benign", "malignant")


def films(labels, images_each=2):
    """The cases of patients with images of one label each."""
    cases = tuple(
        Case(f"i{patient:03d}-{image}", f"p{patient:03d}", NAMES[label], "F", ())
        for patient, label in enumerate(labels)
        for image in range(images_each)
    )
    return CaseTable(cases, NAMES)


def config(**changes):
    values = {"split.protocol": "nested", "split.outer_folds": 4, "split.folds": 3, "preparation.image_size": 48}
    return load_config(None, values | {path.replace("__", "."): value for path, value in changes.items()})


patients = st.lists(st.integers(0, 2), min_size=30, max_size=60).map(
    lambda labels: [0, 0, 1, 1, 2, 2, *labels]  # each class has two patients at least
)


@settings(max_examples=25, deadline=None)
@given(patients, st.integers(0, 3))
def test_each_patient_is_left_out_once_and_classes_are_spread(labels, seed):
    table = films(labels)
    outer = outer_split(config(split__seed=seed), table)
    everyone = set(table.patient_ids)
    assert sorted(patient for fold in outer.folds for patient in fold) == sorted(everyone)
    for label in range(3):
        mine = {f"p{number:03d}" for number, each in enumerate(labels) if each == label}
        sizes = [len(mine & set(fold)) for fold in outer.folds]
        assert max(sizes) - min(sizes) <= 1
    for fold in range(4):
        inner = inner_split(outer, fold, config(split__seed=seed), table)
        assert inner.test_patients == outer.folds[fold]
        assert {patient for part in inner.folds for patient in part} == everyone - set(inner.test_patients)
    final = final_split(config(), table)
    assert final.test_patients == ()
    assert {patient for part in final.folds for patient in part} == everyone


@settings(max_examples=25, deadline=None)
@given(patients, st.randoms(use_true_random=False))
def test_the_order_of_the_cases_changes_no_fold(labels, random):
    table = films(labels)
    shuffled = list(table.cases)
    random.shuffle(shuffled)
    other = CaseTable(tuple(shuffled), NAMES)
    assert outer_split(config(), table) == outer_split(config(), other)
    outer = outer_split(config(), table)
    assert inner_split(outer, 1, config(), table) == inner_split(outer, 1, config(), other)


@settings(max_examples=25, deadline=None)
@given(patients, st.integers(2, 4))
def test_more_images_of_the_same_patients_change_no_fold(labels, images_each):
    assert outer_split(config(), films(labels)) == outer_split(config(), films(labels, images_each))


@settings(max_examples=25, deadline=None)
@given(patients, st.integers(0, 3), st.integers(0, 2), st.sampled_from([20.0, 0.012, 0.006, 0.0]))
def test_inner_folds_and_views_do_not_depend_on_the_labels_of_those_left_out(labels, fold, wrong, gigabytes):
    """Under a budget that cuts the views, too: another diagnosis of a left-out woman changes no search but others'."""
    chosen = config(cache__max_gb=gigabytes)
    before = films(labels)
    outer = outer_split(chosen, before)
    left_out = set(outer.folds[fold])
    after = films([wrong if f"p{number:03d}" in left_out else label for number, label in enumerate(labels)])
    splits = [inner_split(outer, fold, chosen, each) for each in (before, after)]
    assert splits[0] == splits[1]
    views = [
        views_of_searches(chosen, SMALL, each, {"search": split})["search"]
        for each, split in zip((before, after), splits, strict=True)
    ]
    assert views[0] == views[1]


def test_a_small_budget_gives_fewer_views_and_the_shared_bank_fits():
    table = films([0] * 30 + [1] * 10 + [2] * 8)
    outer = outer_split(config(), table)

    def searches(chosen):
        return {str(k): inner_split(outer, k, chosen, table) for k in range(4)} | {"final": final_split(chosen, table)}

    large = config()
    small = config(cache__max_gb=0.012)
    many, few = (views_of_searches(chosen, SMALL, table, searches(chosen)) for chosen in (large, small))
    assert all(few[name][0] < many[name][0] for name in many)
    most = [max(counts) for counts in zip(*few.values(), strict=True)]
    shared = plan_search_banks(small, SMALL, table, final_split(small, table), fixed_views=most)
    assert not shared.recomputed


@settings(max_examples=25, deadline=None)
@given(patients, st.integers(0, 3))
def test_a_search_reaches_the_views_of_its_own_patients_and_no_others(labels, fold):
    """Each stored value is its image and view; the search finds its own in the order of a bank of its own."""
    table = films(labels)
    outer = outer_split(config(), table)
    split = inner_split(outer, fold, config(), table)
    stored, used = np.array([4, 9, 16]), (3, 9, 12)
    counts = stored[table.labels]
    values = np.array([[row, view] for row, count in enumerate(counts) for view in range(count)])
    banks = SharedBanks(SimpleNamespace(table=table), {0: values}, np.concatenate([[0], np.cumsum(counts)]))
    data = banks.trial_data(split, used, folds=2)
    rows = split.development_rows(table)
    expected = [[row, view] for row in rows for view in range(used[table.labels[row]])]
    bank = data.banks[0]
    assert bank.values[np.arange(bank.offsets[-1])].tolist() == expected
    assert bank.values[bank.offsets[:-1]][:, 0].tolist() == rows.tolist()
    assert not set(data.patient_ids) & set(outer.folds[fold])
    assert len(data.folds) == 2
    with pytest.raises(IndexError):
        bank.values[np.array([bank.offsets[-1]])]


def test_a_class_of_one_patient_is_refused_in_one_line():
    with pytest.raises(DataError, match="no malignant outside outer fold"):
        outer_split(config(), films([0] * 10 + [1] * 10 + [2]))


def test_too_few_patients_are_refused_in_one_line():
    with pytest.raises(DataError, match="Expected at least 4 patients for 4 folds; found 3 patients"):
        outer_split(config(), films([0, 1, 2]))
