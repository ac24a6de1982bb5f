"""SavedModels that mean harm, as folders and as archives: one line or the right arrays, and nothing ever runs."""

import os
import re
import subprocess
import sys
import tarfile

import pytest

from search.bit.weights import fingerprint_of
from tests.conftest import ROOT
from tests.support.bit_stand_in import write_archive
from tests.support.hostile_models import CHECKPOINTS, PROGRAMS, SAME, write_program
from tests.support.watched import WATCHED, read_watched

FORMS = ("folder", "archive")
EXPECTED = dict.fromkeys(PROGRAMS, SAME) | {name: said for name, (_, said) in CHECKPOINTS.items()}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Name and form to path."""
    folder = tmp_path_factory.mktemp("hostile")
    found = {}
    for place, name in enumerate(EXPECTED):
        path = folder / f"model{place}"
        if name in PROGRAMS:
            write_program(path, name, folder / "victim")
        else:
            CHECKPOINTS[name][0](path)
        found[name, "folder"] = path
        found[name, "archive"] = write_archive(folder / f"model{place}.tar.gz", path)
    return found


@pytest.fixture(scope="module")
def outcome(models, tmp_path_factory):
    folder = models[PROGRAMS[0], "folder"].parent
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    found = read_watched(models.values(), tmp_path_factory.mktemp("watched") / "temporary")
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
    return found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_hostile_model_gives_one_line_or_its_arrays(name, form, models, outcome, tiny_arrays):
    kind, text, verification = outcome["answers"][str(models[name, form])]
    expected = EXPECTED[name]
    assert "\n" not in text
    if expected == SAME:
        assert (kind, text) == ("weights", fingerprint_of(tiny_arrays))
    elif "genuine" in expected:
        assert kind == "weights"
        assert re.search(expected, verification)
    else:
        assert kind == "line", text
        assert re.search(expected, text)
        assert "--weights" in text


def test_nothing_is_run_written_or_left(models, outcome):
    assert outcome["seen"] == []
    assert outcome["left"] == []
    assert not (models[PROGRAMS[0], "folder"].parent / "victim").exists()
    assert outcome["peak_kib"] < 100 * 1024


def test_the_watch_would_see_tensorflow():
    script = WATCHED.replace("answers, before", "import tensorflow; answers, before", 1)
    answer = subprocess.run(
        [sys.executable, "-c", script],
        input="[]",
        env={**os.environ, "TMPDIR": "/", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "tensorflow is imported" in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["hidden function", "DebugIdentity"])
def test_the_programs_would_write_if_tensorflow_opened_and_called_them(kind, tmp_path):
    import tensorflow as tf

    folder = write_program(tmp_path / "model", kind, tmp_path / "victim")
    tf.saved_model.load(str(folder))(tf.zeros((1, 8, 8, 3)))
    assert (tmp_path / "victim").exists()


def test_a_packed_link_is_a_link(models):
    """The archives carry what the folders have, and not what links point at."""
    with tarfile.open(models["index behind a link", "archive"]) as archive:
        assert archive.getmember("./variables/variables.index").issym()
