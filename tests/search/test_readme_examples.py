"""Every example of every README runs as it stands, but on synthetic films and with a small backbone."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from search.config.writing import to_toml
from tests.conftest import ROOT
from tests.support.command_line import run as run_in_a_process
from tests.support.command_line import typed
from tests.support.readmes import FRONT_PAGE, READMES, examples, links
from tests.support.tiny import tiny_config

SMALLER = {
    'Path("all-mias.tar.gz")': "PHANTOM",
    "image_size=224": "image_size=48",
    'architecture_of("bit-m-r50x1")': 'architecture_of("bit-small")',
    'backbone_weights("bit-m-r50x1", "auto")': 'backbone_weights("bit-small", "random")',
    "max_trials=10": "max_trials=1",
    "epochs=5": "epochs=1",
    'objective="val_loss"': 'objective="val_loss", seed=0',
    'data="all-mias.tar.gz",': 'data=PHANTOM, config="tiny.toml",',
    "max_trials=40,": "max_trials=6,",
}
OWN_SEARCH = ROOT / "search" / "README.md"
WITH_PYTHON = [readme for readme in READMES if examples(readme, "python")]
NEED_A_RUN = [readme for readme in WITH_PYTHON if "bit_mammography_final" in "".join(examples(readme, "python"))]


def title(readme):
    return str(readme.relative_to(ROOT))


def run(readme, names):
    """The Python blocks of a README one after the other in one module."""
    for block in examples(readme, "python"):
        for large, small in SMALLER.items():
            block = block.replace(large, small)
        exec(compile(block, title(readme), "exec"), names)
    return names


def test_every_substitution_is_of_something_that_a_readme_says():
    together = "".join(block for readme in READMES for block in examples(readme, "python"))
    assert not [large for large in SMALLER if large not in together]


def test_the_pictures_are_there_small_and_alone():
    pictures = [ROOT / path for path in re.findall(r"^!\[.+\]\((.+)\)$", FRONT_PAGE.read_text("utf-8"), re.MULTILINE)]
    assert {path.suffix for path in pictures} == {".svg", ".png"}
    for path in pictures:
        assert 1_000 < path.stat().st_size < 150_000
        if path.suffix == ".svg":
            assert set(re.findall(r"https?://[^\"' )]+", path.read_text())) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("readme", READMES, ids=title)
def test_every_link_leads_somewhere(readme):
    assert [target for target in links(readme) if not (readme.parent / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("package", ["mammo_data", "reports", "search"])
def test_a_package_s_page_names_everything_in_it(package):
    page = (ROOT / package / "README.md").read_text(encoding="utf-8")
    inside = [path for path in (ROOT / package).iterdir() if not path.name.startswith(("_", ".", "README", "py.typed"))]
    names = {f"{path.name}/" if path.is_dir() else path.name for path in inside}
    assert not {name for name in names - {"pictures/"} if name not in page}  # the pictures are the front page's


@pytest.mark.parametrize("readme", READMES, ids=title)
def test_every_cases_csv_can_be_read(readme, tmp_path, monkeypatch):
    from mammo_data import DataError, open_source

    monkeypatch.chdir(tmp_path)
    for table in examples(readme, "csv"):
        Path("cases.csv").write_text(table)
        with pytest.raises(DataError, match=r"the images that cases\.csv lists"):  # all that is missing are the films
            open_source(Path())


@pytest.mark.slow
def test_the_front_page_s_call_is_a_run(phantom, tmp_path, monkeypatch, capsys, tensorflow_started):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(to_toml(tiny_config(phantom, tmp_path)))
    result = run(FRONT_PAGE, {"PHANTOM": phantom})["result"]
    metrics = json.loads((tmp_path / "runs/first/best/metrics.json").read_text())
    text, figures = capsys.readouterr().out.strip().rsplit("\n", 1)
    assert text == result.as_text()
    assert (
        figures
        == f"{result.hyperparameters} {metrics['primary_auc']['value']} {tmp_path / 'runs/first/best/report.html'}"
    )


@pytest.mark.slow
def test_data_search_and_report_of_one_s_own(phantom, tmp_path, monkeypatch, tensorflow_started):
    monkeypatch.chdir(tmp_path)
    names = run(OWN_SEARCH, {"PHANTOM": phantom})
    shape = next(iter(names["training"]))[0].shape
    assert tuple(shape) == (16, 48, 48, 3)
    held_out, table = set(names["split"].test_patients), names["films"].table
    assert not held_out & {table.patient_ids[row] for row in (*names["rows"], *names["unseen"])}
    assert names["evaluation"].metrics["macro_ovr_auc"]["value"] is not None
    assert (tmp_path / "my-search").is_dir()


@pytest.mark.parametrize(
    "readme", [readme for readme in WITH_PYTHON if readme not in (FRONT_PAGE, OWN_SEARCH, *NEED_A_RUN)], ids=title
)
def test_the_python_of_a_package_s_page_runs(readme, phantom, tmp_path, monkeypatch, tensorflow_started):
    monkeypatch.chdir(tmp_path)
    names = run(readme, {"PHANTOM": phantom})
    if "write_figures" in names:
        assert (tmp_path / "figures" / "roc.png").stat().st_size > 10_000


@pytest.mark.parametrize("readme", NEED_A_RUN, ids=title)
def test_the_python_about_a_finished_run_gives_what_the_run_has_stored(readme, finished, monkeypatch):
    from mammo_data import PreparedSet, Split
    from reports import Predictions

    config, result = finished
    monkeypatch.chdir(result.directory.best)
    (films,) = (PreparedSet.load(path) for path in (config.output.cache / "prepared").iterdir())
    rows = Split.read_csv(result.directory.split_file).test_rows(films.table)
    names = run(readme, {"prepared": films.images[rows][..., None].astype(np.float32)})
    if "calibrated" not in names:
        return
    stored = Predictions.read_csv(result.directory.best / "predictions_corrected.csv")
    assert names["calibrated"] == pytest.approx(stored.probabilities, abs=1e-4)
    point = result.metrics["operating_points"][0]
    assert names["malignant"].sum() == point["true_positives"] + point["false_positives"]


ELSEWHERE = {
    "run --demo": "the slow test below",
    "tensorboard": "tests/search/cli/test_reading_commands.py",
    "data fetch": "tests/mammo_data/fetch",
    "weights fetch": "tests/search/cli/test_weights_commands.py",
    "weights verify": "tests/search/cli/test_weights_commands.py",
}
"""How commands begin that serve, search or need the internet, to where they are asked."""


def lines_of(readme):
    """Command lines of a README's shell blocks, and those for a notebook, one a command."""
    lines = [line for block in examples(readme, "sh") for line in block.splitlines()]
    lines += re.findall(r"^[!%](?!\[)(.+)$", readme.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line.partition(" #")[0] for line in lines]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


