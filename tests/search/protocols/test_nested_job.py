"""A nested run: what it leaves, what each of its searches reads, and that it goes on where it was killed."""

import contextlib
import csv
import html
import json
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mammo_data.sources.open import open_source
from mammo_data.splits import Split
from reports.predictions import Predictions
from search.cohort import prepare_films, search_data
from search.errors import ConfigError, RunError
from search.job import Job
from search.protocols.holdout import resolve_backbone
from search.protocols.nested.protocol import NestedRun
from search.protocols.nested.split import final_split, outer_split
from search.protocols.run import run_job
from search.run_folder.directory import RunDirectory, open_run_directory
from search.run_folder.ledger import logged, readings
from search.run_folder.trial_log import read_records, recorded
from search.screen.output import messages
from search.screen.progress import RunProgress
from tests.durability.test_killed_runs import start, wait_for
from tests.search.protocols.test_job import table_without_clocks
from tests.support.command_line import typed
from tests.support.held_out_changes import with_other_held_out_patients
from tests.support.json_answers import assert_described
from tests.support.tiny import tiny_config

NESTED = {
    "split__protocol": "nested",
    "split__outer_folds": 2,
    "split__folds": 2,
    "search__max_trials": 2,
    "search__max_epochs": 2,
    "space__unfreeze_depth": [0],
    "retrain__seeds": 1,
    "search__precision": "float32",
}


@pytest.fixture(scope="module")
def nested(phantom, tmp_path_factory, tensorflow_started):
    config = tiny_config(phantom, tmp_path_factory.mktemp("nested"), **NESTED)
    return config, run_job(Job(config, name="nested"))


def outer_search_alone(config, name, fold):
    """One outer fold's search of a nested run, and nothing after it."""
    with RunProgress(messages()).shown() as progress:
        directory = open_run_directory(config.output.runs, name)
        backbone = resolve_backbone(config, directory, progress)
        films = prepare_films(open_source(config.data.path), config, progress)
        outer = outer_split(config, films.table)
        everyone = search_data(films, final_split(config, films.table), config, progress)
        NestedRun(Job(config, name=name), backbone, outer, everyone, progress).search_outer(fold)
    return directory.outer(fold)


def assert_same_search(directory, expected):
    """Same table, same choice, same weights."""
    import keras

    assert table_without_clocks(directory) == table_without_clocks(expected)
    models = [keras.saving.load_model(each.model_file) for each in (directory, expected)]
    for first, second in zip(*(model.weights for model in models), strict=True):
        assert np.array_equal(np.asarray(first), np.asarray(second)), first.path


