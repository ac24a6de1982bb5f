"""The first day: a wheel in an environment of its own, and the worked notebook in a kernel."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import zipfile

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "search" / "notebooks" / "first_search.ipynb"
TINY = ("--max-trials", "2", "--folds", "2", "--image-size", "48", "--set", "search.max_epochs=2")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook after all of its cells, run in a folder of its own."""
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return {cell.id: cell.get("outputs", []) for cell in notebook.cells}, folder


def shown(outputs, kind: str) -> str:
    """The text of a kind among a cell's outputs."""
    return "".join(part.get("data", {}).get(kind, "") for part in outputs)


def test_the_notebook_shows_its_answer_as_a_table_and_goes_on(executed):
    cells, folder = executed
    answer = shown(cells["run"], "text/html")
    for words in ("DEMONSTRATION", "best configuration", "head_width", "malignant", "[", "runs/first/best/report.html"):
        assert words in answer
    assert "held-out patients   " in shown(cells["run"], "text/plain")
    assert (folder / "runs/first/best/report.html").is_file()
    assert not [part for part in cells["complete"] if part.output_type == "stream"], "a complete run is silent"
    assert "'lower'" in shown(cells["complete"], "text/plain")
    (error,) = cells["changed"]
    assert error.traceback == [f"RunError: {error.evalue}"], "one line, no traceback"
    assert "search.seed 0 → 1" in error.evalue
    trials = (folder / "runs/first/trials.jsonl").read_text().splitlines()
    assert shown(cells["table"], "text/html").count("<tr") == 1 + len(trials)
    assert shown(cells["predict"], "text/html").count("<tr") == 1 + 4


def test_a_terminal_goes_on_with_what_a_notebook_began(executed):
    from search.run_folder.directory import RunDirectory
    from tests.search.cli.test_help import parsed

    manifest = RunDirectory(executed[1] / "runs" / "first").read_manifest()
    parsed(f"mammo-search {shlex.join(manifest.argv)}")
    assert manifest.argv[:2] == ("run", "--max-trials")
    assert "retrain.seeds=1" in manifest.argv


@pytest.mark.network
def test_a_wheel_brings_all_that_a_run_needs(tmp_path):
    subprocess.run(["uv", "build", "--out-dir", tmp_path, ROOT], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("search/tuner_config.toml") == (ROOT / "tuner_config.toml").read_bytes()
        # What belongs to the repository alone.
        apart = ("reports/pictures", "search/notebooks", "tests")
        assert not [name for name in archive.namelist() if name.startswith(apart)]
    environment, elsewhere = tmp_path / "environment", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, timeout=300)
    pip = [environment / "bin" / "pip", "install", "--quiet", "--upgrade", "--upgrade-strategy", "eager"]
    subprocess.run([*pip, wheel], check=True, timeout=1200)
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    program = [environment / "bin" / "mammo-search", "run", "--demo", *TINY]
    run = subprocess.run(
        program,
        cwd=elsewhere,
        env=known | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    assert (elsewhere / "runs" / "demo" / "best" / "report.html").is_file()
