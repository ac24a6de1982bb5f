"""What `search` offers from outside."""

import subprocess
import sys

import search
from tests.conftest import ROOT


def test_every_public_name_is_there_and_comes_from_the_package(tensorflow_started):
    assert {"Config", "Job", "MammoHyperModel", "UserError", "plan_hyperband", "run_job"} <= set(search.__all__)
    assert set(dir(search)) == set(search.__all__)
    homes = {name: getattr(search, name).__module__ for name in search.__all__}
    assert not {name: home for name, home in homes.items() if not home.startswith("search.")}
    assert not hasattr(search, "nothing_of_the_kind")


def test_the_package_alone_loads_nothing_heavy():
    program = "import sys, search; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"tensorflow", "keras", "numpy", "pandas", "pydantic", "rich"} & set(answer.stdout.split())
