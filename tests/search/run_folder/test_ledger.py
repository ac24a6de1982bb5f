"""The ledger of hold-out readings: a line a reading, counted by who is held out and which models read."""

import json
import zlib

from search.run_folder.ledger import (
    LEDGER,
    LEDGER_COPY,
    OtherSplits,
    logged,
    other_splits,
    readings,
    record_evaluation,
    record_final_stage,
)

EARLIER = "2026-01-02T05:06:07+00:00"
BEGAN, LATER = "2026-01-02T03:04:05+00:00", "2026-02-03T04:05:06+00:00"


def stage(runs, split, run, *, began=BEGAN, models=("m",)):
    return record_final_stage(runs, split, run, began=began, models=models)


def names(found):
    return [reading.run for reading in found]


def test_a_reading_is_a_line_with_the_patients_and_the_models(tmp_path):
    stage(tmp_path, "these", "first", models=("exported", "fold"))
    stage(tmp_path, "others", "first")
    found = stage(tmp_path, "these", "second")
    assert names(found) == ["first", "second"]
    assert found == readings(tmp_path, "these")
    assert found[0].models == ("exported", "fold")
    assert names(readings(tmp_path, "others")) == ["first"]
    assert readings(tmp_path, "nobody") == ()
    for name in (LEDGER, LEDGER_COPY):
        lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        assert [(line["split"], line["run"]) for line in lines] == [
            ("these", "first"),
            ("others", "first"),
            ("these", "second"),
        ]
        assert lines[0]["models"] == ["exported", "fold"]
        assert (lines[0]["command"], lines[0]["began"], lines[0]["counted"]) == ("run", BEGAN, True)


