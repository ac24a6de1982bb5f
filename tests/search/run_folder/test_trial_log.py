import math

import pytest

from reports.trials import TrialRecord
from search.errors import RunError
from search.run_folder.trial_log import append_record, read_records


def record(run: int) -> TrialRecord:
    return TrialRecord(
        run=run,
        configuration=run,
        bracket=0,
        rung=0,
        parent=None,
        initial_epoch=0,
        epochs=2,
        hyperparameters={"head_width": 64, "dropout": 0.1, "optimizer": "sgd"},
        status="completed",
        objective=0.1 + 0.2,
        best_epoch=2,
        curves={"loss": ((1.25, 1.0), (math.pi, 0.5))},
        seconds=1.5,
    )


def test_records_read_back_as_they_were(tmp_path):
    file = tmp_path / "trials.jsonl"
    records = tuple(record(run) for run in range(3))
    for one in records:
        append_record(file, one)
    assert read_records(file) == records


def test_an_undefined_metric_comes_back_undefined(tmp_path):
    file = tmp_path / "trials.jsonl"
    one = record(0)
    append_record(file, TrialRecord(**{**one.__dict__, "curves": {"val_macro_auc": ((math.nan, 0.5),)}}))
    (read,) = read_records(file)
    assert math.isnan(read.curves["val_macro_auc"][0][0])
    assert read.curves["val_macro_auc"][0][1] == 0.5


@pytest.mark.parametrize(
    "damage", [lambda b: b.replace(b"1.25", b"1.26"), lambda b: b[:-20] + b"\n", lambda b: b"null\n"]
)
def test_damage_is_named_with_its_line(tmp_path, damage):
    file = tmp_path / "trials.jsonl"
    append_record(file, record(0))
    intact = file.read_bytes()
    file.write_bytes(intact + damage(intact))
    with pytest.raises(RunError, match="line 2"):
        read_records(file)
