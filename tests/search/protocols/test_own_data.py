"""The whole search on a set of one's own, described by a cases.csv."""

import csv
import json

import pytest

from search.job import Job
from search.protocols.run import run_job
from tests.support.case_folders import write_case_folder
from tests.support.tiny import tiny_config


@pytest.mark.parametrize("classes", [2, pytest.param(3, marks=pytest.mark.slow), 5])
def test_a_folder_with_a_cases_csv_is_searched_like_any_other(classes, phantom, tmp_path):
    folder = write_case_folder(phantom, tmp_path / "own", classes=classes, split=True)
    config = tiny_config(folder, tmp_path, search__max_trials=3, retrain__seeds=1)
    result = run_job(Job(config, name="own"))
    assert result.directory.model_file.is_file()
    with result.directory.split_file.open(newline="") as file:
        sides = {row["image_id"]: row["side"] for row in csv.DictReader(file)}
    with (folder / "cases.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    for row in listed:
        assert (sides[row["image"].rsplit(".", 1)[0]] == "test") == (row["split"] == "test")
    assert result.metrics["n"] == sum(row["split"] == "test" for row in listed)
    assert len({row["label"] for row in listed}) == classes
    assert len(json.loads((result.directory.best / "metrics.json").read_text())) > 5