@pytest.mark.parametrize("readme", READMES, ids=title)
def test_every_line_of_a_shell_block_can_be_typed(readme, monkeypatch):
    """Of the program by its own parser; others by what they name."""
    from tests.search.cli.test_help import parsed
    from tests.wrong_lines.__main__ import options

    for line in lines_of(readme):
        line = re.sub(r"^uv run (--extra gpu )?", "", line)
        if line.startswith("mammo-search "):
            parsed(line)
        elif line.startswith("python -m tests.wrong_lines"):
            options().parse_args(shlex.split(line)[3:])
        elif line.startswith(("pytest", "python")):
            files = [word for word in line.split() if word.startswith("tests/")]
            assert all((ROOT / file).exists() for file in files), line
        else:
            assert line.startswith(("git clone ", "cd ", "unzip ", "pip install ", "uv sync ", "uv build ")), line


def test_the_commands_of_all_readmes_answer(finished, phantom, tmp_path, monkeypatch, capsys):
    """On a small run; a search is planned and not begun."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("demo", "OTHER"):
        shutil.copytree(finished[1].directory.path, tmp_path / "runs" / name)
    shutil.copytree(phantom, tmp_path / "data" / "images")
    shutil.copytree(phantom, tmp_path / "all-mias.tar.gz")
    small = {"FILM…": str(phantom / "mdb001.pgm"), "/content": str(tmp_path)}
    for line in dict.fromkeys(line for readme in READMES for line in lines_of(readme)):
        _, found, words = line.partition("mammo-search ")
        if not found or words.startswith(tuple(ELSEWHERE)):
            continue
        for large, little in small.items():
            words = words.replace(large, little)
        words += " --dry-run" if words.startswith("run ") and "--dry-run" not in words else ""
        answer = typed(capsys, *shlex.split(words))
        # The weights are not here: `run` says so before all else, `doctor` in its answer.
        lacks = words.startswith("doctor") or ".safetensors" in words
        assert answer.code == (3 if lacks else 0), (words, answer.err)
        assert answer.out or ".safetensors" in answer.err, words


@pytest.mark.slow
def test_the_demonstration_runs_and_the_commands_after_it_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    answer = run_in_a_process("run", "--demo", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "runs/demo/best/report.html" in answer.stdout
    assert "demo" in run_in_a_process("status", cwd=tmp_path).stdout
