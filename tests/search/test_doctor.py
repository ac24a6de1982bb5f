"""What `mammo-search doctor` says of a machine: each lack with its remedy, and nothing taken on a file's word."""

from __future__ import annotations

import json
import tomllib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from search.bit.architecture import R50X1, SMALL
from search.bit.weights import BitWeights, random_weights, write_stored
from search.config.reading import load_config
from search.doctor import EXTRAS, examine_data, examine_disks, examine_memory, examine_weights, unseen_gpu
from search.machine.places import Gpu
from tests.conftest import ROOT
from tests.support.command_line import typed
from tests.support.json_answers import assert_described
from tests.support.readmes import FRONT_PAGE


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def checks_of(answer) -> dict[str, dict[str, str]]:
    return {check["subject"]: check for check in json.loads(answer.out)}


def test_each_lack_is_named_with_what_to_do_and_the_configuration_is_the_runs(workspace, capsys):
    (workspace / "tuner_config.toml").write_text('[backbone]\nname = "bit-s-r101x1"\n[data]\npath = "mine"\n')
    answer = typed(capsys, "doctor", "--json")
    assert answer.code == 3
    assert_described("doctor", json.loads(answer.out))
    checks = checks_of(answer)
    assert checks["weights"]["state"] == checks["data"]["state"] == "lack"
    assert "bit-s-r101x1 is not on this machine" in checks["weights"]["found"]
    assert "mammo-search weights fetch --backbone bit-s-r101x1" in checks["weights"]["remedy"]
    assert "mine" in checks["data"]["found"]
    assert checks["data"]["remedy"]
    assert checks["tensorflow"]["state"] == checks["devices"]["state"] == "ok"
    assert str(workspace / "cache") in checks["weights cache"]["found"]
    assert "mine" not in typed(capsys, "doctor", "--data", "elsewhere").out, "a flag beats the file"
    assert not (workspace / "cache" / "mammo-search").exists(), "nothing is made"
    assert all(checks[f"extra {extra}"]["state"] == "ok" for extra in {*EXTRAS} - {"cluster"}), checks
    assert checks["home"]["state"] == "ok"


def test_the_order_of_classes_that_the_settings_state_is_a_runs(workspace, capsys):
    (workspace / "own").mkdir()
    (workspace / "own" / "a.png").touch()
    (workspace / "own" / "b.png").touch()
    (workspace / "own" / "cases.csv").write_text("image,patient,label\na.png,p1,mass\nb.png,p2,cyst\n")
    (workspace / "tuner_config.toml").write_text('[data]\npath = "own"\nclasses = ["cyst", "mass"]\n')
    assert checks_of(typed(capsys, "doctor", "--json"))["data"]["found"].startswith("2 images of 2 women")


@pytest.mark.parametrize(
    ("gigabytes", "size", "remedy"),
    [
        (16, 448, ""),
        (1.5, 448, "--set search.batch_size=16"),
        (0.5, 896, "--set space.unfreeze_depth=[0]"),
        (0.2, 448, "a smaller --image-size"),
    ],
)
def test_a_gpu_whose_memory_is_too_small_is_told_with_the_setting_that_fits(gigabytes, size, remedy):
    config = load_config(None, {"preparation.image_size": size})
    check = examine_memory(config, [Gpu(0, "NVIDIA T4", int(gigabytes * 1e9))])
    assert check.state == ("note" if remedy else "ok")
    assert f"while training at {size} px" in check.found
    assert ("; banks of up to 8 GB are kept there" in check.found) == (gigabytes == 16)
    assert check.remedy.removeprefix("Expected to fit: ") == remedy
    assert examine_memory(config, []).state == "ok", "without a GPU nothing is compared"


def test_all_is_well_where_weights_and_data_are_there(workspace, phantom, capsys):
    write_stored(workspace / "small.safetensors", random_weights(SMALL), SMALL)
    answer = typed(capsys, "doctor", "--data", phantom, "--backbone", "bit-small", "--weights", "small.safetensors")
    assert answer.code == 0
    assert answer.err == ""
    states = [line.split()[0] for line in answer.out.splitlines() if "->" not in line]
    assert "lack" not in states
    flags = set(Path("/proc/cpuinfo").read_text().split()) if Path("/proc/cpuinfo").exists() else set()
    (devices,) = [line for line in answer.out.splitlines() if "devices" in line]
    assert (", bfloat16" in devices) == bool("CPU" in devices and flags & {"amx_bf16", "avx512_bf16", "bf16"})


