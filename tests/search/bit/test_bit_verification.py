"""Are these the published tensors? Each is compared by its checksum, and those that differ are named."""

import numpy as np

from search.bit.architecture import R50X1
from search.bit.family import FAMILY, published_checksums, verify, verify_backbone
from search.bit.weights import random_weights
from tests.support.bit_stand_in import TINY, stand_in_arrays


def test_tensors_that_differ_are_named():
    arrays = stand_in_arrays(TINY)
    import google_crc32c

    published = {name: google_crc32c.value(array.tobytes()) for name, array in arrays.items()}
    assert verify(arrays, TINY, published).text == "verified: genuine BiT-M-R50x1"
    arrays["resnet/group_norm/beta"] = arrays["resnet/group_norm/beta"] + np.float32(1e-6)
    outcome = verify(arrays, TINY, published)
    assert outcome.genuine is False
    assert outcome.differing == ("resnet/group_norm/beta",)
    assert "1 of" in outcome.text
    assert "resnet/group_norm/beta" in outcome.text


def test_another_backbone_of_the_same_shape_is_not_held_against_bit_m():
    rows, arrays = [row for row in FAMILY.values() if row.architecture == R50X1], random_weights(R50X1).arrays
    assert [verify_backbone(row.name, arrays, R50X1).genuine for row in rows] == [False, None]
    assert {row.licence for row in FAMILY.values()} == {"Apache-2.0"}


def test_the_published_checksums_are_those_of_every_variable_of_r50x1():
    published = published_checksums()
    assert set(published) == set(R50X1.variable_shapes)
    # From the checkpoint index of the public module.
    assert published["resnet/block1/unit01/a/group_norm/beta"] == 0x65FF3309
    assert verify(random_weights(TINY).arrays, TINY).genuine is None
