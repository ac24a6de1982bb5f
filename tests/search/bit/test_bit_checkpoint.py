"""Which array of a file is which variable: by name, by an order that the checksums prove, or not at all."""

import numpy as np
import pytest

from search.bit.carried import load_weights
from search.bit.checkpoint import official_name
from search.errors import WeightsError
from tests.support.bit_stand_in import TINY, checksums, npz_bytes, same
from tests.support.bundles import write_checkpoint
from tests.support.hostile_models import positions


@pytest.mark.parametrize("prefix", ["resnet/", "", "module/resnet/", "bit/variables/resnet/"])
@pytest.mark.parametrize("head", [False, True])
def test_npz_names_may_have_any_prefix_and_a_head(prefix, head, tiny_arrays, tmp_path):
    stored = {prefix + name.removeprefix("resnet/") + ("" if head else ":0"): a for name, a in tiny_arrays.items()}
    if head:
        stored[f"{prefix}head/conv2d/kernel"] = np.zeros((1, 1, TINY.n_features, 5), np.float32)
        stored[f"{prefix}head/conv2d/bias"] = np.zeros(5, np.float32)
    np.savez(tmp_path / "bit.npz", **stored)
    assert same(load_weights(tmp_path / "bit.npz", TINY), tiny_arrays)


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
        load_weights(path, TINY)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_saved_model_is_read_by_the_names_of_its_object_graph(tiny_module, tiny_arrays):
    weights = load_weights(tiny_module, TINY)
    assert same(weights, tiny_arrays)
    assert weights.genuine is None


def nameless(folder, arrays, order):
    """A SavedModel whose variables have positions alone, in an order."""
    return write_checkpoint(folder, positions({name: arrays[name] for name in order}))


@pytest.mark.parametrize(
    "order",
    [list, sorted, lambda a: [n.replace("gamma", "?").replace("beta", "gamma").replace("?", "beta") for n in a]],
    ids=["creation", "alphabetical", "beta first"],
)
def test_a_saved_model_without_names_is_read_in_the_order_that_the_checksums_prove(order, tiny_arrays, tmp_path):
    folder = nameless(tmp_path / "unnamed", tiny_arrays, order(tiny_arrays))
    weights = load_weights(folder, TINY, published=checksums(tiny_arrays))
    assert same(weights, tiny_arrays)
    assert weights.genuine is True


def test_a_saved_model_without_names_or_known_checksums_is_refused(tiny_arrays, tmp_path):
    folder = nameless(tmp_path / "unnamed", tiny_arrays, list(tiny_arrays))
    with pytest.raises(WeightsError, match="official variable names"):
        load_weights(folder, TINY, published=dict.fromkeys(TINY.variable_shapes, 0))


def test_exchanged_kernels_of_one_shape_are_found_by_their_checksums(tiny_arrays, tmp_path):
    def exchanged(arrays):
        one, two = (f"resnet/block1/unit0{unit}/b/standardized_conv2d/kernel" for unit in (1, 2))
        return [{one: two, two: one}.get(name, name) for name in arrays]

    folder = nameless(tmp_path / "unnamed", tiny_arrays, exchanged(tiny_arrays))
    with pytest.raises(WeightsError, match="published tensors in a known order"):
        load_weights(folder, TINY, published=checksums(tiny_arrays))
