"""Arrays in files: what is read is what was written, or nothing."""

import numpy as np
import pytest

from search.files.tensors import load_checked_npz, load_checked_safetensors, save_checked_npz, save_checked_safetensors
from tests.support.damage import flipped

ARRAYS = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7)}
OTHERS = {
    "a value": {**ARRAYS, "step": np.array(8)},
    "a name": {"kernel": ARRAYS["kernel"], "steps": ARRAYS["step"]},
    "a shape": {**ARRAYS, "kernel": ARRAYS["kernel"].reshape(3, 2)},
    "a type": {**ARRAYS, "kernel": ARRAYS["kernel"].view(np.int32)},
    "one less": {"kernel": ARRAYS["kernel"]},
}
FORMATS = {
    "npz": (save_checked_npz, load_checked_npz),
    "safetensors": (save_checked_safetensors, load_checked_safetensors),
}


@pytest.fixture(params=FORMATS)
def kept(request, tmp_path):
    """A file of the arrays, its reader and its format."""
    save, load = FORMATS[request.param]
    file = tmp_path / f"arrays.{request.param}"
    save(file, ARRAYS)
    return file, load, request.param


def same(found):
    return found.keys() == ARRAYS.keys() and all(
        found[name].dtype == values.dtype and found[name].shape == values.shape and np.array_equal(found[name], values)
        for name, values in ARRAYS.items()
    )


def test_one_changed_byte_anywhere_is_noticed_or_changes_nothing(kept):
    file, load, _ = kept
    assert same(load(file))
    content, noticed = file.read_bytes(), 0
    for place in range(len(content)):
        file.write_bytes(flipped(content, place, place % 8))
        found = load(file)
        assert found is None or same(found), place
        noticed += found is None
    assert noticed > sum(values.nbytes for values in ARRAYS.values())


@pytest.mark.parametrize("change", OTHERS)
def test_other_arrays_under_the_same_checksum_are_not_read(kept, change):
    """Whatever checksums the format itself has are right here: only that over the arrays can tell."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    file, load, kind = kept
    if kind == "npz":
        with np.load(file) as written:
            (checksum,) = set(written.files) - set(ARRAYS)
            np.savez(file, **OTHERS[change], **{checksum: written[checksum]})
    else:
        with safe_open(file, framework="numpy") as written:
            metadata = written.metadata()
        save_file(OTHERS[change], file, metadata=metadata)
    assert load(file) is None
