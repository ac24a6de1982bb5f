"""The package's face: what it names, it has, and having it costs nothing before it is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mammo_data


@pytest.mark.parametrize("name", mammo_data.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(mammo_data, name) is not None


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(mammo_data.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = [(line.module, alias.name) for line in block.body for alias in line.names]
    assert sorted(name for _, name in imported) == mammo_data.__all__
    homes = [(f"mammo_data.{home}", name) for home, names in mammo_data._HOMES.items() for name in names.split()]
    assert imported == homes, "in the same order, so that one who adds a name sees where"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        mammo_data.no_such_name  # noqa: B018
    assert set(dir(mammo_data)) == set(mammo_data.__all__)


def test_importing_it_loads_none_of_the_large_libraries() -> None:
    large = ("cv2", "h5py", "keras", "numpy", "pandas", "pydicom", "sklearn", "tensorflow")
    code = f"import mammo_data, sys; print(*(name for name in {large} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
