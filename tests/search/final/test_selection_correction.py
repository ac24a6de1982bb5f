"""The correction for choosing a trial, from the files that a search leaves."""

from dataclasses import replace

import numpy as np
import pytest

from reports import softmax
from reports.trials import OBJECTIVE_CURVE, TrialRecord
from search.errors import RunError
from search.final.finalists import read_finalists
from search.trials.cross_validation import FoldResult, score, validation_metrics
from search.trials.data import TrialData
from search.trials.out_of_fold import out_of_fold_file, read_out_of_fold, write_out_of_fold

FOLDS = 4
EPOCHS = 12
PROMOTED_AT = 4
CLASSES = ("normal", "benign", "malignant")


def noisy_search(folder, seed, *, configurations=20, patients=90):
    """A search without any signal: every configuration is trained a little, then all of them to the end."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation(np.arange(patients) % 3), 2)
    fold_of = np.repeat(rng.permutation(np.arange(patients) % FOLDS), 2)
    data = TrialData(
        banks={},
        labels=labels,
        image_ids=tuple(f"i{row}" for row in range(len(labels))),
        patient_ids=tuple(f"p{row // 2}" for row in range(len(labels))),
        class_names=CLASSES,
        folds=tuple((np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(FOLDS)),
    )
    records: list[TrialRecord] = []
    for rung, (first, last) in enumerate([(0, PROMOTED_AT), (PROMOTED_AT, EPOCHS)]):
        for configuration in range(configurations):
            parent = records[configuration] if rung else None
            logits = [rng.normal(size=(last - first, len(rows), 3)).astype(np.float32) for _, rows in data.folds]
            curves = tuple(
                (parent.curves[OBJECTIVE_CURVE][fold] if parent else ())
                + tuple(validation_metrics(labels[rows], epoch)[OBJECTIVE_CURVE] for epoch in logits[fold])
                for fold, (_, rows) in enumerate(data.folds)
            )
            run, found = len(records), score(curves)
            results = [FoldResult({}, each) for each in logits]
            record = TrialRecord(
                trial=run,
                configuration=configuration,
                bracket=0,
                rung=rung,
                parent=parent.trial if parent else None,
                initial_epoch=first,
                epochs=last,
                hyperparameters={},
                status="completed",
                objective=found.objective,
                best_epoch=found.best_epoch,
                curves={OBJECTIVE_CURVE: curves},
            )
            write_out_of_fold(folder, data, record, results)
            records.append(record)
    return records


def test_the_best_trial_of_noise_is_corrected_to_chance(tmp_path):
    selected, corrected = [], []
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        records = noisy_search(folder, seed)
        ((_, found),) = read_finalists(folder, records, CLASSES).corrected(seed=seed)[-1:]
        assert found.candidates == 20
        assert found.selected == pytest.approx(max(record.objective for record in records[20:]), abs=1e-12)
        selected.append(found.selected)
        corrected.append(found.corrected.value)
    assert np.mean(selected) > 0.56
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.01)


def test_a_missing_file_is_named(tmp_path):
    records = noisy_search(tmp_path, 0)
    out_of_fold_file(tmp_path, 22).unlink()
    with pytest.raises(RunError, match=r"0022\.npz, missing or damaged"):
        read_finalists(tmp_path, records, CLASSES)


def test_a_trial_of_an_older_version_is_read_at_its_best_epoch_be_it_its_parent_s(tmp_path):
    records = noisy_search(tmp_path, 0)
    for epoch, file in ((PROMOTED_AT - 1, 0), (PROMOTED_AT + 2, 20)):
        found = read_out_of_fold(tmp_path, replace(records[20], scored_epoch=epoch), records, CLASSES)
        with np.load(out_of_fold_file(tmp_path, file)) as written:
            (logits,) = written["logits"][written["epoch"] == epoch]
        np.testing.assert_array_equal(found.predictions.probabilities, softmax(logits))
