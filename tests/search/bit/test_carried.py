"""Weights that somebody carried here: recognised by content, read to the same bits, and what is wrong is said."""

import json
import os
import re
import resource
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from search.bit.architecture import R50X1, R101X1, SMALL
from search.bit.carried import load_weights
from search.bit.checkpoint import official_name_of_timm
from search.bit.formats.saved_model import saved_model_arrays
from search.bit.weights import BitWeights, fingerprint_of, random_weights, write_stored
from search.errors import WeightsError
from tests.conftest import shared
from tests.support.bit_stand_in import (
    TINY,
    checksums,
    npz_bytes,
    same,
    stand_in_arrays,
    timm_name,
    timm_tensors,
    write_saved_model,
)
from tests.support.bundles import KEY, object_graph, without_names, write_checkpoint

HEAD = {
    "head.fc.weight": np.zeros((5, TINY.n_features, 1, 1), np.float32),
    "head.fc.bias": np.zeros(5, np.float32),
}


def packed(path, folder, kind, inside):
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                archive.write(file, inside + str(file.relative_to(folder)))
    else:
        with tarfile.open(path, f"w:{kind}") as archive:
            archive.add(folder, inside or ".")


@pytest.mark.parametrize(
    "kind",
    ["npz", "packed npz", "stored", "timm", "folder", "tar", "tar.gz", "zip", "tar in a folder", "zip in a folder"],
)
def test_what_is_carried_is_recognised_by_its_content_and_not_by_its_name(kind, tiny_module, tiny_arrays, tmp_path):
    path = tmp_path / "named.html"
    match kind:
        case "npz":
            path.write_bytes(npz_bytes(tiny_arrays))
        case "packed npz":
            with path.open("wb") as file:
                np.savez_compressed(file, **tiny_arrays)
        case "stored":
            write_stored(path, BitWeights(tiny_arrays, fingerprint_of(tiny_arrays), "from somewhere", True, "!"), TINY)
        case "timm":
            path.write_bytes(save(timm_tensors(tiny_arrays, **HEAD), {"format": "pt"}))
        case "folder":
            shutil.copytree(tiny_module, path)
        case _:
            form, inside = {"tar": "", "tar.gz": "gz"}.get(kind.split()[0], "zip"), "m/1/" if " in " in kind else ""
            packed(path, tiny_module, form, inside)
    unproven = load_weights(path, TINY)
    assert same(unproven, tiny_arrays)
    assert (unproven.genuine, unproven.fingerprint) == (None, fingerprint_of(tiny_arrays))
    assert unproven.verification == "not verified: no published checksums for these weights"
    assert load_weights(path, TINY, checksums(tiny_arrays)).verification == "verified: genuine BiT-M-R50x1"


@pytest.mark.parametrize(
    "content",
    {
        "page": b"<!doctype html><title>Sign in</title>",
        "nothing": b"",
        "pickle": b"\x80\x04\x95" + bytes(100),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
        "program of a SavedModel": b"\x08\x01\x12\xff\x01" + bytes(300),
        "bz2": b"BZh91AY&SY" + bytes(50),
    }.items(),
    ids=lambda item: item[0],
)
def test_another_content_is_told_in_one_line(content, tmp_path):
    path = tmp_path / "bit.npz"
    path.write_bytes(content[1])
    assert_refused(path, r"Expected an npz, .*found (one that begins with b|an empty one)")


def test_a_zip_of_something_else_a_folder_a_pipe_and_a_device_are_told_in_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "torch.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    assert_refused(tmp_path / "torch.pth", "neither arrays")
    assert_refused(tmp_path, r"a folder without variables/variables\.index")
    assert_refused(tmp_path / "nowhere", "No such file")
    os.mkfifo(tmp_path / "pipe")
    assert_refused(tmp_path / "pipe", "a pipe or device")
    assert_refused("/dev/zero", "a pipe or device")


def assert_refused(path, pattern, arch=TINY, published=None):
    with pytest.raises(WeightsError) as caught:
        load_weights(Path(path), arch, published)
    assert "\n" not in str(caught.value)
    assert re.search(pattern, str(caught.value)), str(caught.value)


def test_the_rule_of_timm_s_names_gives_the_checked_ones():
    known = json.loads((shared("MAMMO_SEARCH_BIT", "bit") / "timm_names.json").read_text())
    assert {name: timm_name(name) for name in R50X1.variable_shapes} == known
    assert {official: official_name_of_timm(theirs) for official, theirs in known.items()} == {n: n for n in known}


