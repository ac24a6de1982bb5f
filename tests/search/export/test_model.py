"""The exported network against the trainable one: pixels scaled, kernels folded, the head put in its place."""

import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from scipy.special import softmax

from search.bit.architecture import SMALL
from search.bit.backbone import assign_official, build_backbone
from search.bit.weights import random_weights
from search.export.model import assemble_model, load_exported, predict_images, save_model
from search.trials.head import plain_head
from search.trials.tail import TrainedTail

SIDE = 48


def test_the_same_weights_have_the_same_bytes_whatever_was_made_before(tmp_path):
    weights, rng = random_weights(SMALL, 0), np.random.default_rng(0)
    head = {
        name: [rng.normal(size=shape).astype(np.float32) for shape in shapes]
        for name, shapes in {"head_dense": ((512, 16), (16,)), "head_logits": ((16, 3), (3,))}.items()
    }
    contents = []
    for number in range(2):
        model = assemble_model(SMALL, weights, TrainedTail({}, head, ()), image_size=SIDE, head_width=16, n_classes=3)
        path = tmp_path / f"{number}.keras"
        save_model(model, path)
        contents.append(path.read_bytes())
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu")])
    assert contents[0] == contents[1]
    again = load_exported(path)
    assert all(np.array_equal(*pair) for pair in zip(again.get_weights(), model.get_weights(), strict=True))
    save_model(again, tmp_path / "again.keras")
    assert (tmp_path / "again.keras").read_bytes() == contents[0]
    with zipfile.ZipFile(path) as archive:
        assert b"shared_object_id" not in archive.read("config.json")
        assert {member.date_time[0] for member in archive.infolist()} == {1980}


def trained_looking_head(model, pixels, rng):
    """Give a model's head weights of which none is neutral, and logits of about 1 on these pixels."""
    head = {}
    for layer in model.layers:
        if layer.name.startswith("head_") and layer.weights:
            shapes = [each.shape for each in layer.get_weights()]
            head[layer.name] = [
                (rng.uniform(0.5, 1.5, shape) if len(shape) == 1 else rng.normal(size=shape)).astype(np.float32)
                for shape in shapes
            ]
            layer.set_weights(head[layer.name])
    logits = model.predict_on_batch(pixels)
    kernel, bias = head["head_logits"]
    spread = logits.std(axis=0)
    head["head_logits"] = [kernel / spread, (bias - logits.mean(axis=0)) / spread]
    model.get_layer("head_logits").set_weights(head["head_logits"])
    return head


def test_the_exported_network_is_the_trainable_one_from_pixels_to_probabilities():
    """With kernels as small as genuine ones, and smaller: the epsilon of their standardisation is a part of them."""
    rng = np.random.default_rng(0)
    weights = random_weights(SMALL, 0)
    arrays = {
        name: values * np.float32(1e-5 / values.std() if "standardized_conv2d" in name else 1)
        for name, values in weights.arrays.items()
    }
    pixels = keras.Input((SIDE, SIDE, 3))
    backbone = build_backbone(SMALL, SIDE)
    assign_official(backbone, arrays)
    trained = keras.Model(pixels, plain_head(backbone(pixels), width=16, n_classes=3))
    images = (rng.integers(0, 256, (6, SIDE, SIDE)) * np.linspace(0.2, 1, 6)[:, None, None]).astype(np.uint8)
    grey = images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    colours = np.repeat(grey[..., None], 3, axis=-1)
    head = trained_looking_head(trained, colours, rng)
    exported = assemble_model(
        SMALL,
        replace(weights, arrays=arrays),
        TrainedTail({}, head, ()),
        image_size=SIDE,
        head_width=16,
        n_classes=3,
    )
    expected = softmax(trained.predict_on_batch(colours).astype(np.float64), axis=1)
    assert np.ptp(expected, axis=0).max() > 0.1, "the images are told apart"
    order = np.array([4, 0, 5, 2])
    np.testing.assert_allclose(predict_images(exported, images, order), expected[order], atol=2e-5)


@pytest.mark.parametrize(("depth", "width"), [(0, 0), (1, 16), (SMALL.n_units, 0), (SMALL.max_depth, 16)])
def test_a_mean_is_that_of_networks_of_their_own_wherever_their_common_trunk_ends(depth, width, tmp_path):
    from search.export.members import assemble_members
    from search.export.model import member_outputs

    rng, weights, tails = np.random.default_rng(depth), random_weights(SMALL, 0), []
    shapes = {"head_logits": ((512, 3), (3,))}
    if width:
        shapes = {"head_dense": ((512, width), (width,)), "head_logits": ((width, 3), (3,))}
    for _ in range(3):
        head = {
            name: [(rng.normal(size=shape) / 8).astype(np.float32) for shape in each] for name, each in shapes.items()
        }
        backbone = {
            name: (weights.arrays[name] + rng.normal(size=weights.arrays[name].shape) / 10).astype(np.float32)
            for name in SMALL.trained_variables(depth)
        }
        tails.append(TrainedTail(backbone, head, ()))
    common = {"image_size": SIDE, "head_width": width, "n_classes": 3}
    mean = assemble_members(SMALL, weights, tails, unfreeze_depth=depth, name="mean", **common)
    images = rng.integers(0, 256, (5, SIDE, SIDE, 1)).astype(np.float32)
    alone = [assemble_model(SMALL, weights, tail, **common).predict_on_batch(images) for tail in tails]
    assert np.ptp(alone, axis=0).max() > 0.05, "the members differ"
    save_model(mean, tmp_path / "mean.keras")
    again = load_exported(tmp_path / "mean.keras")
    np.testing.assert_allclose(again.predict_on_batch(images), np.mean(alone, axis=0), atol=1e-6)
    members = keras.Model(again.input, member_outputs(again)).predict_on_batch(images)
    np.testing.assert_allclose(members, alone, atol=1e-6)
