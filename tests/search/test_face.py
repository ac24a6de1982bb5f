"""What `search` offers from outside."""

import subprocess
import sys

import search
from tests.conftest import ROOT


def test_every_public_name_is_there_and_comes_from_where_it_is_made(tensorflow_started):
    homes = {name: getattr(search, name).__module__ for name in search.__all__ if name != "__version__"}
    assert homes == search._HOME
    assert set(dir(search)) == set(search.__all__)
    assert not hasattr(search, "nothing_of_the_kind")


def test_the_package_alone_loads_nothing_heavy():
    program = "import sys, search; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "numpy", "pandas", "pydantic", "rich"} & set(answer.stdout.split())
