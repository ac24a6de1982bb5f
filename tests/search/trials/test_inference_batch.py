"""How many images are validated at a time: as many as ever, but for boundaries of large images."""

import pytest

from search.bit.architecture import R50X1
from search.trials.tail import inference_batch


@pytest.mark.parametrize(
    ("depth", "side", "images"), [(0, 896, 64), (3, 448, 64), (6, 224, 64), (17, 224, 64), (17, 448, 64), (17, 896, 16)]
)
def test_a_batch_is_smaller_where_its_boundary_values_would_take_256_megabytes(depth, side, images):
    shape = R50X1.boundary_shape(depth, (side, side))
    assert inference_batch(shape) == images
    values = 4
    for length in shape:
        values *= length
    assert images * values <= 256 * 2**20 < 2 * images * values or images == 64
