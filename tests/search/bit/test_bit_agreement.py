"""The native BiT against the features that Google's TF2 code gave, and whether that would catch each known mistake."""

import keras
import numpy as np
import pytest
from keras import ops

from search.bit.architecture import R50X1
from search.bit.backbone import assign_official, boundary_key, build_backbone, build_export_backbone, build_trunk
from search.bit.layers import StandardizedConv2D
from tests.support.official_features import official_features, official_pixels, relative

AGREEMENT = 1e-4
# Relative L2 that every mistake must exceed to count as caught; a right forward pass stays 4 times below it.
CAUGHT = 3e-5


@pytest.fixture(scope="module")
def official() -> np.ndarray:
    return official_features()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return official_pixels()


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
