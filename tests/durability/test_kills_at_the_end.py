"""SIGKILL in the final stage, in the last search of a nested run and in exports, twenty times each: nothing that was
done is done again, and the held-out patients are read once."""

import json
import re
import shutil

import numpy as np
import pytest

from search.run_folder.directory import RunDirectory
from search.run_folder.ledger import LEDGER, LEDGER_COPY
from tests.durability.test_kills_everywhere import assert_same, make_workspace
from tests.search.protocols.test_nested_job import NESTED

KILLS = 20
ONE_DEPTH = {"space__unfreeze_depth": [1], "search__max_trials": 2}
UNFINISHED = re.compile(r"-[a-z0-9_]{8}\.part.*")


def run_folder(workspace, name):
    return RunDirectory(workspace / "runs" / name)


def done(directory):
    """Everything that is kept so that it need not be done again: each file as it was written, and no other one."""
    kept = ("final/*.npz", "in_flight/*/*.npz", "oof/*.npz", "outer-*/best/**/*.*")
    files = [path for pattern in kept for path in directory.path.glob(pattern) if not path.name.startswith(".")]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files if path.is_file()}


def places(attempt, name, since):
    """Where an uninterrupted run wrote from a place on, for the first time: each a part of a path."""
    writes = [write.partition(" ")[2] for write in attempt.writes]
    begun = next(number for number, path in enumerate(writes) if since in path)
    found = [[UNFINISHED.sub("-", path) for path in part] for part in (writes[:begun], writes[begun:])]
    files = [path.partition("/runs/")[2] for path in dict.fromkeys(found[1]) if path not in found[0]]
    return [path for path in files if path.endswith("-") or path.endswith(LEDGER) or path.endswith(LEDGER_COPY)]


def spread(among, needed, count):
    """So many, the needed ones and others from the first to the last, in their order."""
    others = [place for place in among if place not in needed]
    chosen = {others[at] for at in np.linspace(0, len(others) - 1, max(count - len(needed), 0)).round().astype(int)}
    return [place for place in among if place in chosen or place in needed]


def survive(server, workspace, name, where):
    """Type the same command again and again, killed at one place after the other, and once to the end."""
    directory, before = run_folder(workspace, name), {}
    attempts = []
    for place in where:
        attempt = server.run(workspace, "run", "--name", name, kill_in=place)
        assert attempt.code == -9, f"{place}: {attempt.messages}"
        now = done(directory)
        again = [path for path in before if now.get(path, before[path]) != before[path]]
        assert not again, f"done again before {place}"
        assert not [path for path in before.keys() - now.keys() if path.parent.name in ("final", "oof", "best")]
        before = now
        attempts.append(attempt)
        print(f"{place}: {len(now)} files kept", flush=True)
    last = server.run(workspace, "run", "--name", name)
    assert last.code == 0, last.messages
    assert not directory.final_parts.exists()
    return [*attempts, last]


def ledger(workspace):
    files = [
        [json.loads(line) for line in (workspace / "runs" / name).read_text().splitlines()]
        for name in (LEDGER, LEDGER_COPY)
    ]
    assert files[0] == files[1]
    return files[0]


def metrics(directory):
    found = json.loads((directory.best / "metrics.json").read_text())
    found.pop("nested_seconds", None)
    return found


def assert_same_end(directory, expected):
    assert_same(directory, expected, evaluated=True)
    assert metrics(directory) == metrics(expected)
    for name in ("predictions_corrected.csv", "predictions_ensemble.csv", "audit.json"):
        assert (expected.best / name).is_file() == (directory.best / name).is_file()
        if (expected.best / name).is_file():
            assert (directory.best / name).read_bytes() == (expected.best / name).read_bytes()
    overlays = [sorted(path.name for path in (run.figures / "localisation").glob("*")) for run in (directory, expected)]
    assert overlays[0] == overlays[1]


@pytest.fixture(scope="module")
def whole(server, phantom, tmp_path_factory):
    """A workspace with an uninterrupted run, and where that wrote."""
    workspace = make_workspace(phantom, tmp_path_factory.mktemp("whole"), **ONE_DEPTH)
    attempt = server.run(workspace, "run", "--name", "whole")
    assert attempt.code == 0, attempt.messages
    return workspace, attempt


@pytest.mark.slow
def test_twenty_kills_in_the_final_stage_are_one_reading_and_nothing_is_trained_twice(server, whole, phantom, tmp_path):
    among = places(whole[1], "whole", "whole/final/")
    parts = [place for place in among if "/final/" in place or LEDGER in place]
    where = [place.replace("whole/", "killed/") for place in spread(among, parts, KILLS)]
    assert len(where) >= KILLS
    workspace = make_workspace(phantom, tmp_path / "killed", **ONE_DEPTH)
    attempts = survive(server, workspace, "killed", where)
    expected, directory = run_folder(whole[0], "whole"), run_folder(workspace, "killed")
    assert_same_end(directory, expected)
    (reading,) = ledger(workspace)
    model = directory.read_manifest().outputs[directory.model_file.name]
    assert (reading["command"], reading["counted"], reading["models"][0]) == ("run", True, model)
    # Beside the exported one the second seed's, two folds' and the baselines': the uninterrupted run has the same.
    assert reading["models"][1:] == ledger(whole[0])[0]["models"][1:]
    assert len(reading["models"]) == 4 + 4
    assert metrics(directory)["holdout_readings"] == 1
    probe = ["probe-fold-1", "probe-fold-2", "probe", "by-patients"]
    fixed = ["fixed-fold-1", "fixed-fold-2", "fixed-model-1", "fixed-model-2"]
    rest = ["fold-1", "fold-2", "held-out", "localisation", "audit"]
    names = ["model-1", "model-2", "exported", *probe, *fixed, *rest]
    assert f"kept from before the interruption: {', '.join(names)}" in attempts[-1].messages
    print(f"{len(where)} kills")


