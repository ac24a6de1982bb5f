"""A search that could never have a score is refused in a line, before anything is computed."""

import numpy as np
import pytest

from mammo_data.cases import Case, CaseTable
from mammo_data.errors import DataError
from mammo_data.splits import Split, patient_split
from search.job import Job
from search.protocols.run import run_job
from search.trials.data import require_scorable
from tests.support.tiny import tiny_config

NAMES = ("normal", "benign", "malignant")


def women(*counts):
    """Two images a woman; so many of each class, one after the other."""
    labels = [name for name, count in zip(NAMES, counts, strict=True) for _ in range(count)]
    cases = (Case(f"i{n:03d}-{side}", f"p{n:03d}", name, "F", ()) for n, name in enumerate(labels) for side in "LR")
    return CaseTable(tuple(cases), NAMES)


def folds_by_class(table, wanted):
    """Folds whose validation sides have the classes of ``wanted``, each a string of their initials."""
    free = {name: [case.patient_id for case in table.cases[::2] if case.label == name] for name in NAMES}
    return Split((), tuple(tuple(free[n].pop() for n in NAMES if n[0] in fold) for fold in wanted), 0)


def test_one_fold_with_every_class_is_enough():
    table = women(9, 9, 9)
    require_scorable(table, folds_by_class(table, ["nb", "nbm", "n"]), folds=3)
    require_scorable(table, folds_by_class(table, ["nbm", "b"]), folds=1)


@pytest.mark.parametrize(
    ("folds", "used", "found", "remedy"),
    [
        (["nb", "nb", "nbm"], 1, r"no malignant in fold 1 \(of 3, 1 in use\)", r"Use more folds with --folds 3, or d"),
        (["nb", "nb", "nm"], 3, r"no malignant in fold 1, 2; no benign in fold 3 \(", r"\. Deal into fewer parts"),
        (["nb", "nm"], 2, r"no malignant in fold 1; no benign in fold 2 \(of 2, 2", r"\. Use data with more patients"),
        (["n", "b", "m"], 2, r"no benign and no malignant in fold 1; no normal and", r"\. Deal into .*split\.folds, o"),
        ([], 1, r"found no fold \(of 0, 0 in use\)", r"\. Use data"),
    ],
)
def test_folds_that_lack_a_class_each_are_refused_with_what_would_help(folds, used, found, remedy):
    table = women(9, 9, 9)
    with pytest.raises(DataError, match=rf"^Expected a fold .*{found}.*{remedy}") as caught:
        require_scorable(table, folds_by_class(table, folds), folds=used)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_the_folds_that_the_remedy_names_are_enough():
    table = women(44, 13, 3)
    split = patient_split(table, test_fraction=0, folds=5, seed=0)
    with pytest.raises(DataError, match="--folds ") as caught:
        require_scorable(table, split, folds=1)
    enough = int(caught.value.remedy.partition("--folds ")[2].split(",")[0])
    require_scorable(table, split, folds=enough)
    with pytest.raises(DataError):
        require_scorable(table, split, folds=enough - 1)


@pytest.fixture
def untouched_trunk(monkeypatch):
    """The trunk must not be asked for anything."""

    def run(*args, **kwargs):
        raise AssertionError("the trunk ran")

    monkeypatch.setattr("search.protocols.banks.run_trunk", run)


def lacking(split, table):
    """The same split with nobody of the worst class in the first fold: they train in it."""
    hers = {table.patient_ids[row] for row in np.flatnonzero(table.labels == NAMES.index("malignant"))}
    first = tuple(patient for patient in split.folds[0] if patient not in hers)
    return Split(split.test_patients, (first, *split.folds[1:]), split.seed)


def test_a_hold_out_run_ends_before_the_trunk_and_leaves_no_folder(phantom, tmp_path, monkeypatch, untouched_trunk):
    from search.protocols import run as protocol

    drawn = protocol.holdout_split
    monkeypatch.setattr(protocol, "holdout_split", lambda config, table: lacking(drawn(config, table), table))
    config = tiny_config(phantom, tmp_path, search__folds=1)
    with pytest.raises(DataError, match=r"no malignant in fold 1 \(of 3, 1 in use\)\. Use more folds with --folds 2"):
        run_job(Job(config, name="lost"))
    assert not (config.output.runs / "lost").exists()
    with pytest.raises(AssertionError, match="the trunk ran"):
        run_job(Job(tiny_config(phantom, tmp_path, search__folds=2), name="found"))


@pytest.mark.parametrize("spoilt", ["the second outer fold's search", "the search on all patients"])
def test_a_nested_run_looks_at_all_its_searches_before_the_first(
    phantom, tmp_path, monkeypatch, untouched_trunk, spoilt
):
    from search.protocols import run as protocol

    if spoilt == "the search on all patients":
        final = protocol.final_split
        monkeypatch.setattr(protocol, "final_split", lambda config, table: lacking(final(config, table), table))
    else:
        inner = protocol.inner_split

        def second(outer, fold, config, table):
            split = inner(outer, fold, config, table)
            return lacking(split, table) if fold == 1 else split

        monkeypatch.setattr(protocol, "inner_split", second)
    config = tiny_config(phantom, tmp_path, split__protocol="nested", split__outer_folds=2, search__folds=1)
    with pytest.raises(DataError, match="no malignant in fold 1"):
        run_job(Job(config, name="lost"))
    assert not (config.output.runs / "lost").exists()
