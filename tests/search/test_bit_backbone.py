"""The native BiT against the features that Google's TF2 code gave, and its parts against the whole."""

import subprocess
import sys
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from search.bit_backbone import (
    R50X1,
    SMALL,
    BitArchitecture,
    assign_official,
    boundary_key,
    build_backbone,
    build_export_backbone,
    build_tail,
    build_trunk,
    official_variables,
)
from search.bit_layers import StandardizedConv2D
from search.bit_weights import assign, random_weights

AGREEMENT = 1e-4
# Relative L2 that every mistake must exceed to count as caught; a right forward pass stays 20 times below it.
CAUGHT = 3e-5
TINY = BitArchitecture((2, 1, 2), 8, 4, "tiny")


def recipe_weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weights that the stored official features were computed with."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if len(shape) == 4:
        return (rng.normal(0.01, 0.03, shape) * rng.lognormal(0, 1, (1, 1, 1, shape[-1]))).astype("float32")
    if name.endswith("gamma"):
        return rng.uniform(0.5, 1.5, shape).astype("float32")
    return rng.normal(0, 0.3, shape).astype("float32")


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="module")
def official() -> np.ndarray:
    with np.load(Path(__file__).parent / "data" / "official_forward_224.npz") as archive:
        return archive["features"]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(224 * 1000 + 224).uniform(-1, 1, (2, 224, 224, 3)).astype("float32")


@pytest.fixture(scope="module")
def recipe() -> dict[str, np.ndarray]:
    return {name: recipe_weight(name, shape) for name, shape in R50X1.variable_shapes.items()}


@pytest.fixture(scope="module")
def backbone(recipe) -> keras.Model:
    model = build_backbone(R50X1)
    assign_official(model, recipe)
    return model


def features(model: keras.Model, x: np.ndarray) -> np.ndarray:
    out = model(x)
    return ops.convert_to_numpy(out[boundary_key(0)] if isinstance(out, dict) else out)


def test_agrees_with_the_official_code(backbone, pixels, official):
    found = features(backbone, pixels)
    assert np.abs(found - official).max() < AGREEMENT
    assert relative(found, official) < CAUGHT / 4


@pytest.mark.parametrize("form", ["folded", "exported"])
def test_folded_forms_agree_with_the_official_code(form, recipe, pixels, official):
    model = build_trunk(R50X1, 224, [0]) if form == "folded" else build_export_backbone(R50X1, 224)
    assign_official(model, recipe)
    found = features(model, pixels)
    assert np.abs(found - official).max() < AGREEMENT
    assert relative(found, official) < CAUGHT / 3


def convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, StandardizedConv2D)]


def no_standardization(model, patch):
    for layer in convolutions(model):
        patch.setattr(layer, "standardized_kernel", lambda layer=layer: ops.convert_to_tensor(layer.kernel))


def projection_of_the_raw_stream(model, patch):
    raw = {}
    for layer in convolutions(model):
        if ".proj." in layer.name:
            unit = layer.name.removesuffix(".a.proj.standardized_conv2d")
            norm = model.get_layer(f"{unit}.a.group_norm")

            def remember(x, norm=norm, unit=unit):
                raw[unit] = x
                return type(norm).call(norm, x)

            patch.setattr(norm, "call", remember)
            patch.setattr(layer, "call", lambda x, layer=layer, unit=unit: type(layer).call(layer, raw[unit]))


def same_padding(model, patch):
    for layer in convolutions(model):
        if layer.padding and layer.strides == 2:
            patch.setattr(
                layer,
                "call",
                lambda x, layer=layer: ops.conv(x, layer.standardized_kernel(), strides=2, padding="same"),
            )


def same_pool(model, patch):
    patch.setattr(model.get_layer("resnet.root_block.pad"), "call", lambda x: x)
    patch.setattr(model.get_layer("resnet.root_block.pool"), "padding", "same")


def minus_infinity_pool(model, patch):
    border = ((0, 0), (1, 1), (1, 1), (0, 0))
    patch.setattr(
        model.get_layer("resnet.root_block.pad"), "call", lambda x: ops.pad(x, border, constant_values=-np.inf)
    )


def stride_on_the_first_convolution(model, patch):
    for layer in convolutions(model):
        if layer.strides == 2 and ".b." in layer.name:
            patch.setattr(layer, "strides", 1)
            patch.setattr(model.get_layer(layer.name.replace(".b.", ".a.")), "strides", 2)


def standardization_epsilon(value):
    def mistake(model, patch):
        for layer in convolutions(model):
            patch.setattr(layer, "epsilon", value)

    return mistake


def unbiased_variance(model, patch):
    for layer in convolutions(model):
        n = int(np.prod(layer.kernel.shape[:3]))
        patch.setattr(
            layer,
            "standardized_kernel",
            lambda layer=layer, n=n: StandardizedConv2D.standardized_kernel(layer) * np.float32(np.sqrt((n - 1) / n)),
        )


