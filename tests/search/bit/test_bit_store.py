"""The stored file: whole or not at all, read back to the bit, without TensorFlow."""

import subprocess
import sys

import pytest

from mammo_data.locks import Lock
from search.bit.architecture import R50X1, SMALL
from search.bit.resolve import resolve_weights
from search.bit.weights import random_weights, read_stored, stored_once, write_stored
from search.errors import WeightsError
from tests.conftest import ROOT
from tests.support.bit_stand_in import TINY, npz_bytes, same, write_archive, write_saved_model
from tests.support.waiting import held_until_it_is_said


def test_stored_weights_come_back_whole_and_damage_is_found(tmp_path):
    weights = random_weights(TINY, 3)
    path = tmp_path / "bit.safetensors"
    write_stored(path, weights, TINY)
    back = resolve_weights(str(path), TINY)
    assert same(back, weights.arrays)
    assert (back.fingerprint, back.provenance) == (weights.fingerprint, weights.provenance)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    for damaged in (bytes(content), bytes(content[:-100]), bytes(content[:20]), b"", b"\xff" * 64):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match="whole weights file"):
            read_stored(path, TINY)


def test_who_waits_for_the_import_of_another_process_says_so_and_reads_it(tmp_path):
    weights, path = random_weights(TINY, 3), tmp_path / "bit.safetensors"
    with held_until_it_is_said(path.with_suffix(".lock"), lambda: write_stored(path, weights, TINY)) as said:
        found = stored_once(path, TINY, lambda: pytest.fail("imported twice"))
    assert same(found, weights.arrays)
    assert said[0].endswith("which does it first")
    assert said[1:] == [""]


def test_imported_weights_need_no_folder_that_can_be_written_to(tmp_path):
    weights, path = random_weights(TINY, 3), tmp_path / "bit.safetensors"
    write_stored(path, weights, TINY)
    with Lock(path.with_suffix(".lock")):  # nor do they wait
        assert same(stored_once(path, TINY, lambda: pytest.fail("imported twice")), weights.arrays)


def test_a_damaged_import_is_mended_from_its_source(server, tiny_arrays, tmp_path):
    url = server.serve("/mend/bit.npz", npz_bytes(tiny_arrays))
    resolve_weights(url, TINY, cache=tmp_path)
    (stored,) = (tmp_path / "imported").glob("*.safetensors")
    stored.write_bytes(stored.read_bytes()[:50])
    assert same(resolve_weights(url, TINY, cache=tmp_path), tiny_arrays)


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "bit.safetensors"
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from search.bit.architecture import SMALL
from search.bit.weights import write_stored
from search.bit.weights import random_weights
both = [random_weights(SMALL, seed) for seed in (0, 1)]
for turn in range(10_000):
    write_stored(Path({str(path)!r}), both[turn % 2], SMALL)
    print(turn, flush=True)
"""
    whole = {random_weights(SMALL, seed).fingerprint for seed in (0, 1)}
    for turns in (1, 2, 5):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            for _ in range(turns):
                process.stdout.readline()
            process.kill()
        assert read_stored(path, SMALL).fingerprint in whole


@pytest.mark.slow
def test_a_full_size_module_from_its_handle_to_the_stored_file(server, tmp_path):
    folder = write_saved_model(tmp_path / "m-r50x1", R50X1)
    archive = write_archive(tmp_path / "m-r50x1.tar.gz", folder)
    handle = server.serve("/google/bit/m-r50x1/1", archive.read_bytes())
    weights = resolve_weights(handle, R50X1, cache=tmp_path / "cache")
    assert weights.genuine is False
    assert weights.verification.startswith("warning: not the genuine BiT-M-R50x1, all 151 tensors differ")
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from search.bit.resolve import backbone_weights
weights = backbone_weights("bit-m-r50x1", {handle!r}, cache=Path({str(tmp_path / "cache")!r}))
print(weights.fingerprint, [n for n in ("tensorflow", "tensorflow_hub", "tf_keras") if n in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split(maxsplit=1) == [weights.fingerprint, "[]\n"]
