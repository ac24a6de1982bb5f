"""The face of search.bit: what it names, it has, and having it costs nothing before it is asked for."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from search import bit


@pytest.mark.parametrize("name", bit.__all__)
def test_every_public_name_is_there(name):
    assert getattr(bit, name) is not None


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(bit.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = [(line.module, alias.name) for line in block.body for alias in line.names]
    homes = [(f"search.bit.{home}", name) for home, names in bit._HOMES.items() for name in names.split()]
    assert imported == homes, "in the same order, so that one who adds a name sees where"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        bit.no_such_name  # noqa: B018
    assert set(dir(bit)) == set(bit.__all__)


def test_architectures_and_stored_weights_need_neither_keras_nor_tensorflow():
    code = (
        "import sys, search.bit as bit\n"
        "assert 'numpy' not in sys.modules\n"
        "bit.SMALL, bit.FAMILY, bit.random_weights, bit.resolve_weights, bit.read_stored\n"
        "print(*(name for name in ('keras', 'tensorflow') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_readme_s_example_runs_with_the_small_backbone():
    (code,) = re.findall(r"```python\n(.*?)```", (Path(bit.__file__).parent / "README.md").read_text(), re.DOTALL)
    for large, small in (
        ('architecture_of("bit-m-r50x1")', 'architecture_of("bit-small")'),
        ('backbone_weights("bit-m-r50x1", "tf-hub")', 'backbone_weights("bit-small", "random")'),
    ):
        assert large in code
        code = code.replace(large, small)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["features"].shape == (1, bit.SMALL.n_features)