@pytest.mark.slow
def test_begun_anew_a_run_reads_once_more(server, whole):
    workspace, _ = whole
    before = ledger(workspace)
    again = server.run(workspace, "run", "--name", "whole", "--fresh")
    assert again.code == 0, again.messages
    first, second = ledger(workspace)
    assert [first] == before
    assert second["began"] > first["began"]
    assert second["models"][1:] == first["models"][1:]
    assert metrics(run_folder(workspace, "whole"))["holdout_readings"] == 2


@pytest.mark.slow
def test_twenty_kills_in_the_last_search_of_a_nested_run_change_nothing(server, phantom, tmp_path):
    settings = NESTED | {"search__max_trials": 4, "search__max_epochs": 3, "space__unfreeze_depth": [1]}
    workspaces = [make_workspace(phantom, tmp_path / name, **settings) for name in ("whole", "killed")]
    whole = server.run(workspaces[0], "run", "--name", "whole")
    assert whole.code == 0, whole.messages
    among = [place for place in places(whole, "whole", "whole/in_flight") if "outer-" not in place]
    parts = [place for place in among if "/final/" in place]
    where = [place.replace("whole/", "killed/") for place in spread(among, parts, KILLS)]
    assert len(where) >= KILLS
    survive(server, workspaces[1], "killed", where)
    directory, expected = (run_folder(*each) for each in zip(reversed(workspaces), ("killed", "whole"), strict=True))
    for one, other in ((directory.outer(0), expected.outer(0)), (directory.outer(1), expected.outer(1))):
        assert_same_end(one, other)
    assert_same_end(directory, expected)
    assert [entry["run"] for entry in ledger(workspaces[1])] == ["killed/outer-1", "killed/outer-2"]
    print(f"{len(where)} kills")


@pytest.mark.slow
def test_twenty_kills_in_exports_leave_the_run_as_it_was(server, whole):
    workspace, _ = whole
    directory = run_folder(workspace, "whole")
    outputs, lines, kills = directory.read_manifest().outputs, ledger(workspace), 0
    exports = {}
    for kind in ("keras", "savedmodel"):
        target = directory.model_file.with_suffix(f".{kind}")
        where = ("--out", workspace / "copy.keras") if kind == "keras" else ()
        command = ("export", "whole", "--model", "single", "--format", kind, *map(str, where))
        attempt = server.run(workspace, *command)
        assert attempt.code == 0, attempt.messages
        exports[kind] = contents(workspace / "copy.keras" if where else target)
        for path in (workspace / "copy.keras", target):
            if path != directory.model_file:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for number in range(1, len(attempt.writes) + 1):
            killed = server.run(workspace, *command, kill_at=number)
            assert killed.code in (-9, 0), killed.messages  # over an export that is there it has less to write
            kills += killed.code == -9
            assert directory.checksums()["outputs"].items() >= outputs.items(), f"{kind}, write {number}"
        last = server.run(workspace, *command)
        assert last.code == 0, last.messages
        assert contents(workspace / "copy.keras" if where else target) == exports[kind]
        assert not [path for path in directory.path.rglob(".*") if ".part" in path.name], "what killed ones have left"
        print(f"{kind}: {kills} kills", flush=True)
    assert exports["keras"] == directory.model_file.read_bytes()
    assert ledger(workspace) == lines
    assert not [path for path in directory.path.iterdir() if path.name in ("final", "in_flight")]
    print(f"{kills} kills")
    assert kills >= KILLS


@pytest.mark.slow
def test_kills_in_the_export_of_a_mean_leave_no_half_file_and_train_no_model_twice(server, whole):
    workspace, _ = whole
    directory, target = run_folder(workspace, "whole"), workspace / "seeds.keras"
    outputs, lines = directory.checksums()["outputs"], ledger(workspace)
    command = ("export", "whole", "--model", "seeds", "--out", str(target))
    uninterrupted = server.run(workspace, *command)
    assert uninterrupted.code == 0, uninterrupted.messages
    expected = contents(target), target.with_name("seeds.keras.json").read_bytes()
    for path in workspace.glob("seeds.keras*"):
        path.unlink()
    for place in ("/.model-1-", "/.model-2-", "/.fold-1-seed-2-", "/.fold-2-seed-2-", "/.seeds-"):
        killed = server.run(workspace, *command, kill_in=place)
        assert killed.code == -9, f"{place}: {killed.messages}"
        assert not target.exists(), place
        assert directory.checksums()["outputs"] == outputs
    last = server.run(workspace, *command)
    assert last.code == 0, last.messages
    kept = "model-1, model-2, fold-1-seed-2, fold-2-seed-2"
    assert f"kept from before the interruption: {kept}" in " ".join(last.messages.split())
    assert (contents(target), target.with_name("seeds.keras.json").read_bytes()) == expected
    assert ledger(workspace) == lines


def contents(export):
    """The bytes of a file; of a SavedModel the names and values of its variables, whose order is another each time."""
    if export.is_file():
        return export.read_bytes()
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(export / "variables" / "variables"))
    names = sorted(name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE"))
    return names, sorted(reader.get_tensor(name).tobytes() for name in names)
