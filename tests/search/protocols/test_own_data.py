"""The whole search on a set of one's own, described by a cases.csv."""

import csv
import json

import pytest

from search.job import Job
from search.protocols.run import run_job
from tests.support.case_folders import write_case_folder
from tests.support.command_line import typed
from tests.support.tiny import tiny_config


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_folder_with_a_cases_csv_is_searched_like_any_other(classes, phantom, tmp_path):
    folder = write_case_folder(phantom, tmp_path / "own", classes=classes, split=True)
    if classes == 5:
        # The hold-out that is given has to show the endpoint.
        table = (folder / "cases.csv").read_text().splitlines()
        woman = next(line.split(",")[1] for line in table if "BI-RADS 5" in line)
        rows = [line.replace(",training", ",test") if f",{woman}," in line else line for line in table]
        (folder / "cases.csv").write_text("\n".join(rows))
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


@pytest.mark.parametrize("command", ["data check", "run --weights random --data"])
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            ["a.png,p1,normal", "b.png,p2,mass", "c.png,p3,cancer", "d.png,p4,mass"],
            ["normal (or norm", "'mass' in lines 3, 5 of", "cases.csv", "# classes: normal, mass, cancer"],
        ),
        (
            ["a.png,001,normal", "b.png,2,cancer", "c.png,1,normal"],
            ["one spelling of each patient's id", "'001' in line 2 and '1' in line 4 of", "Write one woman"],
        ),
        (["a.png,p1,BENIGN", "b.png,p2,malignant", "c.png,p3,nan"], ["'nan' in line 4 of"]),
        (
            ["a.png,p1,malignant", "b.png,p2,normal", "c.png,p3,cancer"],
            ["'malignant' in line 2 and 'cancer' in line 4 of", "Write one of them"],
        ),
    ],
)
def test_a_table_that_would_be_guessed_at_is_one_line(command, rows, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cases.csv").write_text("\n".join(["image,patient,label", *rows]))
    answer = typed(capsys, *command.split(), tmp_path)
    assert answer.code == 3
    (line,) = answer.error_lines
    assert [word for word in words if word not in line] == []
    assert not (tmp_path / "runs").exists()
