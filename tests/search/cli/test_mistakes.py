"""Mistakes that people make at every command: one line each, with what to do, and the right exit code."""

import os

import pytest

from tests.support.command_line import typed

USAGE, DATA, RUN = 2, 3, 1

MISTAKES = [
    # typed, exit code, words of the line
    ("nonsense", USAGE, ["No such command 'nonsense'", "mammo-search --help"]),
    ("--nonsense", USAGE, ["No such option: --nonsense", "mammo-search --help"]),
    ("data chek", USAGE, ["No such command 'chek'", "'check'", "mammo-search data --help"]),
    ("run --max-trail 3", USAGE, ["--max-trail", "--max-trials", "mammo-search run --help"]),
    ("run --data", USAGE, ["--data", "requires an argument"]),
    ("run extra", USAGE, ["extra", "mammo-search run --help"]),
    ("run --max-trials many", USAGE, ["--max-trials", "expected a whole number"]),
    ("run --max-trials 0", USAGE, ["--max-trials: search.max_trials", "at least 1; found 0"]),
    ("run --max-minutes nan", USAGE, ["--max-minutes", "finite"]),
    ("run --folds 9", USAGE, ["--folds: search.folds", "split.folds = 5"]),
    ("run --seed -1", USAGE, ["--seed"]),
    ("run --mode roy", USAGE, ["--mode: data.mode", "did you mean 'roi'?"]),
    ("run --backbone resnet", USAGE, ["--backbone: backbone.name", "bit-m-r50x1"]),
    ("run --resume --fresh", USAGE, ["--resume or --fresh"]),
    ("run --quiet --verbose", USAGE, ["--quiet or --verbose"]),
    ("run --set dropout", USAGE, ["KEY=VALUE", "dropout"]),
    ("run --set search.max_trials=", USAGE, ["KEY=VALUE"]),
    ("run --set dropout=1", USAGE, ["search.max_trials=40", "'dropout=1'"]),
    ("run --set search.max_trails=5", USAGE, ["--set: search.max_trails", "did you mean 'max_trials'?"]),
    ("run --set search.optimizer=sdg", USAGE, ["--set: search.optimizer", "did you mean 'sgd'?"]),
    ("run --set space.unfreeze_depth=[]", USAGE, ["--set: space.unfreeze_depth", "at least one"]),
    ("run --set space.unfreeze_depth=[99]", USAGE, ["--set: space.unfreeze_depth.0", "64"]),
    ("run --set space.dropout=0.5", USAGE, ["--set: space.dropout: expected a table; found 0.5"]),
    ("run --set space.dropout.max=1", USAGE, ["--set: space.dropout", "max < 1"]),
    ("run --set space.droput.max=1", USAGE, ["--set: space.droput: unknown key", "did you mean 'dropout'?"]),
    ("run --set serch.max_trials=1", USAGE, ["--set: serch: unknown key", "did you mean 'search'?"]),
    ("run --set search.max_epochs=abc", USAGE, ["--set: search.max_epochs", "a whole number", "'abc'"]),
    ("run --set search.max_trials=true", USAGE, ["--set: search.max_trials: expected a whole number; found true"]),
    ("run --set space.l2.max=true", USAGE, ["--set: space.l2.max: expected a number; found true"]),
    ("run --set search.max_epochs.x=1", USAGE, ["--set: search.max_epochs: expected a table"]),
    ("run --set search=1", USAGE, ["--set search.max_trials=40", "'search=1'"]),
    ("run --set =1", USAGE, ["--set KEY=VALUE", "'=1'"]),
    ("run --max-trials 3 --set search.max_trials=4", USAGE, ["--max-trials", "--set", "Leave one out"]),
    ("run --config none.toml", USAGE, ["none.toml", "--config"]),
    ("run --config folder", USAGE, ["folder", "--config"]),
    ("run --config broken.toml", USAGE, ["broken.toml:2", "TOML"]),
    ("run --config misspelt.toml", USAGE, ["misspelt.toml:2: search.max_trails", "'max_trials'"]),
    ("run --config binary.npz", USAGE, ["binary.npz", "UTF-8"]),
    ("run", DATA, ["data/images", "data fetch", "--demo"]),
    ("run --data nowhere", DATA, ["nowhere", "data fetch"]),
    ("run --data folder", DATA, ["nothing of the kind in folder", "Info.txt", "data fetch"]),
    ("run --data text.txt", DATA, ["text.txt"]),
    ("run --data damaged.tar.gz", DATA, ["damaged.tar.gz", "again"]),
    ("run --data PHANTOM --info nowhere.txt", DATA, ["nowhere.txt"]),
    ("run --data PHANTOM --name ../up", USAGE, ["'../up'", "--name"]),
    ("run --data PHANTOM --name=", USAGE, ["''", "--name"]),
    ("run --data PHANTOM --name other", RUN, ["runs/other", "without run.json", "--name"]),
    ("run --data PHANTOM --name damaged", RUN, ["runs/damaged/run.json"]),
    ("run --data PHANTOM --name new --resume", RUN, ["runs/new", "--resume"]),
    ("run --data PHANTOM --set output.runs=text.txt", RUN, ["text.txt", "output.runs"]),
    ("run --data PHANTOM --set space.unfreeze_depth=[40]", USAGE, ["space.unfreeze_depth", "17"]),
    ("init text.txt", USAGE, ["text.txt", "--force"]),
    ("init nowhere/c.toml", USAGE, ["nowhere"]),
    ("init --from nobody", RUN, ["'nobody'"]),
    ("init --from damaged c.toml", RUN, ["runs/damaged/run.json"]),
    ("data check nowhere", DATA, ["nowhere"]),
    ("data check folder", DATA, ["Info.txt"]),
    ("data preview nowhere", DATA, ["nowhere"]),
    ("data preview PHANTOM --image nobody", DATA, ["'nobody'"]),
    ("data preview PHANTOM --side 1", USAGE, ["--side", "32"]),
    ("data phantom", USAGE, ["Missing argument", "mammo-search data phantom --help"]),
    ("data phantom text.txt", RUN, ["text.txt"]),
    ("data phantom runs", DATA, ["runs"]),
    ("data phantom new --patients 0", USAGE, ["--patients"]),
    ("data audit --data nowhere", DATA, ["nowhere"]),
    ("data audit --mode x", USAGE, ["--mode: data.mode"]),
    ("data audit --set data.mode=x", USAGE, ["--set: data.mode"]),
    ("data fetch --timeout soon", USAGE, ["--timeout"]),
    ("weights verify --backbone nobody", USAGE, ["'nobody'", "bit-m-r50x1"]),
    ("weights fetch none.npz", DATA, ["none.npz", "--demo"]),
    ("status nobody", RUN, ["'nobody'"]),
    ("trials nobody", RUN, ["'nobody'"]),
    ("trials --sort size", USAGE, ["--sort", "objective"]),
    ("trials --best 0", USAGE, ["--best"]),
    ("run --demo --dry-run --name a/b", USAGE, ["--name", "'a/b'"]),
    ("run --demo --data films", USAGE, ["--demo or --data", "both"]),
    ("data audit --demo --data films", USAGE, ["--demo or --data", "both"]),
    ("tensorboard nobody", RUN, ["'nobody'"]),
    ("tensorboard --port 70000", USAGE, ["--port", "65535"]),
    ("report nobody", RUN, ["'nobody'"]),
    ("export", USAGE, ["Missing argument", "mammo-search export --help"]),
    ("export nobody", RUN, ["'nobody'"]),
    ("export nobody --format tflite", USAGE, ["--format", "savedmodel"]),
    ("evaluate nobody", RUN, ["'nobody'"]),
    ("evaluate nobody --leave-out-known", USAGE, ["--data"]),
    ("evaluate none.keras", RUN, ["none.keras"]),
    ("predict nobody", USAGE, ["Missing argument", "mammo-search predict --help"]),
    ("predict nobody text.txt", RUN, ["'nobody'"]),
    ("predict none.keras text.txt", RUN, ["none.keras"]),
    ("predict text.txt text.txt", RUN, ["a run or a .keras file", "text.txt"]),
    ("predict nobody text.txt --format xml", USAGE, ["--format", "jsonl"]),
]  # fmt: skip


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "damaged.tar.gz").write_bytes(b"nonsense")
    (tmp_path / "binary.npz").write_bytes(b"PK\x03\x04\xff\xfe")
    (tmp_path / "broken.toml").write_text("[search]\nmax_trials =\n")
    (tmp_path / "misspelt.toml").write_text("[search]\nmax_trails = 3\n")
    for name, content in (("other/notes.txt", "mine"), ("damaged/run.json", "{")):
        (tmp_path / "runs" / name).parent.mkdir(parents=True)
        (tmp_path / "runs" / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(("line", "code", "words"), MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_a_mistake_is_one_line_that_says_what_to_do(workspace, phantom, capsys, line, code, words):
    before = sorted(workspace.rglob("*"))
    answer = typed(capsys, *line.replace("PHANTOM", str(phantom)).split(" "))
    assert answer.code == code, answer.err
    (said,) = answer.error_lines
    assert said.startswith("mammo-search: ")
    for word in words:
        assert word in said
    assert not answer.out
    assert sorted(path for path in workspace.rglob("*") if "cache" not in path.parts) == before


# A plan is shown for films that are still to be fetched.
WITHOUT_FILMS = {"run", "run --data nowhere"}


@pytest.mark.parametrize(
    "line", [line for line, *_ in MISTAKES if line.split()[0] == "run" and "--dry-run" not in line]
)
def test_a_dry_run_says_the_same_of_each_mistake(workspace, phantom, capsys, line):
    first, *words = line.replace("PHANTOM", str(phantom)).split(" ")
    plan, run = typed(capsys, first, "--dry-run", *words), typed(capsys, first, *words)
    if line in WITHOUT_FILMS:
        (said,) = run.error_lines
        assert plan.code == 0
        assert said.removeprefix("mammo-search: ") in plan.out
    else:
        assert (plan.code, plan.err) == (run.code, run.err)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize(
    ("line", "mode", "code"),
    [
        ("init sealed/c.toml", 0o500, RUN),
        ("run --data PHANTOM --set output.runs=sealed/runs", 0o500, RUN),
        ("data phantom sealed/phantom", 0o500, RUN),
        ("run --data sealed", 0o000, DATA),
        ("data check sealed", 0o000, DATA),
    ],
)
def test_a_folder_without_permission_is_one_line(workspace, phantom, capsys, line, mode, code):
    (workspace / "sealed").mkdir(mode=mode)
    answer = typed(capsys, *line.replace("PHANTOM", str(phantom)).split(" "))
    assert answer.code == code
    (said,) = answer.error_lines
    assert "sealed" in said
    assert "ermission" in said


def test_a_run_at_work_is_left_alone(workspace, phantom, capsys):
    from search.run_folder.directory import open_run_directory
    from search.run_folder.lock import owned

    with owned(open_run_directory(workspace / "runs", "busy").path):
        answer = typed(capsys, "run", "--data", phantom, "--name", "busy")
    assert answer.code == RUN
    (said,) = answer.error_lines
    assert "another one at work" in said


@pytest.mark.parametrize("words", [["--debug", "run"], ["run", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(workspace, capsys, words):
    from mammo_data.errors import DataError
    from search.cli.main import main

    with pytest.raises(DataError):
        main(words)


def test_an_answer_comes_where_the_terminal_lacks_its_signs(workspace):
    import subprocess
    import sys

    from tests.conftest import ROOT

    answer = subprocess.run(
        [sys.executable, "-m", "search", "run", "--dry-run"],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    assert b"15 ? 4 epochs ? 5 ? 10 epochs" in answer.stdout
