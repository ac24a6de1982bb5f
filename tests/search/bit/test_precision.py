"""What each precision costs, what stays float32 under all of them, and how `auto` is settled."""

import json
import os
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from search.bit.architecture import R50X1, SMALL
from search.bit.backbone import assign_official, boundary_key, build_tail, build_trunk, official_variables
from search.bit.layers import ChannelMomentsGroupNorm
from search.bit.precision import MEASURED_DEVIATION, choose_precision, has_bfloat16_instructions
from search.bit.precision_probe import bfloat16_gain
from search.bit.weights import random_weights
from search.errors import RunError
from search.machine.libraries import processor_name
from search.plan.space import Configuration
from tests.support.official_features import official_features, official_pixels, relative
from tests.support.waiting import held_until_it_is_said


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("float32", MEASURED_DEVIATION["float32"]),
        ("mixed_bfloat16", MEASURED_DEVIATION["bfloat16"]),
        ("mixed_float16", 0.0033),
    ],
)
def test_the_deviation_of_the_whole_backbone_is_the_one_that_is_told(policy, told, recipe):
    trunk = build_trunk(R50X1, 224, [0], dtype=policy)
    assign_official(trunk, recipe)
    found = trunk.predict_on_batch(official_pixels())[boundary_key(0)]
    assert found.dtype == np.float32
    # Told is what a processor with AMX gives; one with AVX2 alone sums in another order, to 6.9e-6 in float32.
    assert told / 2 < relative(found, official_features()) < 2 * told


def test_the_deviations_of_a_stored_boundary_and_of_a_tail_are_the_ones_that_are_told(recipe):
    """The last three units of R50x1 from one boundary, against float32 throughout."""
    pixels = np.random.default_rng(1).uniform(-1, 1, (2, 224, 224, 3)).astype("float32")
    trunk = build_trunk(R50X1, 224, [3])
    assign_official(trunk, recipe)
    boundary = trunk.predict_on_batch(pixels)[boundary_key(3)]
    features = {}
    for policy in ("float32", "mixed_bfloat16"):
        tail = build_tail(R50X1, 3, boundary.shape[1:], dtype=policy)
        assign_official(tail, recipe)
        features[policy] = tail.predict_on_batch(boundary)
        if policy == "float32":
            stored = tail.predict_on_batch(boundary.astype(np.float16).astype(np.float32))
    told = MEASURED_DEVIATION["bfloat16-tail"]
    assert relative(stored, features["float32"]) < 1.5e-4
    assert told / 2 < relative(features["mixed_bfloat16"], features["float32"]) < 1.5 * told


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


@pytest.mark.parametrize(("name", "bound"), [("float32", 1e-5), ("bfloat16-tail", 0.005), ("bfloat16", 0.02)])
def test_an_exported_model_is_float32_and_near_the_trained_one(engine, name, bound, tmp_path):
    from reports.metrics.calibration import softmax
    from search.boundary.trunk import frozen_trunk
    from search.export.model import assemble_model, load_exported, predict_images, save_model
    from search.trials.tail import TailTrainer
    from tests.support.retrained import retrain

    configuration = Configuration(16, dropout=0.1, l2=1e-4, learning_rate=1e-2, unfreeze_depth=1)
    trainer = TailTrainer(
        engine.architecture,
        engine.weights,
        depth=1,
        boundary_shape=engine.data.banks[1].shape,
        head_width=16,
        n_classes=3,
        optimizer="sgd",
        dtype=choose_precision(name, gain=not_asked).tail_policy,
    )
    (tail,) = retrain(trainer, configuration, engine.data, engine.settings, epochs=3, seeds=1)
    model = assemble_model(engine.architecture, engine.weights, tail, image_size=48, head_width=16, n_classes=3)
    save_model(model, tmp_path / "model.keras")
    exported = load_exported(tmp_path / "model.keras")
    assert {layer.dtype_policy.name for layer in exported.layers} == {"float32"}
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in exported.weights} == {"float32"}
    assert {master.dtype for master in tail.backbone.values()} == {np.dtype(np.float32)}
    images = np.random.default_rng(3).integers(0, 256, (6, 48, 48), dtype=np.uint8)
    pixels = np.repeat(images[..., None] / np.float32(127.5) - 1, 3, axis=-1).astype(np.float32)
    policy = choose_precision(name, gain=not_asked).trunk_policy
    trunk = frozen_trunk(engine.architecture, engine.weights, image_size=48, depths=(1,), dtype=policy)
    (boundary,) = trunk(pixels)
    assert boundary.dtype == np.float32
    trained = softmax(trainer.logits(boundary, np.arange(6)))
    difference = np.abs(predict_images(exported, images, np.arange(6)) - trained).max()
    assert difference < bound
    assert name == "float32" or difference > 1e-5, "the precision is in use"


