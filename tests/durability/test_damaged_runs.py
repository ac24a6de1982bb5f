"""A run that was killed and then damaged, file by file and in three ways, resumed by the real command line.

What comes of it is the result of the run that was never interrupted, or one line; the table of all is printed.
"""

import shutil

import pytest

from search.run_folder.directory import RunDirectory
from tests.durability.test_kills_everywhere import assert_same, make_workspace
from tests.support.damage import DAMAGES

IN_SEARCH = (
    "run.json",
    ".run.json.copy",
    "run.json and its copy",
    "config.toml",
    "split.csv",
    "trials.jsonl",
    "oof/*.npz",
    "in_flight/*/*.npz",
    "checkpoints/*/*.safetensors",
    "search/oracle.json",
    "search/trial_*/trial.json",
    "search/tuner0.json",
    ".session.json",
    ".lock",
    "log.txt",
    "tensorboard/**/events*",
    "../../cache/prepared/*/images.npy",
    "../../cache/prepared/*/manifest.json",
    "../../cache/banks/*/values.npy",
    "../../cache/banks/*/bank.json",
)
AT_THE_END = (
    "final/*.npz",
    "best/*.keras",
    "best/*.json",
    "best/*.csv",
    "best/figures/localisation/*.png",
    "../holdout_ledger.jsonl",
    "../.holdout_ledger.jsonl.copy",
)


@pytest.fixture(scope="module")
def whole(server, phantom, tmp_path_factory):
    folder = make_workspace(phantom, tmp_path_factory.mktemp("whole"))
    attempt = server.run(folder, "run", "--name", "mine")
    assert attempt.code == 0, attempt.messages
    return RunDirectory(folder / "runs" / "mine")


@pytest.fixture(scope="module")
def killed(server, phantom, tmp_path_factory):
    """Two workspaces: killed in the second fold of a promoted run, and among the figures, which follow metrics.json."""
    workspaces = {}
    # In the second fold of the promoted run: the first one is finished, and the parent's state is kept.
    moments = {"in the search": ("oof/.0002", "in_flight/0003/.fold-1"), "at the end": ("figures/.class_metrics",)}
    for name, places in moments.items():
        folder = make_workspace(phantom, tmp_path_factory.mktemp("killed"))
        for place in places:
            attempt = server.run(folder, "run", "--name", "mine", kill_in=place)
            assert attempt.code == -9, attempt.messages
        workspaces[name] = folder
    return workspaces


def damaged_copy(workspace, target, pattern, damage):
    """A copy of a workspace under the same absolute paths' settings, with all files of a pattern damaged."""
    shutil.copytree(workspace, target)
    settings = (target / "tuner_config.toml").read_text()
    (target / "tuner_config.toml").write_text(settings.replace(str(workspace), str(target)))
    run = target / "runs" / "mine"
    patterns = ("run.json", ".run.json.copy") if pattern == "run.json and its copy" else (pattern,)
    files = [file for each in patterns for file in sorted(run.glob(each)) if file.is_file()]
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    return files


def outcome(server, workspace, expected):
    attempt = server.run(workspace, "run", "--name", "mine")
    if attempt.code == 0:
        assert_same(RunDirectory(workspace / "runs" / "mine"), expected, evaluated=True)
        return "the same result"
    (line,) = [line for line in attempt.messages.splitlines() if line.startswith("mammo-search: ")]
    assert "unexpected" not in line
    assert "Traceback" not in attempt.messages
    return line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "pattern"),
    [*(("in the search", each) for each in IN_SEARCH), *(("at the end", each) for each in AT_THE_END)],
)
def test_a_damaged_run_ends_in_the_same_result_or_one_line(server, whole, killed, tmp_path, moment, pattern):
    for damage in DAMAGES:
        workspace = tmp_path / damage.__name__
        files = damaged_copy(killed[moment], workspace, pattern, damage)
        found = outcome(server, workspace, whole) if files else "no such file at that moment"
        print(f"{moment} | {pattern} | {damage.__name__} | {len(files)} | {found.replace(str(workspace), '')}")
        shutil.rmtree(workspace)
