"""A whole run on crops, and the audit with its command: what is written, what is said, and what is not read."""

import csv
import json
import shutil

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mammo_data.splits import Split
from reports.predictions import Predictions
from search.cli.data import audit
from search.cli.run import next_commands
from search.config.writing import to_toml
from search.job import Job
from search.protocols.run import run_job
from tests.support.held_out_changes import fitted_on_development, with_other_held_out_patients
from tests.support.tiny import tiny_config

CROPS = {
    "data__mode": "roi",
    "search__minority": "logit_adjustment",
    "search__tuner": "random",
    "space__unfreeze_depth": [1],
}


@pytest.fixture(scope="module")
def finished(phantom, tmp_path_factory, tensorflow_started):
    config = tiny_config(phantom, tmp_path_factory.mktemp("work"), **CROPS)
    return config, run_job(Job(config, name="crops"))


def test_every_output_says_that_the_place_was_given(finished):
    _, result = finished
    best = result.directory.best
    assert json.loads(result.directory.manifest_file.read_text())["mode"] == "roi"
    assert json.loads((best / "metrics.json").read_text())["mode"] == "roi"
    assert json.loads((best / "audit.json").read_text())["mode"] == "roi"
    assert result.as_json()["mode"] == "roi"
    assert "easier task" in result.as_text()
    said = next_commands(result.directory, width=200)
    assert " predict " not in said, "which takes no model of crops"
    assert " export " in said
    page = (best / "report.html").read_text(encoding="utf-8")
    assert "regions of interest around the annotated positions" in page
    assert "the same for every class" in page
    assert "located" in page
    about = json.loads((best / "bit_mammography_final.keras.json").read_text())
    assert about["input"]["meaning"].startswith("a crop of a film, 256 pixels of 0.2 mm a side")


def test_the_card_names_the_kind_of_search(finished):
    _, result = finished
    assert "| Selection of the model | random search, 6 trials, " in result.directory.model_card.read_text()


def test_the_split_is_of_all_patients_as_on_whole_images(finished):
    _, result = finished
    split = Split.read_csv(result.directory.split_file)
    held_out = Predictions.read_csv(result.directory.best / "predictions.csv")
    assert set(held_out.patient_ids) <= set(split.test_patients)
    with result.directory.split_file.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 64
    assert all("-" in image_id for image_id in held_out.image_ids)


@pytest.mark.slow
def test_nothing_before_the_evaluation_reads_the_held_out_patients(finished, phantom, tmp_path):
    """Other pixels and other lesions for the test patients: the same crops, trials and choice for everyone else."""
    from tests.search.protocols.test_job import table_without_clocks

    _, result = finished
    changed = with_other_held_out_patients(phantom, tmp_path / "images", result.directory.split_file)
    config = tiny_config(changed, tmp_path, split__file=result.directory.split_file, **CROPS)
    other = run_job(Job(config, name="changed"))
    assert table_without_clocks(other.directory) == table_without_clocks(result.directory)
    assert other.outcome.configuration == result.outcome.configuration
    assert fitted_on_development(other.directory) == fitted_on_development(result.directory)


def test_the_audit_of_a_run_has_an_answer_to_each_question(finished):
    _, result = finished
    found = json.loads((result.directory.best / "audit.json").read_text())
    assert found["overlap"] == {"passed": True, "shared": [], "compared": found["overlap"]["compared"]}
    assert found["overlap"]["compared"] > 6
    assert found["permutation"]["permutations"] == 100
    assert 0 < found["permutation"]["p_value"] <= 1
    page = (result.directory.best / "report.html").read_text(encoding="utf-8")
    assert "Is any patient on two sides?" in page
    assert "Labels shuffled between patients 100 times" in page


def test_the_correction_that_helped_stands_beside_the_exported_probabilities(finished):
    from reports.decisions.probabilities import ProbabilityCorrection

    _, result = finished
    best = result.directory.best
    raw, corrected = (Predictions.read_csv(best / f"{name}.csv") for name in ("predictions", "predictions_corrected"))
    section = json.loads((best / "metrics.json").read_text())["calibration"]
    shift = tuple(section["log_prior_shift"])
    assert section["chosen"] != "none", "the test would see nothing"
    correction = ProbabilityCorrection(section["temperature"], shift)
    expected = correction.probabilities(np.log(np.maximum(raw.probabilities, 1e-12)))
    assert corrected.probabilities == pytest.approx(expected)
    assert corrected.image_ids == raw.image_ids
    assert (corrected.probabilities != raw.probabilities).any()


@pytest.fixture
def command():
    app = typer.Typer()
    app.command()(audit)
    return app


def test_the_audit_alone_prints_and_writes_the_same_as_a_run_would(finished, command, tmp_path):
    config, result = finished
    (tmp_path / "c.toml").write_text(to_toml(config))
    output = tmp_path / "audit.json"
    answer = CliRunner().invoke(command, ["--config", str(tmp_path / "c.toml"), "--json", "--output", str(output)])
    assert answer.exit_code == 0, answer.output
    alone = json.loads(answer.stdout)
    assert alone == json.loads(output.read_text())
    of_the_run = json.loads((result.directory.best / "audit.json").read_text())
    assert alone["shortcuts"] == of_the_run["shortcuts"]
    assert alone["permutation"]["observed"] == pytest.approx(of_the_run["permutation"]["observed"], abs=0.05)


def test_the_audit_alone_ends_with_code_3_where_an_image_is_on_two_sides(finished, command, phantom, tmp_path):
    config, result = finished
    split = Split.read_csv(result.directory.split_file)
    changed = tmp_path / "images"
    shutil.copytree(phantom, changed)
    first, second = (f"mdb{2 * int(patient[1:]):03d}.pgm" for patient in (split.test_patients[0], split.folds[0][0]))
    shutil.copy(changed / first, changed / second)
    (tmp_path / "c.toml").write_text(to_toml(config))
    arguments = ["--config", str(tmp_path / "c.toml"), "--data", str(changed), "--mode", "whole", "--no-permutation"]
    answer = CliRunner().invoke(command, [*arguments, "--split", str(result.directory.split_file)])
    assert answer.exit_code == 3, answer.output
    assert first[:6] in answer.stdout
    assert second[:6] in answer.stdout
