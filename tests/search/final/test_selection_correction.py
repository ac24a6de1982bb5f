"""The correction for choosing trial and epoch, from the files that a search leaves."""

import numpy as np
import pytest

from reports.trials import TrialRecord
from search.errors import RunError
from search.final.held_out import selection_correction
from search.trials.cross_validation import OBJECTIVE, FoldResult, score, validation_metrics
from search.trials.data import TrialData
from search.trials.out_of_fold import out_of_fold_file, write_out_of_fold

FOLDS = 4
EPOCHS = 12
PROMOTED_AT = 4


def noisy_search(folder, seed, *, configurations=5, patients=90):
    """A search without any signal: every configuration is trained a little, then all of them to the end."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation(np.arange(patients) % 3), 2)
    fold_of = np.repeat(rng.permutation(np.arange(patients) % FOLDS), 2)
    data = TrialData(
        banks={},
        labels=labels,
        image_ids=tuple(f"i{row}" for row in range(len(labels))),
        patient_ids=tuple(f"p{row // 2}" for row in range(len(labels))),
        class_names=("normal", "benign", "malignant"),
        folds=tuple((np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(FOLDS)),
    )
    records: list[TrialRecord] = []
    for rung, (first, last) in enumerate([(0, PROMOTED_AT), (PROMOTED_AT, EPOCHS)]):
        for configuration in range(configurations):
            parent = records[configuration] if rung else None
            logits = [rng.normal(size=(last - first, len(rows), 3)).astype(np.float32) for _, rows in data.folds]
            curves = tuple(
                (parent.curves[OBJECTIVE][fold] if parent else ())
                + tuple(validation_metrics(labels[rows], epoch)[OBJECTIVE] for epoch in logits[fold])
                for fold, (_, rows) in enumerate(data.folds)
            )
            run, found = len(records), score(curves)
            results = [FoldResult({}, each) for each in logits]
            write_out_of_fold(out_of_fold_file(folder, run), data, results, initial_epoch=first, epochs=last)
            records.append(
                TrialRecord(
                    run=run,
                    configuration=configuration,
                    bracket=0,
                    rung=rung,
                    parent=parent.run if parent else None,
                    initial_epoch=first,
                    epochs=last,
                    hyperparameters={},
                    status="completed",
                    objective=found.objective,
                    best_epoch=found.best_epoch,
                    curves={OBJECTIVE: curves},
                )
            )
    return records


def test_the_best_epoch_of_the_best_run_of_noise_is_corrected_to_chance(tmp_path):
    selected, corrected = [], []
    for seed in range(12):
        folder = tmp_path / str(seed)
        folder.mkdir()
        records = noisy_search(folder, seed)
        found = selection_correction(folder, records, seed=seed)
        assert (found.trials, found.candidates, found.corrected_for) == (5, 5 * EPOCHS, "trial and epoch")
        assert found.selected == pytest.approx(max(record.objective for record in records[5:]), abs=1e-12)
        selected.append(found.selected)
        corrected.append(found.corrected.value)
    assert np.mean(selected) > 0.56
    # With each run's epoch chosen on all cases it would be 0.533.
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.01)


def test_epochs_before_a_promotion_are_read_from_the_parent_and_missing_ones_are_named(tmp_path):
    records = noisy_search(tmp_path, 0)
    out_of_fold_file(tmp_path, 2).unlink()
    with pytest.raises(RunError, match=r"0002\.npz, missing or damaged"):
        selection_correction(tmp_path, records, seed=0)


def test_without_a_completed_run_there_is_nothing_to_correct(tmp_path):
    assert selection_correction(tmp_path, [], seed=0) is None
