"""The audit finds what it is there for, and says nothing of what is not there."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mammo_data.cases import CaseTable
from mammo_data.preparation.prepared import PreparationSettings, prepare
from mammo_data.sources.open import open_source
from mammo_data.splits import patient_split
from search.audit.audit import audit
from tests.support.slow import slow


@pytest.fixture(scope="module")
def prepared(phantom, tmp_path_factory):
    return prepare(open_source(phantom), PreparationSettings(image_size=96), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def split(prepared):
    return patient_split(prepared.table, folds=3)


def no_probes():
    """Shortcuts are another question, and take seconds."""
    return ()


def with_images(prepared, images):
    return replace(prepared, images=images)


def test_an_honest_set_passes(prepared, split):
    found = audit(prepared, prepared, split)
    assert not found.leaks
    assert found.permutation is None
    assert {probe.name for probe in found.probes} >= {"file number", "black fraction", "mean", "Laplacian variance"}
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["duplicates"]["images"] == len(prepared.table)


@pytest.mark.parametrize("copied", ["equal", "brighter", "upside down"])
def test_a_film_under_another_name_on_the_other_side_is_found(prepared, split, copied):
    test, fold = int(split.test_rows(prepared.table)[0]), int(split.fold_rows(prepared.table, 1)[1][0])
    images = np.array(prepared.images)
    change = {
        "equal": lambda image: image,
        "brighter": lambda image: np.where(image > 0, np.minimum(image * 1.05 + 4, 255), 0),
        "upside down": lambda image: image[::-1],
    }
    images[fold] = change[copied](images[test])
    films = with_images(prepared, images)
    found = audit(films, films, split, probes=no_probes)
    (pair,) = found.pairs
    names = prepared.table.image_ids
    assert set(pair.images) == {names[test], names[fold]}
    assert set(pair.sides) == {"held out", "fold 2"}
    assert found.leaks
    answer = found.answers()["Is any image on two sides under another patient's name?"]
    assert answer.passed is False
    assert names[test] in answer.detail


def test_a_copy_on_the_same_side_or_of_the_same_woman_is_no_leak(prepared, split):
    rows = split.test_rows(prepared.table)
    images = np.array(prepared.images)
    images[rows[1]] = images[rows[0]]
    images[rows[-1]] = images[rows[0]]
    films = with_images(prepared, images)
    assert not audit(films, films, split, probes=no_probes).pairs


def test_a_held_out_woman_in_the_search_s_data_is_named(prepared, split):
    woman = split.test_patients[0]
    found = audit(prepared, prepared, split, probes=no_probes, sides={"training of fold 1": [woman, "p999"]})
    assert [entry.patients for entry in found.shared] == [(woman,)]
    assert found.answers()["Is any patient on two sides?"].passed is False
    assert not audit(prepared, prepared, split, probes=no_probes, sides={"training of fold 1": ["p999"]}).shared


@pytest.mark.parametrize("shortcut", ["black fraction", *slow("mean")])
def test_a_shortcut_that_was_built_in_is_warned_of(prepared, split, shortcut):
    images = np.array(prepared.images)
    abnormal = prepared.table.labels > 0
    if shortcut == "mean":
        images[abnormal] = np.minimum(images[abnormal], 254) // 2
    else:
        images[abnormal, :, 40:] = 0
    films = with_images(prepared, images)
    found = audit(films, films, split)
    (probe,) = [probe for probe in found.probes if probe.name == shortcut]
    assert probe.warns
    assert probe.lower < probe.auc < probe.upper or probe.auc == 1
    assert found.answers()["Do shortcuts in the pixels tell abnormal from normal?"].passed is False
    assert not found.leaks, "a warning, not a leak"


def test_file_order_that_encodes_the_label_is_told_but_no_fault_of_the_pixels(prepared, split):
    order = np.argsort(prepared.table.labels, kind="stable")
    cases = tuple(
        replace(prepared.table.cases[row], image_id=f"mdb{number:03d}") for number, row in enumerate(order, start=1)
    )
    sorted_set = replace(
        prepared, images=np.array(prepared.images)[order], table=CaseTable(cases, prepared.table.class_names)
    )
    found = audit(sorted_set, sorted_set, split)
    (probe,) = [probe for probe in found.probes if probe.name == "file number"]
    assert probe.auc > 0.9
    assert not probe.visible
    assert f"file number {probe.auc:.2f}" in found.answers()["For comparison"].detail


def test_too_few_patients_are_no_answer_instead_of_a_wrong_one(prepared, split):
    table = CaseTable(
        tuple(replace(case, label="normal", findings=()) for case in prepared.table.cases), prepared.table.class_names
    )
    healthy = replace(prepared, table=table)
    found = audit(healthy, healthy, split)
    assert all(probe.auc is None for probe in found.probes)
    assert found.answers()["Do shortcuts in the pixels tell abnormal from normal?"].passed is None


@pytest.mark.mias
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["whole", "roi"])
def test_on_the_real_set_trifles_tell_nothing_and_no_film_is_there_twice(mias_archive, tmp_path, mode):
    from search.config.reading import load_config
    from search.protocols.run import audit_data

    settings = {
        "data.path": mias_archive,
        "data.mode": mode,
        "preparation.image_size": 224,
        "output.cache": tmp_path,
    }
    found = audit_data(load_config(None, settings), permutation=False)
    print(mode, *found.probes, sep="\n  ")
    assert not found.leaks
    trivial = [probe for probe in found.probes if probe.trivial and probe.visible]
    assert all(probe.auc <= 0.60 for probe in trivial)
    (texture,) = [probe for probe in found.probes if not probe.trivial]
    assert 0.45 < texture.auc < 0.70
    (number,) = [probe for probe in found.probes if not probe.visible]
    assert number.warns, "MIAS's file order encodes the label"
