"""mammo-search report: the same page again, from files alone."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.support.command_line import typed
from tests.support.json_answers import assert_described


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished[1].directory.path, tmp_path / "runs" / "first")


def test_the_page_is_the_same_to_the_byte_without_tensorflow_and_stays_an_output(run):
    page = run / "best" / "report.html"
    before = page.read_bytes()
    page.write_text("lost")
    script = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'keras_tuner')))  # importing one of them fails\n"
        "from search.cli.main import main\n"
        f"main(['report', {str(run)!r}, '--json'])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {"report": str(page)}
    assert_described("report", json.loads(answer.stdout))
    assert page.read_bytes() == before
    from search.run_folder.directory import RunDirectory

    directory = RunDirectory(run)
    assert directory.check_output(page) == page
    assert directory.check_output(directory.model_file)


def test_pictures_are_put_in_only_when_asked_for(run, capsys):
    page = run / "best" / "report.html"
    assert typed(capsys, "report", run).code == 0
    without = page.read_text().count("data:image/png")
    assert typed(capsys, "report", run, "--embed-images").code == 0
    assert page.read_text().count("data:image/png") > without


def test_a_run_that_lacks_what_the_page_is_made_of_keeps_its_page(run, capsys):
    page = run / "best" / "report.html"
    before = page.read_bytes()
    for gone in ("figures/roc.png", "summary.json"):
        (run / "best" / gone).unlink()
        answer = typed(capsys, "report", run)
        assert answer.code == 3
        assert gone in answer.err
        assert page.read_bytes() == before
