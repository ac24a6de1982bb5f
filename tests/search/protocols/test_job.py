"""The whole job on the phantom: what it leaves, what it reads, and that its model works elsewhere."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from mammo_data.splits import Split
from search.errors import ConfigError, RunError, UserError
from search.job import Job
from search.machine.environment import cores
from search.machine.libraries import Arithmetic, start_tensorflow
from search.protocols.run import run_job
from search.run_folder.ledger import readings
from search.run_folder.trial_log import read_records
from tests.support.held_out_changes import fitted_on_development, with_other_held_out_patients
from tests.support.read_anew import out_of_fold_at, sides_in, truth_in
from tests.support.tiny import tiny_config

CLOCKS = ("started", "seconds", "overhead_seconds")


def table_without_clocks(directory):
    return [replace(record, **dict.fromkeys(CLOCKS, 0)) for record in read_records(directory.trials_file)]


def test_the_folder_of_a_run_is_complete(finished):
    _, result = finished
    files = {str(path.relative_to(result.directory.path)) for path in result.directory.path.rglob("*")}
    assert files >= {
        "run.json",
        "config.toml",
        "split.csv",
        "trials.jsonl",
        "oof/0000.npz",
        "search/oracle.json",
        "checkpoints",
        "tensorboard",
        "log.txt",
        "best/bit_mammography_final.keras",
        "best/predictions.csv",
        "best/metrics.json",
        "best/report.html",
        "best/figures/roc.png",
        "best/figures/confusion_matrix.png",
        "best/figures/class_metrics.png",
        "best/figures/training_curves.png",
    }
    assert not list((result.directory.path / "checkpoints").iterdir()), "the fold models have been read from it"
    assert json.loads(result.directory.manifest_file.read_text())["status"] == "complete"


def test_the_search_keeps_its_bound_and_promotes(finished):
    config, result = finished
    records = read_records(result.directory.trials_file)
    assert len(records) <= config.search.max_trials
    promoted = [record for record in records if record.parent is not None]
    assert promoted
    for record in promoted:
        parent = records[record.parent]
        assert record.configuration == parent.configuration
        assert record.objective >= parent.objective
        for name, folds in record.curves.items():
            assert [len(fold) for fold in folds] == [record.epochs] * 2
            assert [fold[: parent.epochs] for fold in folds] == list(parent.curves[name])
    assert any(record.epochs == config.search.max_epochs for record in records)


def test_out_of_fold_logits_give_every_curve_and_the_objective_again(finished, phantom):
    """Joined by image id with Info.txt's labels and the split's folds: a file tells whose logits it holds, and when."""
    _, result = finished
    truth, sides = truth_in(phantom / "Info.txt"), sides_in(result.directory.split_file)
    records = read_records(result.directory.trials_file)
    for record in records:
        with np.load(result.directory.path / "oof" / f"{record.trial:04d}.npz", allow_pickle=False) as oof:
            images, labels, folds = oof["image"].tolist(), truth.of(oof["image"].tolist()), oof["fold"]
            assert sorted(images) == sorted(image for image, (_, side) in sides.items() if side in ("0", "1"))
            assert [*zip(oof["patient"].tolist(), map(str, folds), strict=True)] == [sides[image] for image in images]
            assert oof["label"].tolist() == labels.tolist()
            assert oof["epoch"].tolist() == list(range(record.initial_epoch + 1, record.epochs + 1))
        for epoch in range(1, record.epochs + 1):
            names, logits, of_fold = out_of_fold_at(result.directory, record, records, epoch)
            aucs = [
                roc_auc_score(truth.of(names)[rows], softmax(logits[rows], axis=1), multi_class="ovr")
                for rows in (of_fold == fold for fold in range(2))
            ]
            assert aucs == pytest.approx([curve[epoch - 1] for curve in record.curves["val_macro_auc"]], abs=1e-12)
            if epoch == record.epochs:
                assert np.mean(aucs) == pytest.approx(record.objective, abs=1e-12)


def test_predictions_are_of_the_held_out_patients_alone(finished):
    _, result = finished
    split = Split.read_csv(result.directory.split_file)
    with (result.directory.best / "predictions.csv").open(newline="") as file:
        assert {row["patient_id"] for row in csv.DictReader(file)} == set(split.test_patients)


@pytest.mark.slow
def test_readings_of_the_held_out_patients_are_counted(finished):
    config, result = finished
    split = Split.read_csv(result.directory.split_file)
    before = readings(config.output.runs, split.test_fingerprint)
    assert "first" in {reading.run for reading in before}
    again = run_job(Job(config, name="second"))
    after = readings(config.output.runs, split.test_fingerprint)
    assert [reading.run for reading in after] == [*(reading.run for reading in before), "second"]
    assert again.metrics["holdout_readings"] == len(after)
    assert table_without_clocks(again.directory) == table_without_clocks(result.directory)


def test_a_split_file_with_another_number_of_folds_is_refused(finished, phantom, tmp_path):
    file = finished[1].directory.split_file
    with pytest.raises(ConfigError, match=r"split\.folds = 4 folds; found 3\. Add --set split\.folds=3, or"):
        run_job(Job(tiny_config(phantom, tmp_path, split__file=file, split__folds=4), name="four"))


@pytest.mark.slow
def test_more_time_gives_no_other_winner_once_the_search_has_ended(phantom, tmp_path, monkeypatch):
    """The held-out patients may have been read before the interruption."""

    class StoppedError(Exception):
        pass

    def stopped(*arguments, **settings):
        raise StoppedError

    config = tiny_config(phantom, tmp_path, search__max_minutes=1e-9)
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr("search.final.finish.held_out", stopped)
        run_job(Job(config, name="timed"))
    more = config.model_copy(update={"search": config.search.model_copy(update={"max_minutes": 1000})})
    result = run_job(Job(more, name="timed"))
    assert result.directory.read_manifest().ended_after == 1
    assert [record.trial for record in result.outcome.records] == [0]


@pytest.mark.slow
def test_boundary_values_that_are_not_kept_give_the_same_search(finished, phantom, tmp_path):
    _, result = finished
    config = tiny_config(phantom, tmp_path, cache__max_gb=0)
    recomputing = run_job(Job(config, name="recomputing"))
    assert not list((tmp_path / "cache" / "banks").glob("*/values.npy"))
    assert table_without_clocks(recomputing.directory) == table_without_clocks(result.directory)


def test_the_exported_file_predicts_the_same_in_a_fresh_process_without_this_package(finished, tmp_path):
    from mammo_data.preparation.prepared import PreparedSet
    from reports.predictions import Predictions

    config, result = finished
    (prepared,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    rows = Split.read_csv(result.directory.split_file).test_rows(prepared.table)
    np.save(tmp_path / "images.npy", prepared.images[rows][..., None].astype(np.float32))
    shutil.copy(result.directory.model_file, tmp_path)
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('search', 'mammo_data', 'reports')))  # importing one of them fails\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('bit_mammography_final.keras', safe_mode=True)\n"
        "np.save('out.npy', model.predict_on_batch(np.load('images.npy')))\n"
    )
    subprocess.run([sys.executable, "-P", "-c", script], cwd=tmp_path, check=True, capture_output=True)
    probabilities = np.load(tmp_path / "out.npy").astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    stored = Predictions.read_csv(result.directory.best / "predictions.csv")
    assert stored.image_ids == prepared.table.take(rows).image_ids
    assert np.array_equal(stored.probabilities, probabilities)


def test_nothing_before_the_evaluation_reads_the_held_out_patients(finished, phantom, tmp_path):
    """Other pixels and labels for them, same split: same table, choice, weights, calibration and thresholds."""
    import keras

    _, result = finished
    changed = with_other_held_out_patients(phantom, tmp_path / "images", result.directory.split_file, "MN")

    other = run_job(Job(tiny_config(changed, tmp_path, split__file=result.directory.split_file), name="changed"))
    assert table_without_clocks(other.directory) == table_without_clocks(result.directory)
    assert other.outcome.configuration == result.outcome.configuration
    models = [keras.saving.load_model(run.directory.model_file) for run in (result, other)]
    for first, second in zip(*(model.weights for model in models), strict=True):
        assert np.array_equal(np.asarray(first), np.asarray(second)), first.path
    assert fitted_on_development(other.directory) == fitted_on_development(result.directory)
    assert result.metrics["primary_auc"] != other.metrics["primary_auc"]


def test_a_complete_run_typed_again_gives_what_it_has_found(finished, capsys):
    config, result = finished
    assert run_job(Job(config, name="first")).as_text() == result.as_text()
    assert "first is complete; its report: " in capsys.readouterr().err
    assert result.directory.model_file.exists()


def test_a_run_keeps_its_number_of_threads_and_a_process_with_another_is_refused(finished):
    _, result = finished
    manifest = result.directory.read_manifest()
    assert (manifest.threads, manifest.onednn) == (cores(), True)
    found = f"found with {cores()} threads, which"
    with pytest.raises(UserError, match=f"with {cores() + 1} threads, as the run began, .*; {found}"):
        start_tensorflow(deterministic=True, arithmetic=Arithmetic(cores() + 1))
    with pytest.raises(UserError, match=f"with {cores()} threads and without oneDNN, as the run began, .*; {found}"):
        start_tensorflow(deterministic=True, arithmetic=Arithmetic(cores(), onednn=False))


def test_fresh_never_deletes_what_is_no_run(finished):
    config, _ = finished
    thesis = config.output.runs / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"run\.json"):
        run_job(Job(config, name="thesis", fresh=True))
    assert (thesis / "chapter1.tex").exists()


def test_a_split_of_other_patients_is_refused_and_leaves_nothing(finished, tmp_path):
    config, result = finished
    lines = result.directory.split_file.read_text().splitlines()
    (tmp_path / "split.csv").write_text("\n".join(lines[:-4]) + "\n")
    with pytest.raises(ConfigError, match="2 that it lacks"):
        run_job(Job(replace_split(config, tmp_path / "split.csv"), name="partial"))
    assert not (config.output.runs / "partial").exists()


def replace_split(config, file):
    return config.model_copy(update={"split": config.split.model_copy(update={"file": file})})