def test_a_file_that_calls_itself_genuine_is_not_believed(tmp_path):
    weights = random_weights(R50X1, 1)
    stored, npz = tmp_path / "bit.safetensors", tmp_path / "bit.npz"
    claim = BitWeights(weights.arrays, weights.fingerprint, "a friend", True, "verified: genuine BiT-M-R50x1")
    write_stored(stored, claim, R50X1)
    np.savez(npz, **weights.arrays)
    for path in (stored, npz):
        check = examine_weights(str(path), "bit-m-r50x1", tmp_path / "cache")
        assert check.state == "note"
        assert "warning: not the genuine BiT-M-R50x1" in check.found
    stored.write_bytes(b"half")
    assert examine_weights(str(stored), "bit-m-r50x1", tmp_path / "cache").state == "lack"
    assert examine_weights("random", "bit-m-r50x1", tmp_path / "cache").state == "note"


def test_an_archive_of_another_backbone_is_found_before_a_run(tiny_archive, tmp_path):
    check = examine_weights(str(tiny_archive), "bit-small", tmp_path / "cache")
    assert check.state == "lack"
    assert "of another shape" in check.found
    assert not (tmp_path / "cache").exists()


def test_films_that_have_no_published_hashes_are_not_called_genuine(phantom):
    check = examine_data(phantom)
    assert check.state == "ok"
    assert "64 images of 32 women" in check.found
    assert "not MIAS" in check.found


@pytest.mark.slow
@pytest.mark.mias
def test_the_real_films_are_genuine_and_an_altered_one_is_told(mias_archive, tmp_path):
    import tarfile

    assert examine_data(mias_archive).found.endswith(
        "322 images of 161 women in " + str(mias_archive) + "; verified: all genuine MIAS"
    )
    with tarfile.open(mias_archive) as archive:
        archive.extractall(tmp_path, filter="data")
    film = next(tmp_path.rglob("mdb003.pgm"))
    film.write_bytes(film.read_bytes()[:-1] + b"\x01")
    check = examine_data(tmp_path)
    assert check.state == "note"
    assert "321 of them are MIAS's own" in check.found
    assert "mammo-search data check" in check.remedy


@pytest.mark.parametrize(("free", "state"), [(2**29, "lack"), (5 * 2**30, "note"), (2**40, "ok")])
def test_a_disk_that_is_nearly_full_is_told_once(free, state, tmp_path, monkeypatch):
    import shutil

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**41, 0, free))
    (check,) = examine_disks(tmp_path / "runs", tmp_path / "cache")
    assert (check.state, bool(check.remedy)) == (state, state != "ok")
    assert str(tmp_path) in check.found


@pytest.mark.parametrize(
    ("visible", "seen", "words"),
    [
        ("-1", {}, ("CUDA_VISIBLE_DEVICES is '-1'", "Unset it")),
        (None, {}, ("nvidia-smi lists none", "--gpus all")),
        (None, {"listed": True}, ("built without CUDA", "Linux")),
        ("0", {"listed": True, "with_cuda": True}, ("CUDA's libraries are not installed", "uv sync --extra gpu")),
        (None, {"listed": True, "with_cuda": True, "libraries": True}, ("too old", "Update NVIDIA's driver")),
    ],
)
def test_a_gpu_that_tensorflow_does_not_see_is_told_with_the_reason(visible, seen, words):
    found = unseen_gpu(visible, **{"listed": False, "with_cuda": False, "libraries": False} | seen)
    assert all(word in text for word, text in zip(words, found, strict=True)), found


def test_every_extra_but_the_gpu_s_is_looked_at_and_on_the_front_page():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"gpu"}
    page = FRONT_PAGE.read_text(encoding="utf-8")
    assert not [extra for extra in extras if f"| `{extra}` |" not in page]
