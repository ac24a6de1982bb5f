"""The ledger of hold-out readings: a line a reading, counted by who is held out."""

import json

from search.run_folder.ledger import LEDGER, LEDGER_COPY, readings, record_reading


def test_a_reading_is_a_line_with_the_patients_that_were_read(tmp_path):
    record_reading(tmp_path, "these", "first")
    record_reading(tmp_path, "others", "first")
    found = record_reading(tmp_path, "these", "second")
    assert [reading.run for reading in found] == ["first", "second"]
    assert found == readings(tmp_path, "these")
    assert [reading.run for reading in readings(tmp_path, "others")] == ["first"]
    assert readings(tmp_path, "nobody") == ()
    for name in (LEDGER, LEDGER_COPY):
        lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        assert [(line["split"], line["run"]) for line in lines] == [
            ("these", "first"),
            ("others", "first"),
            ("these", "second"),
        ]


def test_the_same_reading_twice_counts_twice_and_a_lost_file_loses_none(tmp_path):
    for _ in range(2):
        record_reading(tmp_path, "these", "first")
    assert len(readings(tmp_path, "these")) == 2
    for name in (LEDGER, LEDGER_COPY):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        assert len(readings(tmp_path, "these")) == 2
        (tmp_path / name).write_bytes(content)