def test_every_patient_is_left_out_once_and_the_model_is_of_all(nested):
    config, result = nested
    directory = result.directory
    with (directory.best / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 64
    assert len({row["image_id"] for row in rows}) == 64
    for fold in range(2):
        left_out = Split.read_csv(directory.outer(fold).split_file)
        assert {row["patient_id"] for row in rows if row["outer_fold"] == str(fold + 1)} == set(left_out.test_patients)
        assert left_out.test_patients == Split.read_csv(directory.outer_split_file).folds[fold]
        own = Predictions.read_csv(directory.outer(fold).best / "predictions.csv")
        assert {row["image_id"] for row in rows if row["outer_fold"] == str(fold + 1)} == set(own.image_ids)
        page = (directory.outer(fold).best / "report.html").read_text(encoding="utf-8")
        assert f"Outer fold {fold + 1} of 2 of the nested run nested." in page
    assert Split.read_csv(directory.split_file).test_patients == ()
    assert directory.model_file.is_file()
    assert json.loads(directory.manifest_file.read_text())["status"] == "complete"
    assert len(read_records(directory.trials_file)) == config.search.max_trials


def test_the_figures_are_means_over_folds_and_say_what_they_estimate(nested):
    _, result = nested
    written = json.loads((result.directory.best / "metrics.json").read_text())
    folds = [json.loads((result.directory.outer(k).best / "metrics.json").read_text()) for k in range(2)]
    for key in ("primary_auc", "abnormal_auc", "macro_ovr_auc"):
        assert written[key]["value"] == pytest.approx(np.mean([fold[key]["value"] for fold in folds]))
        assert written[key]["lower"] <= written[key]["value"] <= written[key]["upper"]
    assert written["protocol"] == "nested"
    assert {each["group"] for each in written["subgroups"]} >= {"radius", "tissue"}
    assert "1/2 of the patients" in written["estimates"]
    assert "has not been evaluated" in result.as_text()
    assert result.as_json()["protocol"] == "nested"
    assert_described("run", result.as_json())
    page = result.directory.report_file.read_text(encoding="utf-8")
    assert written["estimates"] in page
    assert "pooled over all folds" in page
    assert 'href="../outer-1/best/report.html"' in page


def test_the_last_search_and_the_outer_ones_say_whether_they_converged(nested):
    _, result = nested
    found = json.loads((result.directory.best / "metrics.json").read_text())["convergence"]
    assert found["outer_searches"] == {"converged": 0, "not_converged": 0, "not_told": 2}
    counted = "The winners of 0 of 2 outer searches have converged (it can't be told of 2)."
    assert found["sentence"] in result.as_text()
    assert counted in result.as_text()
    for page in (result.directory.report_file, result.directory.model_card):
        assert f"{found['sentence']} {counted}" in html.unescape(page.read_text(encoding="utf-8"))


def test_each_outer_reading_is_in_the_ledger_once(nested):
    config, result = nested
    lines = (config.output.runs / "holdout_ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"] for line in lines] == ["nested/outer-1", "nested/outer-2"]
    assert result.metrics["holdout_readings"] == 1
    # Each patient was read once: the folds are no splits to choose from.
    folds = [json.loads((result.directory.outer(k).best / "metrics.json").read_text()) for k in range(2)]
    assert [found["other_splits"]["splits"] for found in (result.metrics, *folds)] == [0, 0, 0]
    assert "patients were read  once\n" in result.as_text()
    assert len({line["draw"] for line in map(json.loads, lines)}) == 1


def test_one_bank_serves_all_searches(nested):
    config, _ = nested
    assert len(list((config.output.cache / "banks").glob("*/bank.json"))) == 1


def test_a_finished_nested_run_typed_again_gives_what_it_has_found(nested, capsys):
    config, result = nested
    assert run_job(Job(config, name="nested")).as_text() == result.as_text()
    assert "nested is complete; its report: " in capsys.readouterr().err


def test_split_files_of_the_other_protocol_are_refused(nested, phantom, tmp_path):
    _, result = nested
    with pytest.raises(ConfigError, match=r"name test patients; found none.*outer_split\.csv"):
        run_job(Job(tiny_config(phantom, tmp_path, split__file=result.directory.outer_split_file), name="h"))
    with pytest.raises(ConfigError, match=r"found 2 folds, 16 test patients.*outer_split\.csv"):
        file = result.directory.outer(0).split_file
        run_job(Job(tiny_config(phantom, tmp_path, **NESTED, split__file=file), name="n"))
    assert not (tmp_path / "runs" / "h").exists()