def norm_epsilon(model, patch):
    for layer in model.layers:
        if layer.name.endswith("group_norm"):
            patch.setattr(layer, "epsilon", 1e-3)


def interleaved_groups(model, patch):
    for layer in model.layers:
        if layer.name.endswith("group_norm"):
            patch.setattr(layer, "groups", layer.groups // 2)


MISTAKES = {
    "no weight standardisation": no_standardization,
    "projection fed the raw stream": projection_of_the_raw_stream,
    "SAME convolution padding": same_padding,
    "SAME pool": same_pool,
    "pool padded with minus infinity": minus_infinity_pool,
    "stride on the first 1x1": stride_on_the_first_convolution,
    "standardisation epsilon 1e-8": standardization_epsilon(1e-8),
    "standardisation epsilon 1e-6": standardization_epsilon(1e-6),
    "unbiased variance": unbiased_variance,
    "group-norm epsilon 1e-3": norm_epsilon,
    "sixteen groups": interleaved_groups,
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_the_bound_catches_every_known_mistake(mistake, backbone, pixels, official, monkeypatch):
    mistake(backbone, monkeypatch)
    found = features(backbone, pixels[:1])
    assert relative(found, official[:1]) > CAUGHT
    assert np.abs(found - official[:1]).max() > AGREEMENT


def test_the_bound_catches_input_left_between_0_and_1(backbone, pixels, official):
    assert relative(features(backbone, (pixels[:1] + 1) / 2), official[:1]) > CAUGHT


@pytest.mark.parametrize("sides", [(225, 257), (33, 47), (128, 128)])
def test_trainable_and_exported_graphs_agree_at_odd_sizes(sides):
    weights = random_weights(SMALL, 3)
    x = np.random.default_rng(1).uniform(-1, 1, (2, *sides, 3)).astype("float32")
    models = [build_backbone(SMALL), build_export_backbone(SMALL)]
    for model in models:
        assign(model, weights)
    plain, exported = (features(model, x) for model in models)
    assert plain.shape == (2, SMALL.n_features)
    assert relative(exported, plain) < 1e-5


@pytest.mark.parametrize("fold", [True, False])
def test_trunk_then_tail_is_the_backbone_at_every_depth(fold):
    weights = random_weights(TINY, 5)
    x = np.random.default_rng(2).uniform(-1, 1, (2, 65, 50, 3)).astype("float32")
    whole = build_backbone(TINY)
    assign(whole, weights)
    expected = features(whole, x)
    depths = range(TINY.max_depth + 1)
    trunk = build_trunk(TINY, (65, 50), depths, fold=fold)
    assign(trunk, weights)
    assert not trunk.trainable_variables
    boundaries = trunk(x)
    for depth in depths:
        boundary = boundaries[boundary_key(depth)]
        assert tuple(boundary.shape[1:]) == TINY.boundary_shape(depth, (65, 50))
        tail = build_tail(TINY, depth, boundary.shape[1:])
        assign(tail, weights)
        assert tuple(sorted(official_variables(tail))) == tuple(sorted(TINY.trained_variables(depth)))
        assert relative(features(tail, boundary), expected) < 1e-5


def test_a_tail_reads_boundaries_stored_in_float16():
    weights = random_weights(TINY)
    tail = build_tail(TINY, 1, (5, 5, TINY.unit_sequence[-1].in_channels))
    assign(tail, weights)
    x = np.random.default_rng(0).normal(0, 30, (2, *tail.input_shape[1:])).astype("float16")
    assert relative(features(tail, x), features(tail, x.astype("float32"))) == 0


@pytest.mark.parametrize("depth", range(TINY.max_depth + 1))
def test_exactly_the_variables_of_the_depth_train(depth):
    weights = random_weights(TINY)
    tail = build_tail(TINY, depth, TINY.boundary_shape(depth, (64, 64)))
    assign(tail, weights)
    model = keras.Sequential([tail, keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (4, *tail.input_shape[1:])).astype("float32")
    model.train_on_batch(x, np.array([0, 1, 2, 1]))
    moved = {
        name for name, v in official_variables(model).items() if not np.array_equal(np.asarray(v), weights.arrays[name])
    }
    assert moved == set(TINY.trained_variables(depth))


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


def test_an_exported_file_opens_where_this_package_is_not_installed(tmp_path):
    model = build_export_backbone(SMALL, 64)
    assign(model, random_weights(SMALL))
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
    assign(model, random_weights(TINY))
    model.save(tmp_path / "bit.keras")
    reloaded = keras.saving.load_model(tmp_path / "bit.keras")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 40, 40, 3)).astype("float32")
    np.testing.assert_array_equal(reloaded.predict_on_batch(x), model.predict_on_batch(x))
