"""The packages' faces: what they name, they have, and having it costs nothing before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

FACES = ("mammo_data", "reports", "search.bit")
LARGE = ("cv2", "h5py", "jinja2", "keras", "matplotlib", "numpy", "pandas", "pydicom", "sklearn", "tensorflow")


def loaded_by(program: str) -> list[str]:
    """The large libraries that a program has loaded at its end."""
    program += f"\nimport sys; print(*(name for name in {LARGE} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(("face", "name"), [(face, name) for face in FACES for name in import_module(face).__all__])
def test_every_public_name_is_there(face, name):
    assert getattr(import_module(face), name) is not None
    assert name in dir(import_module(face))


@pytest.mark.parametrize("face", FACES)
def test_a_name_that_is_not_there_is_said_as_of_any_module(face):
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(import_module(face), "no_such_name")  # noqa: B009


@pytest.mark.parametrize("face", FACES)
def test_importing_a_face_loads_none_of_the_large_libraries(face):
    assert loaded_by(f"import {face}") == []


def test_words_and_errors_of_the_screen_come_without_numpy():
    assert loaded_by("from reports import ReportError, TrialRecord, duration, interval_text, ranked") == []


def test_architectures_and_stored_weights_need_neither_keras_nor_tensorflow():
    names = "SMALL, FAMILY, random_weights, resolve_weights, read_stored"
    assert not {"keras", "tensorflow"} & set(loaded_by(f"from search.bit import {names}"))
