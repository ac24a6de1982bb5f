"""The mean of several models as one network with one trunk: what is frozen runs once, then each member's tail and head.

The members were trained from one configuration on one pretrained backbone and differ behind its unfreeze depth alone.
Output is the mean of their probabilities. Members are the inner models ``member_1``, ``member_2``, …, from the boundary
of the unfreeze depth to probabilities, so that each one's own answer can be read from the file.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from search.bit.architecture import BitArchitecture
from search.bit.backbone import assign_official, build_export_trunk, export_tail
from search.bit.weights import BitWeights
from search.export.model import prepared_input
from search.trials.head import plain_head
from search.trials.tail import TrainedTail


def assemble_members(
    architecture: BitArchitecture,
    weights: BitWeights,
    tails: Sequence[TrainedTail],
    *,
    unfreeze_depth: int,
    image_size: int,
    head_width: int,
    n_classes: int,
    name: str,
) -> keras.Model:
    """Join the trunk and the trained parts of several models in one inference model.

    Args:
        architecture: The backbone's.
        weights: Pretrained weights, for what was frozen.
        tails: The trained part of each member, two or more.
        unfreeze_depth: Where the trained parts begin.
        image_size: Side of the prepared images in pixels.
        head_width: Units of the heads' hidden layer; 0 for linear heads.
        n_classes: Number of classes.
        name: Of the model.
    """
    image, pixels = prepared_input(image_size)
    boundary = pixels
    if unfreeze_depth < architecture.max_depth:
        trunk = build_export_trunk(architecture, image_size, unfreeze_depth)
        assign_official(trunk, weights.arrays)
        boundary = trunk(pixels)
    said = []
    for number, tail in enumerate(tails, start=1):
        inside = keras.Input(boundary.shape[1:], name="boundary")
        logits = plain_head(export_tail(architecture, unfreeze_depth, inside), width=head_width, n_classes=n_classes)
        member = keras.Model(inside, keras.layers.Softmax(name="probabilities")(logits), name=f"member_{number}")
        assign_official(member, {**weights.arrays, **tail.backbone})
        for layer, values in tail.head.items():
            member.get_layer(layer).set_weights(values)
        said.append(member(boundary))
    return keras.Model(image, keras.layers.Average(name="probabilities")(said), name=name)
