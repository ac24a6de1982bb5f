"""What each precision costs, what stays float32 under all of them, and how `auto` is settled."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from search.bit_backbone import R50X1, SMALL, assign_official, boundary_key, build_tail, build_trunk, official_variables
from search.bit_layers import ChannelMomentsGroupNorm
from search.bit_weights import random_weights
from search.errors import RunError
from search.precision import MEASURED_DEVIATION, POLICIES, choose_precision, has_bfloat16_instructions
from search.space import Configuration
from tests.search.test_bit_backbone import recipe_weight, relative


@pytest.fixture(scope="module")
def recipe():
    return {name: recipe_weight(name, shape) for name, shape in R50X1.variable_shapes.items()}


@pytest.mark.parametrize("policy", MEASURED_DEVIATION)
def test_the_deviation_of_a_policy_is_the_one_that_is_told(policy, recipe):
    pixels = np.random.default_rng(224 * 1000 + 224).uniform(-1, 1, (2, 224, 224, 3)).astype("float32")
    with np.load(Path(__file__).parent / "data" / "official_forward_224.npz") as archive:
        official = archive["features"]
    trunk = build_trunk(R50X1, 224, [0], dtype=policy)
    assign_official(trunk, recipe)
    found = trunk.predict_on_batch(pixels)[boundary_key(0)]
    assert found.dtype == np.float32
    assert MEASURED_DEVIATION[policy] / 2 < relative(found, official) < 1.5 * MEASURED_DEVIATION[policy]


def test_the_deviation_of_a_stored_boundary_and_of_a_tail_in_bfloat16(recipe):
    """Depth 1 of R50x1, each part of the way alone, against float32 throughout."""
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, 96, 96, 3)).astype("float32")
    boundaries, tails = {}, {}
    for policy in POLICIES.values():
        trunk = build_trunk(R50X1, 96, [1], dtype=policy)
        assign_official(trunk, recipe)
        boundaries[policy] = np.asarray(trunk.predict_on_batch(pixels)[boundary_key(1)], np.float32)
        tails[policy] = build_tail(R50X1, 1, boundaries[policy].shape[1:], dtype=policy)
        assign_official(tails[policy], recipe)
    exact = tails["float32"].predict_on_batch(boundaries["float32"])
    stored = tails["float32"].predict_on_batch(boundaries["float32"].astype(np.float16).astype(np.float32))
    tail_alone = tails["mixed_bfloat16"].predict_on_batch(boundaries["float32"])
    both = tails["mixed_bfloat16"].predict_on_batch(boundaries["mixed_bfloat16"])
    assert relative(stored, exact) < 1e-3
    assert relative(tail_alone, exact) < 0.01
    assert relative(both, exact) < 1.5 * MEASURED_DEVIATION["mixed_bfloat16"]


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


def test_group_norm_keeps_its_statistics_and_its_shift_in_float32():
    """Far from zero, anything less than float32 between the input and the result would be off by tenths."""
    layer = ChannelMomentsGroupNorm(2, dtype="mixed_bfloat16")
    x = keras.ops.cast(np.random.default_rng(0).normal(20, 1, (2, 64, 64, 8)), "bfloat16")
    found = np.asarray(keras.ops.cast(layer(x), "float32"))
    wide = np.asarray(keras.ops.cast(x, "float32")).astype(np.float64).reshape(2, 64 * 64, 2, 4)
    mean, variance = wide.mean((1, 3), keepdims=True), wide.var((1, 3), keepdims=True)
    expected = np.maximum((wide - mean) / np.sqrt(variance + 1e-5), 0).reshape(found.shape)
    assert np.abs(found - expected).max() < 2**-8 * expected.max()


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("mixed_bfloat16", 0.02)])
def test_an_exported_model_is_float32_and_near_the_trained_one(engine, dtype, bound, tmp_path):
    from search.cross_validation import softmax
    from search.export import assemble_model, load_exported, predict_images, save_model
    from search.retrain import retrain
    from search.tail_trainer import TailTrainer
    from search.trunk import frozen_trunk

    configuration = Configuration(16, dropout=0.1, l2=1e-4, learning_rate=1e-2, unfreeze_depth=1)
    trainer = TailTrainer(
        engine.architecture,
        engine.weights,
        depth=1,
        boundary_shape=engine.data.banks[1].shape,
        head_width=16,
        n_classes=3,
        optimizer="sgd",
        dtype=dtype,
    )
    (tail,) = retrain(trainer, configuration, engine.data, engine.settings, epochs=3, seeds=1)
    model = assemble_model(engine.architecture, engine.weights, tail, image_size=48, head_width=16, n_classes=3)
    save_model(model, tmp_path / "model.keras")
    exported = load_exported(tmp_path / "model.keras")
    assert {layer.dtype_policy.name for layer in exported.layers} == {"float32"}
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in exported.weights} == {"float32"}
    for name, master in tail.backbone.items():
        assert master.dtype == np.float32, name
    images = np.random.default_rng(3).integers(0, 256, (6, 48, 48), dtype=np.uint8)
    pixels = np.repeat(images[..., None] / np.float32(127.5) - 1, 3, axis=-1).astype(np.float32)
    trunk = frozen_trunk(engine.architecture, engine.weights, image_size=48, depths=(1,), dtype=dtype)
    (boundary,) = trunk(pixels)
    assert boundary.dtype == np.float32
    trained = softmax(trainer.logits(boundary, np.arange(6)))
    assert np.abs(predict_images(exported, images, np.arange(6)) - trained).max() < bound


def test_auto_is_float32_where_there_is_no_bfloat16(tmp_path):
    assert not has_bfloat16_instructions(tmp_path / "no-such-file")
    plain = tmp_path / "cpuinfo"
    plain.write_text("flags : fpu avx512f amx_tile amx_int8\n")
    choice = choose_precision("auto", cpuinfo=plain)
    assert (choice.name, choice.policy, choice.reason) == ("float32", "float32", "the CPU has no bfloat16")
    for flag in ("amx_bf16", "avx512_bf16", "bf16"):
        plain.write_text(f"flags : fpu {flag} avx512f\n")
        assert has_bfloat16_instructions(plain)


def test_the_probe_is_asked_once_a_machine(tmp_path):
    able = tmp_path / "cpuinfo"
    able.write_text("flags : amx_bf16\n")
    first = choose_precision("auto", cache=tmp_path, cpuinfo=able)
    assert first.name in POLICIES
    assert "times float32's speed" in first.reason
    file = tmp_path / "bfloat16-probe.json"
    known = json.loads(file.read_text())
    for gain, name in ((1.19, "float32"), (1.21, "bfloat16")):
        file.write_text(json.dumps({**known, "gain": gain}))
        assert choose_precision("auto", cache=tmp_path, cpuinfo=able).name == name
    file.write_text(json.dumps({"machine": ["another"], "gain": 99}))
    assert "99" not in choose_precision("auto", cache=tmp_path, cpuinfo=able).reason
    assert json.loads(file.read_text())["machine"] == known["machine"]


def test_a_run_keeps_what_it_began_with_or_is_refused(tmp_path):
    plain = tmp_path / "cpuinfo"
    plain.write_text("flags : fpu\n")
    assert choose_precision("auto", began_with="float32", cpuinfo=plain).name == "float32"
    with pytest.raises(RunError, match=r"began with it .* the CPU has no bfloat16\. Resume it where it began"):
        choose_precision("auto", began_with="bfloat16", cpuinfo=plain)
    plain.write_text("flags : amx_bf16\n")
    for name in POLICIES:
        assert choose_precision("auto", began_with=name, cpuinfo=plain) == replace(
            choose_precision(name), reason="as the run began"
        )


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match="Expected auto"):
        choose_precision("float8")
