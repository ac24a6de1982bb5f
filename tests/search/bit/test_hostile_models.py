"""SavedModels that mean harm, as folders and as archives: one line or the right arrays, and nothing ever runs."""

import json
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

FORMS = ("folder", "archive")
EXPECTED = dict.fromkeys(PROGRAMS, SAME) | {name: said for name, (_, said) in CHECKPOINTS.items()}

# One process reads them all. It has no TensorFlow to load a graph with, and is watched from its first file on.
WATCHED = """
import json, os, sys
sys.path.insert(0, {root!r})
import google_crc32c
from pathlib import Path
from search.bit.carried import load_weights
from search.errors import WeightsError
from tests.support.bit_stand_in import TINY, stand_in_arrays
published = {{name: google_crc32c.value(a.tobytes()) for name, a in stand_in_arrays(TINY).items()}}
temporary, paths, seen = os.environ["TMPDIR"], json.load(sys.stdin), []

def watch(event, arguments):
    if event == "import" and arguments[0].split(".")[0] in ("tensorflow", "keras", "tf_keras", "tensorflow_hub"):
        raise SystemExit(f"{{arguments[0]}} is imported")
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if not str(arguments[0]).startswith(temporary):
            seen.append(f"{{event}} {{arguments[0]}}")
    if event in ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pickle.find_class"):
        seen.append(event)

sys.addaudithook(watch)

def peak_kib():
    # The greatest of this program; getrusage's is that of the process that it was started from as well.
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

answers, before = {{}}, peak_kib()
for path in paths:
    try:
        weights = load_weights(Path(path), TINY, published)
        answers[path] = ["weights", weights.fingerprint, weights.verification]
    except WeightsError as error:
        answers[path] = ["line", str(error), ""]
    except BaseException as error:
        answers[path] = ["raw", repr(error), ""]
left = os.listdir(temporary)
print(json.dumps(dict(answers=answers, seen=seen, left=left, peak_kib=peak_kib() - before)))
"""


def read_watched(paths, temporary) -> dict:
    """What comes of reading each, in a process that is watched."""
    temporary.mkdir()
    answer = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED.format(root=str(ROOT))],
        input=json.dumps([str(path) for path in paths]),
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


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
    assert outcome["peak_kib"] < 200 * 1024


def test_the_watch_would_see_tensorflow():
    script = WATCHED.format(root=str(ROOT)).replace("answers, before", "import tensorflow; answers, before", 1)
    answer = subprocess.run(
        [sys.executable, "-c", script], input="[]", env={**os.environ, "TMPDIR": "/"}, capture_output=True, text=True
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
