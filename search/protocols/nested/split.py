"""Splits of the nested protocol: outer folds over all patients, and inner folds within each development part.

Inner folds are drawn from the labels of the outer fold's development patients alone; nothing of the patients who are
left out has a say in them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mammo_data import CaseTable, DataError, Split, patient_split
from search.cohort import split_from_file
from search.config.schema import Config
from search.errors import ConfigError


def outer_split(config: Config, table: CaseTable) -> Split:
    """The outer folds, as the configured file says, or drawn: grouped by patient, stratified by the worst label.

    Returns:
        A split without test patients whose folds are the outer ones; each patient is in one.

    Raises:
        DataError: If there are too few patients, or outside an outer fold a class has no image.
        ConfigError: If the configured file doesn't hold such folds.
    """
    count = config.split.outer_folds
    if config.split.file is None:
        split = patient_split(table, test_fraction=0, folds=count, seed=config.split.seed)
    else:
        split = split_from_file(config.split.file, table)
        in_folds = sum(len(fold) for fold in split.folds)
        if len(split.folds) != count or in_folds != len(set(table.patient_ids)):
            raise ConfigError(
                expected=f"{config.split.file} to put each patient into one of split.outer_folds = {count} folds",
                found=f"{len(split.folds)} folds, {len(split.test_patients)} test patients",
                remedy="Use the outer_split.csv of a nested run, set split.outer_folds, or leave --split out.",
            )
    _check_classes(split, table)
    return split


def inner_split(outer: Split, fold: int, config: Config, table: CaseTable) -> Split:
    """The split of one outer fold's search: its patients are the test side, the others are dealt into inner folds.

    Args:
        outer: From `outer_split`.
        fold: Number of the outer fold, from 0.
        config: Number of inner folds, and the seed.
        table: All cases.

    Raises:
        DataError: If there are too few patients for so many folds.
    """
    held_out = outer.folds[fold]
    rest = table.take(Split(held_out, (), outer.seed).development_rows(table))
    return replace(final_split(config, rest), test_patients=held_out)


def final_split(config: Config, table: CaseTable) -> Split:
    """The split of the search on all patients: nobody is left out."""
    return patient_split(table, test_fraction=0, folds=config.split.folds, seed=config.split.seed)


def _check_classes(outer: Split, table: CaseTable) -> None:
    for fold in range(len(outer.folds)):
        development, _ = outer.fold_rows(table, fold)
        counts = np.bincount(table.labels[development], minlength=len(table.class_names))
        for name, count in zip(table.class_names, counts, strict=True):
            if count == 0:
                raise DataError(
                    expected="every class among the patients that an outer fold's search is given",
                    found=f"no {name} outside outer fold {fold + 1}",
                    remedy="Use data with more patients of that class, or the hold-out protocol.",
                )
