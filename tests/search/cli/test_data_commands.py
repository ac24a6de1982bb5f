"""The data commands as a user meets them: exit codes, stdout and stderr."""

import contextlib
import io
import json
import shutil

import cv2
import numpy as np
import pytest
from rich.console import Console

from mammo_data.errors import DataError
from mammo_data.sources.open import open_source
from search.cohort import require_sound
from search.config.reading import load_config
from search.screen.progress import RunProgress
from tests.support.command_line import run
from tests.support.json_answers import assert_described


def test_a_sound_phantom_passes_and_a_damaged_one_is_named_line_by_line(workspace):
    made = run("data", "phantom", "images", "--patients", "4", "--image-size", "128", cwd=workspace)
    assert made.returncode == 0, made.stderr
    sound = run("data", "check", "images", "--json", cwd=workspace)
    assert sound.returncode == 0, sound.stderr
    assert json.loads(sound.stdout)["images"] == 8
    assert_described("data check", json.loads(sound.stdout))
    (workspace / "images" / "mdb002.pgm").unlink()
    shutil.copy(workspace / "images" / "mdb003.pgm", workspace / "images" / "mdb004.pgm")
    damaged = run("data", "check", "images", cwd=workspace)
    assert damaged.returncode == 3
    named = [line.split(": ")[1:3] for line in damaged.stderr.splitlines()]
    assert ["duplicate", "mdb004"] in named
    assert ["missing", "mdb002"] in named


def test_a_run_on_a_damaged_set_is_refused_in_one_line_and_leaves_nothing(workspace, phantom):
    shutil.copytree(phantom, workspace / "images")
    shutil.copy(workspace / "images" / "mdb003.pgm", workspace / "images" / "mdb008.pgm")
    answer = run("run", "--data", "images", "--weights", "random", cwd=workspace)
    assert answer.returncode == 3
    last = answer.stderr.splitlines()[-1]
    assert "duplicate: mdb008: the same pixels as mdb003" in last
    assert "mammo-search data check images" in last
    assert not list((workspace / "runs").glob("run-*"))


@pytest.mark.parametrize("accept", [False, True])
def test_known_problems_may_be_accepted(accept, workspace, phantom):
    shutil.copytree(phantom, workspace / "images")
    shutil.copy(workspace / "images" / "mdb003.pgm", workspace / "images" / "mdb008.pgm")
    config = load_config(None, {"data.path": workspace / "images", "data.accept_problems": accept})
    said = io.StringIO()
    progress = RunProgress(Console(file=said, width=200))
    refused = contextlib.nullcontext() if accept else pytest.raises(DataError, match="mdb008")
    with refused:
        require_sound(open_source(workspace / "images"), config, progress)
    assert ("duplicate: mdb008" in said.getvalue()) == accept


def test_the_preview_is_written_and_named(workspace, phantom):
    answer = run("data", "preview", str(phantom), "--image", "mdb001", "--out", "sheet.png", cwd=workspace)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "sheet.png"
    assert (workspace / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_film_is_named_by_check_preview_and_run(workspace):
    folder = workspace / "own"
    folder.mkdir()
    air = np.zeros((120, 120), np.uint8)
    film = cv2.circle(air.copy(), (0, 60), 50, 150, -1)
    for name, image in (("a", film), ("b", film[::-1] + 5), ("white", 255 - film), ("black", air)):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    names = ("white", "black", *"abababababab")
    rows = []
    for number, name in enumerate(names):
        shutil.copy(folder / f"{name}.png", folder / f"{number}_{name}.png")
        rows.append(f"{number}_{name}.png,p{number},{('normal', 'malignant')[number % 2]}")
    (folder / "cases.csv").write_text("\n".join(("image,patient,label", *rows)))
    for command in (("data", "check", "own"), ("data", "preview", "own"), ("run", "--data", "own", "--folds", "1")):
        answer = run(*command, cwd=workspace)
        assert answer.returncode == 3, answer.stderr
        for name in ("0_white", "1_black"):
            assert any(name in line and "breast" in line for line in answer.stderr.splitlines()), answer.stderr
    assert (workspace / "contact_sheet.png").is_file()


def test_fetching_shows_the_licence_and_one_line_where_there_is_no_network(workspace):
    answer = run("data", "fetch", "--url", "http://127.0.0.1:9/x.tar.gz", "--timeout", "0.5", cwd=workspace)
    assert answer.returncode == 3
    assert "research purposes only" in answer.stderr
    assert "no connection" in answer.stderr.splitlines()[-1]
    assert "Traceback" not in answer.stderr


def test_no_data_are_one_line_with_the_remedy(workspace):
    for command in ("check", "preview"):
        answer = run("data", command, cwd=workspace)
        assert answer.returncode == 3
        (line,) = answer.stderr.splitlines()
        assert "data fetch" in line