def test_an_outer_search_s_left_out_patients_are_evaluated_and_logged_like_any(nested, capsys):
    config, result = nested
    outer = result.directory.outer(0)
    held_out = Split.read_csv(outer.split_file).test_fingerprint
    before = readings(config.output.runs, held_out)
    assert [reading.run for reading in before] == ["nested/outer-1"]
    answer = typed(capsys, "evaluate", outer.path, "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["holdout_readings"] == 1
    assert [reading.run for reading in logged(config.output.runs, held_out)] == ["nested/outer-1"] * 2
    # Its file alone belongs to the same run, and to the ledger beside all runs.
    answer = typed(capsys, "evaluate", outer.model_file, "--json")
    assert answer.code == 0, answer.err
    assert len(logged(config.output.runs, held_out)) == 3
    assert len(readings(config.output.runs, held_out)) == 1


def test_nested_runs_are_compared_on_the_same_outer_folds(nested, tmp_path):
    from search.final.comparison.compare import compare_runs

    _, result = nested
    other = tmp_path / "runs" / "other"
    shutil.copytree(result.directory.path, other)
    found = compare_runs([result.directory, RunDirectory(other)])
    assert found.against[0].paired
    assert found.against[0].held_out["macro_ovr_auc"].value == 0
    assert found.runs[0].cost["trials"] == len(list(result.directory.path.rglob("oof/*.npz")))
    table = found.runs[1].directory.best / "predictions.csv"
    lines = table.read_text().splitlines()
    patient = lines[1].split(",")[1]
    moved = [f"{line[:-1]}{3 - int(line[-1])}" if f",{patient}," in line else line for line in lines]
    table.write_text("\n".join(moved) + "\n")
    RunDirectory(other).update_manifest(**RunDirectory(other).checksums())
    with pytest.raises(RunError, match="outer folds are other ones"):
        compare_runs([result.directory, RunDirectory(other)])
    with pytest.raises(RunError, match="protocol, nested; found nested/outer-1: holdout"):
        compare_runs([result.directory, result.directory.outer(0)])


def test_tensorboard_shows_all_searches_of_a_nested_run_beside_each_other(nested, tmp_path):
    """Their trials have equal numbers, and the HParams page takes equal names for repetitions."""
    from search.cli.tensorboard import write_events

    directory = nested[1].directory
    searches = [directory, directory.outer(0), directory.outer(1)]
    records = {search.name: recorded(search) for search in searches}
    assert list(records) == ["nested", "nested/outer-1", "nested/outer-2"]
    assert write_events([directory], tmp_path / "all") == sum(map(len, records.values()))
    shown = {path.parent.relative_to(tmp_path / "all") for path in (tmp_path / "all").rglob("events*")}
    for search, trials in records.items():
        name = search.removeprefix("nested/")
        assert sum(path.parent == Path(name) and path.name.startswith("trial ") for path in shown) == len(trials)
        assert (tmp_path / "all" / name / "final").is_dir()
    # One of them alone needs no name.
    write_events([directory.outer(0)], tmp_path / "one")
    assert {path.name.split(",")[0] for path in (tmp_path / "one").iterdir()} >= {"trial 00", "final"}
    going_on = RunDirectory(shutil.copytree(directory.path, tmp_path / "going-on"))
    going_on.update_manifest(status="running")
    going_on.trials_file.unlink()
    write_events([going_on], tmp_path / "early")
    assert not list((tmp_path / "early" / "going-on").glob("trial *"))
    assert list((tmp_path / "early" / "outer-2").glob("trial *"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["whole", "roi"])
def test_an_outer_search_is_a_holdout_run_on_its_split(phantom, tmp_path, mode, tensorflow_started):
    """With promotions, two depths and a bank that never held the left-out patients."""
    settings = NESTED | {"data__mode": mode, "space__unfreeze_depth": [0, 1], "search__max_trials": 5}
    config = tiny_config(phantom, tmp_path, **settings)
    result = run_job(Job(config, name="nested"))
    for fold in range(2):
        outer = result.directory.outer(fold)
        holdout = settings | {"split__protocol": "holdout", "split__file": outer.split_file}
        alone = run_job(Job(tiny_config(phantom, tmp_path, **holdout), name=f"alone-{fold}"))
        assert_same_search(outer, alone.directory)
        for name in ("predictions.csv", "predictions_corrected.csv"):
            assert (outer.best / name).read_bytes() == (alone.directory.best / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["whole", "roi"])
def test_no_outer_search_reads_its_left_out_patients(phantom, tmp_path, mode, tensorflow_started):
    """Other pixels and other labels for them, same folds: same table, same choice, same weights."""
    settings = NESTED | {"data__mode": mode, "space__unfreeze_depth": [0, 1], "split__outer_folds": 3}
    config = tiny_config(phantom, tmp_path / "before", **settings)
    result = run_job(Job(config, name="nested"))
    for fold in range(3):
        expected = result.directory.outer(fold)
        folder = tmp_path / str(fold)
        folder.mkdir()
        changed = with_other_held_out_patients(phantom, folder / "images", expected.split_file, "NBM")
        other = tiny_config(changed, folder, **settings, split__file=result.directory.outer_split_file)
        found = outer_search_alone(other, "changed", fold)
        assert_same_search(found, expected)
        before, after = (
            json.loads((each.best / "metrics.json").read_text())["primary_auc"] for each in (expected, found)
        )
        assert before != after, "the evaluation does read them"


def lines(file):
    return file.read_bytes().count(b"\n") if file.is_file() else 0


@pytest.fixture
def reference(phantom, tmp_path, tensorflow_started):
    """A whole nested run, and the same to be killed in another folder."""
    from search.config.writing import to_toml

    settings = NESTED | {"search__max_trials": 4, "search__max_epochs": 3}
    whole = run_job(Job(tiny_config(phantom, tmp_path / "whole", **settings), name="whole"))
    workspace = tmp_path / "killed"
    workspace.mkdir()
    (workspace / "tuner_config.toml").write_text(to_toml(tiny_config(phantom, workspace, **settings)))
    return whole.directory, workspace


def assert_same_nested_run(directory, expected):
    for first, second in zip(*([each.outer(0), each.outer(1), each] for each in (directory, expected)), strict=True):
        assert_same_search(first, second)
        assert (first.best / "predictions.csv").read_bytes() == (second.best / "predictions.csv").read_bytes()
    clockless = []
    for each in (directory, expected):
        metrics = json.loads((each.best / "metrics.json").read_text())
        clockless.append(metrics)
    assert clockless[0] == clockless[1]


@pytest.mark.slow
def test_killed_at_several_moments_a_nested_run_ends_as_if_nothing_had_happened(reference):
    expected, workspace = reference
    directory = RunDirectory(workspace / "runs" / "killed")
    first, second = (RunDirectory(directory.path / f"outer-{number}") for number in (1, 2))
    moments = (
        directory.manifest_file.is_file,
        lambda: lines(first.trials_file) >= 2,
        first.model_file.is_file,
        lambda: lines(second.trials_file) >= 1,
        lambda: lines(directory.trials_file) >= 3,
        (directory.best / "metrics.json").is_file,
    )
    for moment in moments:
        process = start(workspace)
        assert wait_for(process, moment), process.stderr.read()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start(workspace, "--resume")
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages
    assert "was finished before" in messages
    assert_same_nested_run(directory, expected)


@pytest.mark.slow
def test_a_nested_run_survives_kills_at_random_instants(reference):
    expected, workspace = reference
    directory = RunDirectory(workspace / "runs" / "killed")
    rng = np.random.default_rng(0)
    for _ in range(20):
        process = start(workspace)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(2, 20))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if directory.is_complete:
            break
    if not directory.is_complete:
        process = start(workspace)
        _, messages = process.communicate(timeout=300)
        assert process.returncode == 0, messages
    assert_same_nested_run(directory, expected)


@pytest.mark.parametrize(
    "file", ["best/predictions.csv", "best/predictions_corrected.csv", "best/audit.json", "trials.jsonl"]
)
def test_a_damaged_outer_result_is_one_line(nested, tmp_path, file):
    config, result = nested
    runs = tmp_path / "runs"
    shutil.copytree(result.directory.path, runs / "nested")
    directory = RunDirectory(runs / "nested")
    manifest = directory.read_manifest()
    directory.write_manifest(manifest.but(status="running"))
    damaged = directory.outer(1).path / file
    damaged.write_bytes(damaged.read_bytes()[:-1].replace(b"1", b"2", 1))
    output = config.output.model_copy(update={"runs": runs})
    with pytest.raises(RunError, match=r"outer-2.*Delete that folder"):
        run_job(Job(config.model_copy(update={"output": output}), name="nested"))


def test_its_one_model_is_what_export_writes_where_nobody_asks(nested):
    from search.protocols.members.request import usual_model

    assert usual_model(nested[1].directory) == "single"
