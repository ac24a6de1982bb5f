"""What a shell, a notebook or a container passes on changes no result and ends no command unexpectedly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.support.slow import slow

SETTLED = """
from search.machine.environment import settle_environment
from search.machine.libraries import start_tensorflow
settle_environment()
start_tensorflow(deterministic=False)
import keras, matplotlib
print(keras.config.backend(), keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
print(keras.layers.Conv2D(3, 1)(keras.ops.ones((1, 4, 5, 6))).shape, matplotlib.get_backend())
"""
KERAS_JSON = '{"floatx": "float16", "epsilon": 1e-3, "backend": "torch", "image_data_format": "channels_first"}'


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of sh in which M is the program; without HOME unless it is given."""
    known = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    known |= {"M": f"{sys.executable} -m search", "PYTHONPATH": str(Path(__file__).parents[3])} | environment
    return subprocess.run(line, shell=True, cwd=cwd, env=known, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_settings_of_other_projects_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(KERAS_JSON)
    others = {"KERAS_BACKEND": "jax", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    others |= {"TF_XLA_FLAGS": "--another", "TF_USE_LEGACY_KERAS": "1"}
    found = shell(f"{sys.executable} -c '{SETTLED}'", tmp_path, HOME=str(tmp_path), **others)
    backend, shape = found.stdout.splitlines()[-2:]
    assert backend == "tensorflow float32 1e-07 channels_last"
    assert shape.lower() == "(1, 4, 5, 3) agg"


def test_a_library_that_can_t_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('libcudart.so: cannot open shared object file')")
    found = shell("$M doctor", tmp_path, HOME=str(tmp_path), PYTHONPATH=f"{tmp_path}:{Path(__file__).parents[3]}")
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith("mammo-search: Expected TensorFlow to load; found libcudart.so")


def test_limits_that_opencv_was_given_for_others_are_not_ours(phantom: Path, tmp_path: Path) -> None:
    for name in ("mdb001", "mdb003"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), cv2.imread(str(phantom / f"{name}.pgm"), cv2.IMREAD_GRAYSCALE))
    (tmp_path / "cases.csv").write_text("image,patient,label\nmdb001.png,p,N\nmdb003.png,q,M\n")
    found = shell("$M data check .", tmp_path, HOME=str(tmp_path), OPENCV_IO_MAX_IMAGE_PIXELS="99")
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_take_no_file_and_change_no_exit_code(streams: str, phantom: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in phantom.iterdir()}
    found = shell(f"$M data phantom new --patients 1 --image-size 64 {streams}; echo $?", tmp_path, HOME=str(tmp_path))
    assert found.stdout.splitlines()[-1] == "0"
    assert "unexpected" not in found.stderr
    assert len(list((tmp_path / "new").glob("*.pgm"))) == 2
    assert before == {path: path.read_bytes() for path in phantom.iterdir()}


def test_a_reader_that_has_read_enough_is_told_nothing(tmp_path: Path) -> None:
    found = shell("$M --help | true", tmp_path, HOME=str(tmp_path))
    assert found.stderr == ""


@pytest.mark.parametrize("home", [{}, *slow({"HOME": "/"}, {"HOME": "relative"})])
def test_no_home_folder_is_said_once_and_ends_nothing(home: dict[str, str], tmp_path: Path) -> None:
    # An id that no passwd entry has; where that is not allowed, the one that runs the tests.
    line = "unshare -U --map-user=12345 true 2>/dev/null && U='unshare -U --map-user=12345'; $U $M data check absent"
    found = shell(line, tmp_path, **home)
    assert "unexpected" not in found.stderr
    assert found.stderr.splitlines()[-1].startswith("mammo-search: Expected a folder of mdb001.pgm")
    if home.get("HOME") == "relative":
        assert "no home folder is known; weights and prepared images are kept in" in found.stderr
    assert "home folder" not in shell("$M data check absent", tmp_path, HOME=str(tmp_path)).stderr


@pytest.mark.parametrize(
    ("kilobytes", "works"), [(1_000_000, True), (600_000, True), (300_000, False), (100_000, False)]
)
def test_what_needs_no_tensorflow_works_in_little_address_space(
    kilobytes: int, works: bool, phantom: Path, tmp_path: Path
) -> None:
    line = (
        f"ulimit -v {kilobytes}; $M --help >/dev/null && $M data check {phantom} >&2; echo $?; $M status >&2; echo $?"
    )
    found = shell(line, tmp_path, HOME=str(tmp_path))
    # The phantom has one finding without a place, which is a note.
    assert found.stdout.split() == (["0", "0"] if works else ["1", "0" if kilobytes > 200_000 else "1"])
    said = [text for text in found.stderr.splitlines() if text.startswith("mammo-search: ")]
    assert all(("address space" in text) != works for text in said), said
    assert len(said) == (1 if kilobytes > 200_000 else 2)


@pytest.mark.parametrize("kilobytes", [1_000_000, 2_500_000, 3_100_000])
def test_little_address_space_is_named_with_its_remedy(kilobytes: int, tmp_path: Path) -> None:
    found = shell(f"ulimit -v {kilobytes}; OPENBLAS_NUM_THREADS=1 $M doctor", tmp_path, HOME=str(tmp_path))
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith("mammo-search: Expected ")
    assert "unexpected" not in line
    assert "ulimit" in line
