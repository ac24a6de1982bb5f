"""The gate: what a run refuses before TensorFlow starts, and a dry run in the same words."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from mammo_data.sources.open import load_cases, open_source
from mammo_data.splits import Split, patient_split
from search.cohort import holdout_split
from search.job import Job
from search.protocols.manifest import planned_manifest
from search.run_folder.lock import owned
from tests.conftest import ROOT
from tests.durability.test_machine_failures import disk, remount
from tests.support.tiny import tiny_config

# Types each command in one process that begins without TensorFlow; its answer says whether it still has none.
TYPIST = (
    "import contextlib, io, json, sys\n"
    "from search.cli.main import main\n"
    "answers = []\n"
    "for words in json.load(sys.stdin):\n"
    "    said = io.StringIO()\n"
    "    try:\n"
    "        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):\n"
    "            main(words)\n"
    "    except SystemExit as end:\n"
    "        answers.append([end.code or 0, said.getvalue()])\n"
    "started = sorted({'tensorflow', 'keras', 'keras_tuner'} & set(sys.modules))\n"
    "print(json.dumps({'answers': answers, 'started': started}))\n"
)


def typed_without_tensorflow(workspace, *commands):
    """(code, stderr) of each command."""
    answer = subprocess.run(
        [sys.executable, "-c", TYPIST],
        input=json.dumps(commands),
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(workspace / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["started"] == []
    return [tuple(each) for each in told["answers"]]


@pytest.fixture
def workspace(phantom, tmp_path):
    """Runs and split files of which each is a reason to refuse."""
    config = tiny_config(phantom, tmp_path)
    table = load_cases(open_source(phantom))
    split = holdout_split(config, table)
    hers = {case.patient_id for case in table.cases if case.label == "malignant"}
    splits = {
        "nobody_out": patient_split(table, test_fraction=0, folds=3),
        "no_objective": Split(
            split.test_patients, tuple(tuple(p for p in fold if p not in hers) for fold in split.folds), 0
        ),
    }
    for name, each in splits.items():
        each.write_csv(tmp_path / f"{name}.csv", table)
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    begun = Job(config, name="begun").directory
    begun.path.mkdir(parents=True)
    begun.write_manifest(planned_manifest(Job(config, name="begun"), table, split))
    ended = Job(config, name="ended").directory
    ended.path.mkdir()
    ended.write_manifest(planned_manifest(Job(config, name="ended"), table, split).but(status="complete"))
    linked = tmp_path / "runs" / "linked"
    linked.mkdir()
    (linked / "log.txt").symlink_to(tmp_path / "no.csv")
    (tmp_path / "runs" / "busy").mkdir()
    return tmp_path


REFUSED = {
    "a name": ("--name a/b", 2, "'a/b'"),
    "a split that is none": ("--split no.csv", 3, "no.csv"),
    "a split that is not there": ("--split nowhere.csv", 3, "nowhere.csv"),
    "a split of other patients": ("--split other.csv", 2, "to list the patients of the data"),
    "a split that holds nobody out": ("--split nobody_out.csv", 2, "to name test patients"),
    "a split of other folds": ("--split no_objective.csv --set split.folds=4", 2, "--set split.folds=3"),
    "labels that give no score": ("--split no_objective.csv", 3, "no malignant in fold 1"),
    "outer folds that are none": ("--protocol nested --split nobody_out.csv", 2, "split.outer_folds = 5"),
    "too few patients": ("--set split.folds=20 --set split.test_fraction=0.5", 3, "patients"),
    "weights that are not there": ("--weights no/such.npz", 3, "no/such.npz"),
    "a run that is complete": ("--name ended --resume", 1, "a complete one"),
    "a complete run of other settings": (
        "--name ended --seed 7",
        1,
        "for it is complete; found changes: search.seed 1 → 7",
    ),
    "a run that was started otherwise": ("--name begun --seed 7", 1, "search.seed 1 → 7"),
    "a run of another split": ("--name begun --set split.seed=5", 1, "was started with"),
    "no run to resume": ("--name new --resume", 1, "an unfinished run"),
    "links in the folder": ("--name linked", 1, "a link, log.txt"),
    "a run at work": ("--name busy", 1, "another one at work"),
}


def test_each_refusal_comes_before_tensorflow_and_in_a_dry_run_in_the_same_words(workspace, phantom):
    settings = tiny_config(phantom, workspace)
    from search.config.writing import to_toml

    (workspace / "tuner_config.toml").write_text(to_toml(settings))
    listed = (workspace / "nobody_out.csv").read_text().splitlines()
    (workspace / "other.csv").write_text("\n".join(listed[:-2]) + "\n")
    before = sorted(path for path in workspace.rglob("*") if "cache" not in path.parts)
    commands = [["run", *words.split()] for words, *_ in REFUSED.values()]
    with owned(workspace / "runs" / "busy"):
        answers = typed_without_tensorflow(
            workspace, *(each for words in commands for each in (words, [*words, "--dry-run"]))
        )
    for (name, (_, code, words)), run, dry in zip(REFUSED.items(), answers[::2], answers[1::2], strict=True):
        assert run[0] == code, (name, run)
        assert len(run[1].splitlines()) == 1, (name, run)
        assert words in run[1], (name, run)
        assert dry == run, name
    after = sorted(path for path in workspace.rglob("*") if "cache" not in path.parts)
    assert [path for path in after if path.name != ".lock"] == before


@pytest.mark.parametrize(
    ("folder", "setting"), [("results", "output.runs"), ("kept", "output.cache")], ids=["runs", "cache"]
)
def test_a_full_disk_and_one_for_reading_are_refused_before_tensorflow(workspace, phantom, folder, setting):
    words = ["run", "--data", str(phantom), "--weights", "random", "--set", f"{setting}={folder}/here"]
    both = [words, [*words, "--dry-run"]]
    with ExitStack() as stack:
        full = stack.enter_context(disk(workspace / folder, 16))
        (full / "all").write_bytes(bytes(12 * 1024))
        found = [typed_without_tensorflow(workspace, *both)]
        remount(full, "ro,size=64m")
        found.append(typed_without_tensorflow(workspace, *both))
    for (run, dry), reason in zip(found, ("No space left on device", "Read-only file system"), strict=True):
        assert run[0] == 1
        assert len(run[1].splitlines()) == 1, run
        assert reason in run[1]
        assert dry == run


def test_a_job_with_nothing_wrong_is_planned(workspace, phantom):
    (answer,) = typed_without_tensorflow(
        workspace, ["run", "--data", str(phantom), "--weights", "random", "--dry-run", "--quiet"]
    )
    assert answer == (0, "")


def test_fresh_deletes_nothing_where_the_new_run_is_refused(workspace, phantom):
    words = ["run", "--data", str(phantom), "--weights", "random", "--name", "ended", "--fresh", "--split", "no.csv"]
    (answer,) = typed_without_tensorflow(workspace, words)
    assert answer[0] == 3
    assert (workspace / "runs" / "ended" / "run.json").is_file()