def not_asked() -> float:
    raise AssertionError("the probe decides nothing here")


def test_auto_is_float32_where_there_is_no_bfloat16(tmp_path):
    assert not has_bfloat16_instructions(tmp_path / "no-such-file")
    plain = tmp_path / "cpuinfo"
    plain.write_text("flags : fpu avx512f amx_tile amx_int8\n")
    choice = choose_precision("auto", gain=not_asked, cpuinfo=plain)
    assert (choice.name, choice.reason) == ("float32", "the CPU has no bfloat16")
    assert choice.trunk_policy == choice.tail_policy == "float32"
    for flag in ("amx_bf16", "avx512_bf16", "bf16"):
        plain.write_text(f"flags : fpu {flag} avx512f\n")
        assert has_bfloat16_instructions(plain)


@pytest.mark.slow
def test_the_probe_is_asked_once_a_machine(tmp_path):
    able = tmp_path / "cpuinfo"
    able.write_text("flags : amx_bf16\n")
    first = choose_precision("auto", gain=lambda: bfloat16_gain(tmp_path), cpuinfo=able)
    assert first.trunk_policy == "float32", "auto leaves the trunk alone"
    assert "times float32's speed" in first.reason
    file = tmp_path / "bfloat16-probe.json"
    known = json.loads(file.read_text())
    assert known["machine"] == [processor_name(), f"{os.cpu_count()} cores", tf.__version__]
    for gain, name in ((1.19, "float32"), (1.21, "bfloat16-tail")):
        file.write_text(json.dumps({**known, "gain": gain}))
        assert choose_precision("auto", gain=lambda: bfloat16_gain(tmp_path), cpuinfo=able).name == name
    file.write_text(json.dumps({"machine": ["another"], "gain": 99}))
    assert "99" not in choose_precision("auto", gain=lambda: bfloat16_gain(tmp_path), cpuinfo=able).reason
    assert json.loads(file.read_text())["machine"] == known["machine"]


def test_who_waits_for_the_probe_of_another_process_says_so_and_measures_nothing(tmp_path):
    file, machine = tmp_path / "bfloat16-probe.json", [processor_name(), f"{os.cpu_count()} cores", tf.__version__]
    answer = json.dumps({"machine": machine, "gain": 1.75})
    with held_until_it_is_said(file.with_suffix(".lock"), lambda: file.write_text(answer)) as said:
        assert bfloat16_gain(tmp_path) == 1.75
    assert said[0].startswith("waiting for process")
    assert said[1:] == [""]


def test_a_run_keeps_what_it_began_with_or_is_refused(tmp_path):
    plain = tmp_path / "cpuinfo"
    plain.write_text("flags : fpu\n")
    assert choose_precision("auto", gain=not_asked, began_with="float32", cpuinfo=plain).name == "float32"
    with pytest.raises(RunError, match=r"began with it .* the CPU has no bfloat16\. Resume it where it began"):
        choose_precision("auto", gain=not_asked, began_with="bfloat16-tail", cpuinfo=plain)
    plain.write_text("flags : amx_bf16\n")
    for name in ("float32", "bfloat16-tail"):
        assert choose_precision("auto", gain=not_asked, began_with=name, cpuinfo=plain) == replace(
            choose_precision(name, gain=not_asked), reason="as the run began"
        )


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match="Expected auto"):
        choose_precision("float8", gain=not_asked)
