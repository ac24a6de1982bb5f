import json
import math
import zlib
from dataclasses import replace

import pytest

from reports.trials import TrialRecord
from search.errors import RunError
from search.run_folder.trial_log import append_record, read_records


def record(number: int, **changes: object) -> TrialRecord:
    found = TrialRecord(
        trial=number,
        configuration=number,
        bracket=0,
        rung=0,
        parent=None,
        initial_epoch=0,
        epochs=2,
        hyperparameters={"head_width": 64, "dropout": 0.1, "optimizer": "sgd"},
        status="completed",
        objective=0.1 + 0.2,
        best_epoch=2,
        curves={"loss": ((1.25, 1.0), (math.pi, 0.5)), "val_macro_auc": ((0.1, 0.3), (0.2, 0.3))},
        seconds=1.5,
    )
    return replace(found, **changes)


def promoted(number: int, parent: int) -> TrialRecord:
    found = record(number, rung=1, parent=parent, configuration=parent, initial_epoch=2, epochs=4)
    return replace(found, curves={name: [(*fold, *fold) for fold in folds] for name, folds in found.curves.items()})


def failed(number: int, **changes: object) -> TrialRecord:
    return record(number, status="failed", objective=None, best_epoch=None, curves={}, **changes)


def read(file, *records):
    for one in records:
        append_record(file, one)
    return read_records(file)


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


def test_trials_may_stand_in_any_order_of_their_numbers(tmp_path):
    """One that replaces a failed trial is numbered behind all planned ones, and comes before the promotions."""
    records = (failed(0), record(2), record(9), promoted(1, parent=9))
    assert [one.trial for one in read(tmp_path / "trials.jsonl", *records)] == [0, 2, 9, 1]


def test_a_trial_that_is_tried_again_says_so_and_takes_its_row_back(tmp_path):
    row = (failed(1), failed(2), failed(3))
    again = (record(1, attempt=1), failed(2, attempt=1), record(3, attempt=1))
    found = read(tmp_path / "trials.jsonl", record(0), *row, *again)
    assert found == (record(0), *again)
    assert [one.attempt for one in found] == [0, 1, 1, 1]
    half = read(tmp_path / "half.jsonl", record(0), *row, again[0])
    assert half == (record(0), again[0]), "what has not been tried again yet has not been carried out"


def test_a_diverged_trial_is_no_part_of_a_row(tmp_path):
    records = (record(0), failed(1, diverged_epoch=1), failed(2), failed(3), failed(4), record(2, attempt=1))
    assert [one.trial for one in read(tmp_path / "trials.jsonl", *records)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ((record(0), record(1), record(2), record(1)), "line 4, trial 1 again"),
        ((record(0), failed(1), failed(1)), "line 3, trial 1 again"),
        ((record(0), record(1), record(1, attempt=1)), "line 3, trial 1 again"),
        ((record(0), record(1, parent=2)), "line 2, trial 1 before trial 2"),
        ((record(0), record(1, parent=0)), "line 2, trial 1, which does not go on from where 0 ended"),
    ],
)
def test_a_line_that_contradicts_the_others_is_named(tmp_path, records, said):
    with pytest.raises(RunError, match=said):
        read(tmp_path / "trials.jsonl", *records)


def test_files_of_earlier_versions_are_read(tmp_path):
    """They called the number "run", and where trials were tried again the number came again."""
    file = tmp_path / "trials.jsonl"
    records = (record(0), failed(1), failed(2), failed(3), record(1), record(2))
    read(tmp_path / "new.jsonl", *(replace(one, attempt=place > 3) for place, one in enumerate(records)))
    with file.open("w") as old:
        for line in (tmp_path / "new.jsonl").read_text().splitlines():
            content = json.loads(line)["record"]
            content["run"] = content.pop("trial")
            del content["attempt"]
            text = json.dumps(content, sort_keys=True)
            old.write(f'{{"crc32": "{zlib.crc32(text.encode()):08x}", "record": {text}}}\n')
    assert read_records(file) == (record(0), record(1), record(2))
