"""Class activation maps: gradients against differences, cells against pixels, circles against the phantom's lesions."""

import numpy as np
import pytest

from search.bit.architecture import R50X1, SMALL

SIZE = 96


@pytest.fixture(scope="module")
def tail(tensorflow_started):
    """A trained-looking tail at unfreeze depth 1: random head, pretrained (random) backbone."""
    from search.bit.weights import random_weights
    from search.final.inference import FinalNetwork
    from search.trials.tail import TrainedTail

    weights = random_weights(SMALL, 0)
    network = FinalNetwork(SMALL, weights, 1, SIZE, head_width=8, n_classes=3)
    model = network.tail(1)
    rng = np.random.default_rng(0)
    shapes = {layer.name: [value.shape for value in layer.get_weights()] for layer in model.layers}
    head = {
        name: [np.abs(rng.normal(1, 0.2, shape)).astype(np.float32) for shape in shapes[name]]
        for name in ("head_input_norm", "head_norm")
    } | {
        name: [rng.normal(0, 0.3, shape).astype(np.float32) for shape in shapes[name]]
        for name in ("head_dense", "head_logits")
    }
    backbone = {name: weights.arrays[name] for name in SMALL.trained_variables(1)}
    return network, TrainedTail(backbone, head, ())


@pytest.fixture(scope="module")
def saliency(tail):
    from search.final.saliency import SaliencyModel

    return SaliencyModel(*tail)


def test_the_places_are_the_boundary_and_the_nearest_finer_one():
    from search.final.saliency import map_kinds

    assert [(kind.method, kind.depth, kind.stride) for kind in map_kinds(R50X1, 0, 448)] == [
        ("Grad-CAM", 1, 32),
        ("HiResCAM", 1, 32),
        ("HiResCAM", 3, 16),
    ]
    assert [(kind.depth, kind.stride) for kind in map_kinds(R50X1, 3, 448)] == [(3, 16), (3, 16), (9, 8)]
    assert [kind.stride for kind in map_kinds(R50X1, R50X1.max_depth, 448)] == [4, 4]


def test_maps_come_from_the_true_gradient(saliency, tail):
    """The gradient inside HiResCAM is that of the logit: a small step along it changes the logit as it says."""
    from search.export.activation_maps import ClassGradients
    from search.final.inference import network_pixels

    images = np.random.default_rng(1).integers(0, 255, (1, SIZE, SIZE), dtype=np.uint8)
    depth = saliency.kinds[0].depth
    boundaries = saliency._trunk(np.repeat(network_pixels(images), 8, axis=0))
    activations = np.asarray(boundaries[saliency._depths.index(depth)][:1], np.float32)
    model = saliency._tails[depth]
    gradients = ClassGradients(model)(activations, np.array([2]))
    step = 1e-2 * gradients / np.linalg.norm(gradients)
    up, down = (float(model(activations + side * step)[0, 2]) for side in (1, -1))
    assert (up - down) / 2 == pytest.approx(1e-2 * np.linalg.norm(gradients), rel=0.02)


def test_images_are_explained_apart_whatever_their_batch(saliency):
    images = np.random.default_rng(2).integers(0, 255, (11, SIZE, SIZE), dtype=np.uint8)
    classes = np.arange(11) % 3
    together = saliency.maps(images, classes)
    alone = saliency.maps(images[9:10], classes[9:10])
    for kind in saliency.kinds:
        assert together[kind].shape == (11, SIZE // kind.stride, SIZE // kind.stride)
        assert together[kind].min() >= 0
        np.testing.assert_allclose(together[kind][9], alone[kind][0], rtol=1e-3, atol=1e-5 * together[kind].max())


def test_a_cell_is_centred_on_the_pixel_that_its_number_times_the_stride_names(saliency):
    """A spot that moves over the image moves the change that it makes in the boundary by as many cells."""
    from reports.figures.overlays import on_canvas
    from search.final.inference import network_pixels
    from search.final.saliency import peak

    rng = np.random.default_rng(3)
    ground = rng.integers(90, 110, (SIZE, SIZE)).astype(np.uint8)
    errors = []
    for x, y in rng.integers(24, SIZE - 24, (24, 2)):
        spot = ground.copy()
        spot[y - 2 : y + 3, x - 2 : x + 3] = 255
        pixels = np.concatenate([network_pixels(image[None]) for image in (ground, spot)] * 4)
        for depth, values in zip(saliency._depths, saliency._trunk(pixels), strict=True):
            stride = next(kind.stride for kind in saliency.kinds if kind.depth == depth)
            change = np.abs(values[1] - values[0]).sum(axis=-1)
            change = np.maximum(change - np.quantile(change, 0.9), 0)
            rows, columns = np.mgrid[: change.shape[0], : change.shape[1]]
            centre = [(change * axis).sum() / change.sum() * stride for axis in (columns, rows)]
            errors.append((np.array(centre) - (x, y)) / stride)
            assert peak(change, stride) is not None
    # Half a stride would be the error of a map that is stretched edge to edge.
    assert np.abs(np.mean(errors, axis=0)).max() < 0.2
    cam = np.zeros((6, 6), np.float32)
    cam[2, 3] = 5
    canvas = on_canvas(cam, 16, SIZE)
    assert np.unravel_index(canvas.argmax(), canvas.shape) == (32, 48)
    assert canvas.max() == 1
    assert peak(cam, 16) == (48.0, 32.0)
    assert peak(np.zeros((6, 6), np.float32), 16) is None


def test_circles_of_prepared_images_lie_on_the_phantom_s_lesions(phantom, tmp_path):
    """From Info.txt, whose y counts from the bottom, to the canvas: lesions are brighter than what is around them."""
    from mammo_data.preparation.prepared import PreparationSettings, prepare
    from mammo_data.sources.open import open_source
    from search.final.localisation import circles_of

    prepared = prepare(open_source(phantom), PreparationSettings(image_size=128), tmp_path)
    rows, columns = np.mgrid[:128, :128]

    def contrast(image, x, y, radius):
        distance = np.hypot(columns - x, rows - y)
        around = image[(distance > 1.2 * radius) & (distance < 1.7 * radius) & (image > 0)]
        inside = image[distance < 0.4 * radius]
        return inside.mean() - around.mean() if len(around) and len(inside) else 0.0

    right, flipped = [], []
    for case, image in zip(prepared.table.cases, np.asarray(prepared.images, np.float32), strict=True):
        for x, y, radius in circles_of(case):
            right.append(contrast(image, x, y, radius))
            flipped.append(contrast(image, x, 127 - y, radius))
    assert len(right) > 15
    assert np.mean(np.array(right) > 0) > 0.9
    assert np.mean(right) > 3 * abs(np.mean(flipped))
