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
from tests.support.case_folders import write_dicom
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
            assert any(name in line and "a film" in line for line in answer.stderr.splitlines()), answer.stderr
    assert (workspace / "contact_sheet.png").is_file()


def test_what_is_not_read_is_called_what_it_is(workspace):
    import pydicom
    from PIL import Image
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGLosslessSV1

    folder = workspace / "own"
    folder.mkdir()
    film = cv2.circle(np.zeros((120, 120), np.uint8), (0, 60), 50, 150, -1)
    page = Image.fromarray(film)
    page.save(folder / "pages.tif", save_all=True, append_images=[page])
    (folder / "tail.pgm").write_bytes(b"P5\n120 120\n255\n" + film.tobytes() + b"tail")
    (folder / "picture.png").write_bytes(b"GIF89a" + bytes(99))
    write_dicom(folder / "frames.dcm", film.astype(np.uint16) * 16, bits=12)
    file = pydicom.dcmread(folder / "frames.dcm")
    file.NumberOfFrames, file.PixelData = 2, file.PixelData * 2
    file.save_as(folder / "frames.dcm")
    del file.NumberOfFrames
    file.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    file.PixelData = encapsulate([b"\xff\xd8\xff\xc3" + bytes(100)])
    file["PixelData"].VR = "OB"
    file.save_as(folder / "packed.dcm")
    rows = [f"{path.name},{path.stem},{('normal', 'malignant')[path.stem > 'm']}" for path in sorted(folder.iterdir())]
    (folder / "cases.csv").write_text("\n".join(("image,patient,label", *rows)))
    answer = run("data", "check", "own", cwd=workspace)
    assert answer.returncode == 3
    lines = [line.removeprefix("mammo-search: ") for line in answer.stderr.splitlines()]
    wanted = {
        "frames": "2 frames",
        "packed": "mammo-search[dicom]",
        "pages": "a TIFF of 2 pages",
        "picture": "a GIF image",
        "tail": "4 more bytes after them",
    }
    assert len(lines) == len(wanted)
    for name, words in wanted.items():
        assert any(line.startswith(f"undecodable: {name}: ") and words in line for line in lines), answer.stderr


def test_info_with_commas_and_settings_with_a_byte_order_mark(workspace, phantom):
    shutil.copytree(phantom, workspace / "images")
    info = workspace / "images" / "Info.txt"
    lines = [
        line.strip().replace(" ", ",") if line.startswith("mdb") else line for line in info.read_text().splitlines()
    ]
    info.write_text("\n".join(lines), encoding="utf-8-sig")
    (workspace / "own.toml").write_text('[data]\npath = "images"\n', encoding="utf-8-sig")
    answer = run("run", "--dry-run", "--config", "own.toml", "--weights", "random", cwd=workspace)
    assert answer.returncode == 0, answer.stderr
    lines = [line.replace(",", "|") for line in lines if not line.startswith("ROWS-SHA")]
    info.write_text("\n".join(lines))
    refused = run("data", "check", "images", cwd=workspace)
    assert refused.returncode == 3
    assert "Save the table in that form" in refused.stderr


def test_fetching_shows_the_licence_and_one_line_where_there_is_no_network(workspace):
    answer = run("data", "fetch", "--url", "http://127.0.0.1:9/x.tar.gz", "--timeout", "0.5", cwd=workspace)
    assert answer.returncode == 3
    assert "research purposes only" in answer.stderr
    assert "no connection" in answer.stderr.splitlines()[-1]
    assert not (workspace / "data" / "images").exists()
    assert "Traceback" not in answer.stderr


def test_no_data_are_one_line_with_the_remedy(workspace):
    for command in ("check", "preview"):
        answer = run("data", command, cwd=workspace)
        assert answer.returncode == 3
        (line,) = answer.stderr.splitlines()
        assert "data fetch" in line


def test_notes_alone_are_no_reason_to_refuse_a_set(workspace, phantom):
    answer = run("data", "check", str(phantom), cwd=workspace)
    assert answer.returncode == 0
    assert answer.stdout.splitlines()[-1] == "no problems; 1 note"
    (note,) = answer.stderr.splitlines()
    assert note.startswith("mammo-search: note: unlocatable: mdb")


def test_the_preview_of_crops_shows_each_lesion_and_a_place_of_each_normal_breast(workspace, phantom):
    from mammo_data import load_cases, open_source

    cache = ("--set", f"output.cache={workspace / 'cache'}", "--set", "preparation.image_size=64")
    words = ("--mode", "roi", "--side", "64", "--columns", "10", *cache)
    answer = run("data", "preview", str(phantom), *words, cwd=workspace)
    assert answer.returncode == 0, answer.stderr
    cases = load_cases(open_source(phantom)).cases
    crops = sum(not case.findings or sum(finding.circle is not None for finding in case.findings) for case in cases)
    sheet = cv2.imread(str(workspace / "contact_sheet.png"))
    assert sheet.shape == (-(-crops // 10) * (64 + 14 + 4) + 4, 10 * (64 + 4) + 4, 3)
    lesion = next(case for case in cases if case.findings and case.findings[0].circle)
    one = run("data", "preview", str(phantom), *words, "--image", lesion.image_id, cwd=workspace)
    assert one.returncode == 0, one.stderr
    sheet = cv2.imread(str(workspace / "contact_sheet.png"))
    assert sheet.shape[0] == 64 + 14 + 8
    crop = sheet[4:68, 4:68].astype(int)
    assert np.ptp(crop, axis=-1).max() > 100, "a coloured circle"
    nobody = run("data", "preview", str(phantom), *words, "--image", "nobody", cwd=workspace)
    assert nobody.returncode == 3
    assert "'nobody'" in nobody.stderr.splitlines()[-1]