@pytest.mark.parametrize("arch", [R101X1, SMALL, TINY], ids=lambda arch: arch.name)
def test_the_rule_of_timm_s_names_holds_for_every_size(arch):
    theirs = [timm_name(name) for name in arch.variable_shapes]
    assert len(set(theirs)) == len(theirs)
    assert [official_name_of_timm(name) for name in theirs] == list(arch.variable_shapes)


UNIT = "stages.0.blocks.{}.{}"
WRONG = {
    "as it is": (lambda t: t, "verified: genuine"),
    "with a head": (lambda t: t | HEAD, "verified: genuine"),
    "two kernels of one shape exchanged": (
        lambda t: exchanged(t, UNIT.format(0, "conv2.weight"), UNIT.format(1, "conv2.weight")),
        "not the genuine BiT-M-R50x1, 2 of 32",
    ),
    "gamma and beta exchanged": (lambda t: exchanged(t, "norm.weight", "norm.bias"), "not the genuine .*2 of 32"),
    "every gamma and beta exchanged": (
        lambda t: {re.sub("norm.*", lambda m: swap_word(m[0]), name): array for name, array in t.items()},
        "not the genuine",
    ),
    "a square kernel transposed": (
        lambda t: t | {UNIT.format(0, "conv2.weight"): flipped(t[UNIT.format(0, "conv2.weight")])},
        "not the genuine BiT-M-R50x1, 1 of 32",
    ),
    "kernels left as the authors have them": (
        lambda t: {timm_name(name): array for name, array in stand_in_arrays(TINY).items()},
        "refused: 12 of another shape",
    ),
    "one bit changed": (lambda t: t | {"norm.bias": next_number(t["norm.bias"])}, "not the genuine .*1 of 32"),
    "fine-tuned": (lambda t: {n: a * np.float32(1.001) for n, a in t.items()}, "not the genuine .*all 32"),
    "in half precision": (lambda t: {n: a.astype(np.float16) for n, a in t.items()}, "not the genuine .*all 32"),
    "in double precision": (lambda t: {n: a.astype(np.float64) for n, a in t.items()}, "verified: genuine"),
    "as whole numbers": (lambda t: {n: a.astype(np.int32) for n, a in t.items()}, "refused: 32 of another type"),
    "not a number": (lambda t: t | {"norm.bias": t["norm.bias"] * np.nan}, "refused: .*not, in resnet/group_norm/beta"),
    "one missing": (lambda t: {n: a for n, a in t.items() if n != "norm.bias"}, "refused: 1 missing"),
    "one unit more": (
        lambda t: t | {UNIT.format(9, "conv1.weight"): t[UNIT.format(0, "conv1.weight")]},
        "refused: 1 unknown.*block1/unit10/a/standardized_conv2d/kernel",
    ),
    "batch norm": (
        lambda t: t | {UNIT.format(0, "norm1.running_mean"): np.zeros(8, np.float32)},
        "refused: 1 unknown.*running_mean",
    ),
    "another width": (lambda t: timm_tensors(random_weights(SMALL).arrays), "refused: .*unknown.*of another shape"),
    "of another network": (
        lambda t: {"conv1.weight": t["stem.conv.weight"], "fc.weight": np.zeros((3, 3), np.float32)},
        "refused: fit neither",
    ),
}


def exchanged(tensors, one, other):
    return tensors | {one: tensors[other], other: tensors[one]}


def swap_word(name):
    return name.replace("weight", "?").replace("bias", "weight").replace("?", "bias")


def flipped(kernel):
    return np.ascontiguousarray(kernel.transpose(1, 0, 2, 3))


def next_number(array):
    changed = array.copy()
    changed[0] = np.nextafter(changed[0], np.float32(9))
    return changed


@pytest.mark.parametrize("change", WRONG)
def test_timm_s_file_is_genuine_or_it_is_said_what_is_not(change, tiny_arrays, tmp_path):
    path = tmp_path / "model.safetensors"
    make, expected = WRONG[change]
    path.write_bytes(save(make(timm_tensors(tiny_arrays)), {"format": "pt"}))
    if expected.startswith("refused: "):
        assert_refused(path, expected.removeprefix("refused: "), published=checksums(tiny_arrays))
        return
    weights = load_weights(path, TINY, checksums(tiny_arrays))
    assert re.search(expected, weights.verification), weights.verification
    assert weights.provenance == "safetensors model.safetensors"
    if weights.genuine:
        assert same(weights, tiny_arrays)


