"""What each precision policy costs, and how `auto` decides."""

from pathlib import Path

import keras
import numpy as np
import pytest

from search.bit_backbone import R50X1, SMALL, assign_official, boundary_key, build_tail, build_trunk, official_variables
from search.bit_weights import random_weights
from search.precision import MEASURED_DEVIATION, choose_precision, has_bfloat16_tiles
from tests.search.test_bit_backbone import recipe_weight, relative


@pytest.mark.parametrize("policy", MEASURED_DEVIATION)
def test_the_deviation_of_a_policy_is_the_one_that_is_told(policy):
    pixels = np.random.default_rng(224 * 1000 + 224).uniform(-1, 1, (2, 224, 224, 3)).astype("float32")
    with np.load(Path(__file__).parent / "data" / "official_forward_224.npz") as archive:
        official = archive["features"]
    trunk = build_trunk(R50X1, 224, [0], dtype=policy)
    assign_official(trunk, {name: recipe_weight(name, shape) for name, shape in R50X1.variable_shapes.items()})
    found = trunk.predict_on_batch(pixels)[boundary_key(0)]
    assert found.dtype == np.float32
    assert relative(found, official) < 2 * MEASURED_DEVIATION[policy]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_masters_and_gradients_stay_float32_and_finite(policy):
    weights = random_weights(SMALL)
    tail = build_tail(SMALL, 2, SMALL.boundary_shape(2, (64, 64)), dtype=policy)
    # Kernels as small as the published ones: their variance is near the epsilon, where float16 would overflow.
    assign_official(tail, {n: a * np.float32(1e-4) if a.ndim == 4 else a for n, a in weights.arrays.items()})
    model = keras.Sequential([tail, keras.layers.Dense(3, dtype="float32")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x = np.random.default_rng(0).normal(0, 3, (4, *tail.input_shape[1:])).astype("float32")
    loss = model.train_on_batch(x, np.array([0, 1, 2, 0]))
    assert np.isfinite(loss)
    for variable in official_variables(tail).values():
        assert keras.backend.standardize_dtype(variable.dtype) == "float32"
        assert np.isfinite(np.asarray(variable)).all()


def test_auto_takes_float32_without_tiles_and_tells_why(tmp_path):
    assert not has_bfloat16_tiles(tmp_path / "no-such-file")
    (tmp_path / "cpuinfo").write_text("flags : fpu avx512f amx_tile amx_bf16\n")
    assert has_bfloat16_tiles(tmp_path / "cpuinfo")
    choice = choose_precision("auto")
    assert choice.policy in MEASURED_DEVIATION
    assert choice.reason
    assert choose_precision("mixed_float16").deviation == MEASURED_DEVIATION["mixed_float16"]
    with pytest.raises(ValueError, match="Expected auto"):
        choose_precision("float8")
