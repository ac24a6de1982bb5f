"""Which array of a file is which variable: by name, by an order that the checksums prove, or not at all."""

import google_crc32c
import numpy as np
import pytest

from search.bit.carried import load_npz, load_saved_model
from search.bit.checkpoint import official_name
from search.errors import WeightsError
from tests.support.bit_stand_in import TINY, npz_bytes, same, stand_in_arrays, write_saved_model


@pytest.mark.parametrize("prefix", ["resnet/", "", "module/resnet/", "bit/variables/resnet/"])
@pytest.mark.parametrize("head", [False, True])
def test_npz_names_may_have_any_prefix_and_a_head(prefix, head, tiny_arrays, tmp_path):
    stored = {prefix + name.removeprefix("resnet/") + ("" if head else ":0"): a for name, a in tiny_arrays.items()}
    if head:
        stored[f"{prefix}head/conv2d/kernel"] = np.zeros((1, 1, TINY.n_features, 5), np.float32)
        stored[f"{prefix}head/conv2d/bias"] = np.zeros(5, np.float32)
    np.savez(tmp_path / "bit.npz", **stored)
    assert same(load_npz(tmp_path / "bit.npz", TINY), tiny_arrays)


@pytest.mark.parametrize(
    "name", ["resnet/block1/unit01/a/group_norm/running_mean/x/y", "optimizer/iterations", "head", "resnet/gamma"]
)
def test_names_that_are_none_of_bits(name):
    assert official_name(name) is None or name.startswith("resnet/block1")


@pytest.mark.parametrize("fault", ["missing", "misshapen", "unknown", "text", "truncated", "absent"])
def test_an_npz_that_does_not_fit_says_so_in_one_line(fault, tiny_arrays, tmp_path):
    path = tmp_path / "bit.npz"
    changed = dict(tiny_arrays)
    if fault == "missing":
        del changed["resnet/block2/unit01/b/standardized_conv2d/kernel"]
    if fault == "misshapen":
        changed["resnet/group_norm/gamma"] = np.ones(3, np.float32)
    if fault == "unknown":
        changed["resnet/block9/unit01/a/group_norm/gamma"] = np.ones(3, np.float32)
    content = npz_bytes(changed)
    if fault != "absent":
        path.write_bytes({"text": b"<html>", "truncated": content[: len(content) // 2]}.get(fault, content))
    with pytest.raises(WeightsError) as caught:
        load_npz(path, TINY)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_saved_model_is_read_by_the_names_of_its_object_graph(tiny_module, tiny_arrays):
    weights = load_saved_model(tiny_module, TINY)
    assert same(weights, tiny_arrays)
    assert weights.genuine is None


@pytest.mark.parametrize(
    "order",
    [list, sorted, lambda a: [n.replace("gamma", "?").replace("beta", "gamma").replace("?", "beta") for n in a]],
    ids=["creation", "alphabetical", "beta first"],
)
def test_a_saved_model_without_names_is_read_in_the_order_that_the_checksums_prove(order, tiny_arrays, tmp_path):
    folder = write_saved_model(tmp_path / "unnamed", TINY, named=False, order=order)
    weights = load_saved_model(folder, TINY, published=checksums(tiny_arrays))
    assert same(weights, tiny_arrays)
    assert weights.genuine is True


def test_a_saved_model_without_names_or_known_checksums_is_refused(tmp_path):
    folder = write_saved_model(tmp_path / "unnamed", TINY, named=False)
    with pytest.raises(WeightsError, match="official variable names"):
        load_saved_model(folder, TINY, published=dict.fromkeys(TINY.variable_shapes, 0))


def test_exchanged_kernels_of_one_shape_are_found_by_their_checksums(tiny_arrays, tmp_path):
    def exchanged(arrays):
        one, two = (f"resnet/block1/unit0{unit}/b/standardized_conv2d/kernel" for unit in (1, 2))
        return [{one: two, two: one}.get(name, name) for name in arrays]

    folder = write_saved_model(tmp_path / "unnamed", TINY, named=False, order=exchanged)
    with pytest.raises(WeightsError, match="published tensors in a known order"):
        load_saved_model(folder, TINY, published=checksums(tiny_arrays))


@pytest.mark.parametrize("where", ["call", "inner", "loading"])
def test_the_program_of_a_saved_model_is_never_run(where, tmp_path):
    import tensorflow as tf

    victim = tmp_path / "victim"
    arrays = stand_in_arrays(TINY)
    module = tf.Module()
    module.parameters = [tf.Variable(value, name=name) for name, value in arrays.items()]

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def inner(value):
        tf.io.write_file(str(victim), "written")
        return value

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def call(images):
        if where == "call":
            tf.io.write_file(str(victim), "written")
        total = tf.reduce_mean(images)
        return tf.fill([1, 32], inner(total) if where == "inner" else total)

    module.__call__ = call
    if where == "loading":
        file = tmp_path / "words.txt"
        file.write_text("word 1\n")
        module.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(str(file), tf.string, 0, tf.int64, 1, delimiter=" "), -1
        )
    tf.saved_model.save(module, str(tmp_path / "module"))
    for asset in (tmp_path / "module" / "assets").glob("*"):
        asset.unlink()  # whoever opened the program would miss it
    victim.unlink(missing_ok=True)
    assert same(load_saved_model(tmp_path / "module", TINY), arrays)
    assert not victim.exists()


def checksums(arrays):
    return {name: google_crc32c.value(array.tobytes()) for name, array in arrays.items()}
