"""The native BiT's parts against the whole, at odd sizes, and its files."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from search.bit.architecture import R50X1, SMALL, BitArchitecture
from search.bit.backbone import (
    assign_official,
    boundary_key,
    build_backbone,
    build_export_backbone,
    build_tail,
    build_trunk,
    official_variables,
)
from search.bit.weights import random_weights
from tests.support.official_features import relative

TINY = BitArchitecture((2, 1, 2), 8, 4, "tiny")


def features(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return ops.convert_to_numpy(model(x))


# Where there is hardly any contrast, the epsilon under the group norms' roots is most of what stands there.
@pytest.mark.parametrize(("sides", "contrast"), [((225, 257), 1), ((33, 47), 1), ((128, 128), 1), ((64, 64), 1e-3)])
def test_trainable_and_exported_graphs_agree_at_odd_sizes_and_without_contrast(sides, contrast):
    weights = random_weights(SMALL, 3)
    x = np.random.default_rng(1).uniform(-contrast, contrast, (2, *sides, 3)).astype("float32")
    models = [build_backbone(SMALL), build_export_backbone(SMALL)]
    for model in models:
        assign_official(model, weights.arrays)
    plain, exported = (features(model, x) for model in models)
    assert plain.shape == (2, SMALL.n_features)
    assert relative(exported, plain) < 1e-5


@pytest.mark.parametrize("fold", [True, False])
def test_trunk_then_tail_is_the_backbone_at_every_depth(fold):
    weights = random_weights(TINY, 5)
    x = np.random.default_rng(2).uniform(-1, 1, (2, 65, 50, 3)).astype("float32")
    whole = build_backbone(TINY)
    assign_official(whole, weights.arrays)
    expected = features(whole, x)
    depths = range(TINY.max_depth + 1)
    trunk = build_trunk(TINY, (65, 50), depths, fold=fold)
    assign_official(trunk, weights.arrays)
    assert not trunk.trainable_variables
    boundaries = trunk(x)
    for depth in depths:
        boundary = boundaries[boundary_key(depth)]
        assert tuple(boundary.shape[1:]) == TINY.boundary_shape(depth, (65, 50))
        tail = build_tail(TINY, depth, boundary.shape[1:])
        assign_official(tail, weights.arrays)
        assert tuple(sorted(official_variables(tail))) == tuple(sorted(TINY.trained_variables(depth)))
        assert relative(features(tail, boundary), expected) < 1e-5


def test_a_tail_reads_boundaries_stored_in_float16():
    weights = random_weights(TINY)
    tail = build_tail(TINY, 1, (5, 5, TINY.unit_sequence[-1].in_channels))
    assign_official(tail, weights.arrays)
    x = np.random.default_rng(0).normal(0, 30, (2, *tail.input_shape[1:])).astype("float16")
    assert relative(features(tail, x), features(tail, x.astype("float32"))) == 0


def test_parameters_by_stage_are_the_published_ones():
    table = {depth: R50X1.trained_parameters(depth) for depth in (0, 1, 3, 9, 13, 16, 17)}
    assert table == {
        0: 0,
        1: 4_466_688,
        3: 14_962_688,
        9: 22_057_984,
        13: 23_276_032,
        16: 23_490_944,
        17: 23_500_352,
    }


def test_depths_and_shapes_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="unfreeze depth from 0 to 17"):
        build_trunk(R50X1, 64, [18])
    with pytest.raises(ValueError, match="at least one"):
        build_trunk(TINY, 64, [])
    with pytest.raises(ValueError, match="Expected a boundary"):
        build_tail(TINY, 1, (4, 4, 3))
    with pytest.raises(ValueError, match="divide"):
        BitArchitecture((1,), 10, 4)


@pytest.mark.slow
def test_an_exported_file_opens_where_this_package_is_not_installed(tmp_path):
    model = build_export_backbone(SMALL, 64)
    assign_official(model, random_weights(SMALL).arrays)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    model.save(tmp_path / "bit.keras")
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys; sys.modules['search'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('bit.keras', safe_mode=True)\n"
        "np.save('y.npy', model.predict_on_batch(np.load('x.npy')))\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.predict_on_batch(x))


def test_a_trained_file_reloads_with_the_package(tmp_path):
    model = build_backbone(TINY, 40)
    assign_official(model, random_weights(TINY).arrays)
    model.save(tmp_path / "bit.keras")
    reloaded = keras.saving.load_model(tmp_path / "bit.keras")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 40, 40, 3)).astype("float32")
    np.testing.assert_array_equal(reloaded.predict_on_batch(x), model.predict_on_batch(x))