def written_earlier(runs):
    """Let the lines be of another time than now."""
    for name in (LEDGER, LEDGER_COPY):
        lines = [json.loads(line) for line in (runs / name).read_text().splitlines()]
        for line in lines:
            del line["crc32"]
            line["time"] = EARLIER
            line["crc32"] = f"{zlib.crc32(json.dumps(line, sort_keys=True).encode()):08x}"
        (runs / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_final_stage_is_one_reading_however_often_it_is_repeated(tmp_path):
    stage(tmp_path, "these", "mine")
    written_earlier(tmp_path)
    for _ in range(5):
        (reading,) = stage(tmp_path, "these", "mine")
        assert reading.time == EARLIER
    assert len((tmp_path / LEDGER).read_text().splitlines()) == 1
    # Begun anew, or with other models, it is another one.
    assert len(stage(tmp_path, "these", "mine", began=LATER)) == 2
    assert len(stage(tmp_path, "these", "mine", models=("m", "another"))) == 3


def test_a_line_that_a_kill_left_in_one_file_is_written_into_the_other(tmp_path):
    stage(tmp_path, "these", "mine")
    for name in (LEDGER, LEDGER_COPY):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        assert len(readings(tmp_path, "these")) == 1
        assert len(stage(tmp_path, "these", "mine")) == 1
        assert (tmp_path / name).read_bytes() == content


def test_a_model_that_has_read_before_is_logged_and_not_counted_again(tmp_path):
    stage(tmp_path, "these", "mine", models=("exported", "fold"))
    known = record_evaluation(tmp_path, "these", "a copy", began=BEGAN, model="exported")
    assert not known.counted
    assert names(readings(tmp_path, "these")) == ["mine"]
    assert sorted(names(logged(tmp_path, "these"))) == ["a copy", "mine"]
    assert json.loads((tmp_path / LEDGER).read_text().splitlines()[-1])["counted"] is False
    assert record_evaluation(tmp_path, "these", "other", began=BEGAN, model="new").counted
    assert not record_evaluation(tmp_path, "these", "other", began=BEGAN, model="new").counted
    assert record_evaluation(tmp_path, "others", "mine", began=BEGAN, model="exported").counted
    assert sorted(names(readings(tmp_path, "these"))) == ["mine", "other"]
    assert len(logged(tmp_path, "these")) == 4


def test_lines_of_older_versions_count_each_and_are_of_the_run_s_own_model(tmp_path):
    first = {"split": "these", "run": "mine", "time": "2026-01-04T00:00:00+00:00"}
    second = first | {"time": "2026-01-05T00:00:00+00:00"}
    second["crc32"] = f"{zlib.crc32(json.dumps(second, sort_keys=True).encode()):08x}"
    (tmp_path / LEDGER).write_text("".join(json.dumps(line) + "\n" for line in (second, first)))
    assert [reading.time[:10] for reading in readings(tmp_path, "these")] == ["2026-01-04", "2026-01-05"]
    assert not record_evaluation(tmp_path, "these", "mine", began=BEGAN, model="m").counted
    # One that began after those lines is another run of that name, and so is one of another name.
    assert record_evaluation(tmp_path, "these", "mine", began=LATER, model="n").counted
    assert record_evaluation(tmp_path, "these", "another", began=BEGAN, model="o").counted


def test_the_same_line_twice_in_one_file_is_two_readings_and_a_lost_file_loses_none(tmp_path):
    for name in (LEDGER, LEDGER_COPY):
        (tmp_path / name).write_text('{"split": "these", "run": "mine", "time": "2026-01-04T00:00:00+00:00"}\n' * 2)
    assert len(readings(tmp_path, "these")) == 2
    for name in (LEDGER, LEDGER_COPY):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        assert len(readings(tmp_path, "these")) == 2
        (tmp_path / name).write_bytes(content)


def drawn(runs, seed, run, *, films="films"):
    """A hold-out run under the split that a seed has drawn."""
    split = f"split {seed}"
    return record_final_stage(runs, split, run, began=BEGAN, models=(run,), films=films, draw=split)


def test_the_best_of_several_splits_is_not_read_once(tmp_path):
    for seed in range(4):
        drawn(tmp_path, seed, f"run-{seed}")
    drawn(tmp_path, 9, "elsewhere", films="other films")
    assert names(drawn(tmp_path, 4, "mine")) == ["mine"]
    found = other_splits(tmp_path, films="films", draw="split 4")
    assert found == OtherSplits(4, ("run-0", "run-1", "run-2", "run-3"), 0)
    # Another run under one of these splits is no further split.
    drawn(tmp_path, 0, "again")
    assert other_splits(tmp_path, films="films", draw="split 4").splits == 4
    assert other_splits(tmp_path, films="other films", draw="split 9") == OtherSplits(0, (), 0)
    # What one file has lost is read from the other.
    (tmp_path / LEDGER).write_text("torn {")
    assert other_splits(tmp_path, films="films", draw="split 0").splits == 4


def test_the_outer_folds_of_a_nested_run_are_one_split(tmp_path):
    for run in ("nested", "with the same seed"):
        for fold in range(3):
            name = f"{run}/outer-{fold + 1}"
            record_final_stage(
                tmp_path, f"fold {fold}", name, began=BEGAN, models=(name,), films="films", draw="outer folds"
            )
    assert other_splits(tmp_path, films="films", draw="outer folds") == OtherSplits(0, (), 0)
    drawn(tmp_path, 0, "mine")
    found = other_splits(tmp_path, films="films", draw="split 0")
    assert found == OtherSplits(1, ("nested", "with the same seed"), 0)
    assert other_splits(tmp_path, films="films", draw="outer folds") == OtherSplits(1, ("mine",), 0)


def test_lines_that_do_not_name_their_films_are_counted_by_themselves(tmp_path):
    lines = [{"split": split, "run": "old", "time": "2026-01-04T00:00:00+00:00"} for split in ("split 0", "split 1")]
    (tmp_path / LEDGER).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(drawn(tmp_path, 0, "mine")) == 2
    assert other_splits(tmp_path, films="films", draw="split 0") == OtherSplits(0, (), 1)


def test_an_evaluation_counts_as_a_reading_of_its_split_once(tmp_path):
    where = {"films": "films", "draw": "split 1"}
    for _ in range(2):
        record_evaluation(tmp_path, "split 1", "a \x1b copy", began=BEGAN, model="new", **where)
    assert other_splits(tmp_path, films="films", draw="split 0") == OtherSplits(1, ("a ? copy",), 0)