@pytest.mark.parametrize("cut", [5, 100, 3000, -1])
def test_timm_s_file_cut_short_is_damaged(cut, tiny_arrays, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(timm_tensors(tiny_arrays))[:cut])
    assert_refused(path, "whole weights file|begins with")


def test_what_a_stored_file_says_of_itself_is_not_believed(tiny_arrays, tmp_path):
    boasting = BitWeights(tiny_arrays, fingerprint_of(tiny_arrays), "from Google", True, "verified: genuine")
    write_stored(tmp_path / "bit.safetensors", boasting, TINY)
    published = checksums(tiny_arrays) | {"resnet/group_norm/beta": 1}
    weights = load_weights(tmp_path / "bit.safetensors", TINY, published)
    assert (weights.genuine, weights.provenance) == (False, "from Google")
    assert "not the genuine BiT-M-R50x1, 1 of 32 tensors differ: resnet/group_norm/beta" in weights.verification


def test_a_checkpoint_is_read_as_tensorflow_reads_it(tiny_module):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(tiny_module / "variables/variables"))
    stored = saved_model_arrays(tiny_module)
    theirs = {key for key, dtype in reader.get_variable_to_dtype_map().items() if dtype == tf.float32}
    assert len(stored) == len(theirs) == len(TINY.variable_shapes)
    for place, array in enumerate(stored):
        expected = reader.get_tensor(KEY.format(f"parameters/{place}"))
        assert array.shape == expected.shape
        assert np.array_equal(array.read(), expected)


@pytest.mark.parametrize("kept", ["list", "dict"])
def test_names_come_from_the_program_where_the_checkpoint_has_none(kept, tiny_module, tiny_arrays, tmp_path):
    """Keys are paths from object to object; a slash and a dot in an object's name are written otherwise."""
    import tensorflow as tf

    folder = tmp_path / "module"
    if kept == "list":
        shutil.copytree(tiny_module, folder)
    else:
        module = tf.Module()
        module.parameters = {
            f"{n}.{name}": tf.Variable(a, name=name) for n, (name, a) in enumerate(tiny_arrays.items())
        }
        tf.saved_model.save(module, str(folder))
    without_names(folder)
    assert same(load_weights(folder, TINY), tiny_arrays)
    (folder / "saved_model.pb").unlink()
    if kept == "list":
        assert_refused(folder, "official variable names")


def test_a_checkpoint_s_own_names_are_enough(tiny_arrays, tmp_path):
    names = {KEY.format(f"x/{n}"): name for n, name in enumerate(tiny_arrays)}
    keys = dict(zip(names, tiny_arrays.values(), strict=True))
    assert same(load_weights(write_checkpoint(tmp_path / "one", keys, object_graph(names)), TINY), tiny_arrays)
    assert same(load_weights(write_checkpoint(tmp_path / "TF1", tiny_arrays), TINY), tiny_arrays)


def test_a_disk_without_room_for_an_archive_is_no_damage_of_the_archive(tiny_archive, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        assert_refused(tiny_archive, "room for a SavedModel in .*File too large.*TMPDIR")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_weights_of_another_backbone_say_that_nothing_is_known_of_them(tmp_path):
    from search.bit.family import verify_backbone

    weights = random_weights(SMALL)
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(timm_tensors(weights.arrays)))
    assert load_weights(path, SMALL).verification == "not verified: no published checksums for these weights"
    for name in ("bit-m-r101x1", "bit-s-r50x1"):
        assert verify_backbone(name, weights.arrays, SMALL).text.startswith("not verified: no published checksums")


@pytest.mark.slow
def test_full_size_weights_of_timm_and_of_a_module_are_the_same(tmp_path):
    arrays = stand_in_arrays(R50X1)
    folder = write_saved_model(tmp_path / "module", R50X1)
    (tmp_path / "timm").write_bytes(save(timm_tensors(arrays)))
    packed(tmp_path / "tar", folder, "gz", "")
    (tmp_path / "npz").write_bytes(npz_bytes(arrays))
    found = {load_weights(tmp_path / name).fingerprint for name in ("module", "timm", "tar", "npz")}
    assert found == {fingerprint_of(arrays)}
