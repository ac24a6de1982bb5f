"""Weights from every source there is, and from servers and files that do not keep their word."""

import gc
import io
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from search.bit_architecture import R50X1, SMALL, BitArchitecture
from search.bit_checkpoint import official_name
from search.bit_family import FAMILY, has_checksums
from search.bit_store import read_stored, write_stored
from search.bit_verification import published_checksums, verify
from search.bit_weights import BitWeights, fingerprint_of, load_npz, load_saved_model, random_weights, resolve_weights
from search.errors import WeightsError
from tests.search.bit_stand_in import running_server, stand_in_arrays, write_archive, write_saved_model

TINY = BitArchitecture((2, 1), 8, 4, "tiny")
ROOT = Path(__file__).parents[2]

# tensorflow_hub does not close its connection when an answer is no archive; the collector finds it at any later time.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module", autouse=True)
def _collect_leaked_connections():
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def server():
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return stand_in_arrays(TINY)


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory) -> Path:
    return write_saved_model(tmp_path_factory.mktemp("module") / "tiny", TINY)


@pytest.fixture(scope="module")
def archive(module_folder, tmp_path_factory) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive") / "tiny.tar.gz", module_folder)


def npz_bytes(arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def same(weights: BitWeights, arrays) -> bool:
    return list(weights.arrays) == list(arrays) and all(np.array_equal(weights.arrays[n], arrays[n]) for n in arrays)


def files_under(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_random_weights_depend_on_the_seed_alone():
    assert random_weights(TINY, 1).fingerprint == random_weights(TINY, 1).fingerprint
    assert random_weights(TINY, 1).fingerprint != random_weights(TINY, 2).fingerprint
    assert resolve_weights("random", SMALL, seed=4).fingerprint == random_weights(SMALL, 4).fingerprint


@pytest.mark.parametrize("prefix", ["resnet/", "", "module/resnet/", "bit/variables/resnet/"])
@pytest.mark.parametrize("head", [False, True])
def test_npz_names_may_have_any_prefix_and_a_head(prefix, head, arrays, tmp_path):
    stored = {prefix + name.removeprefix("resnet/") + ("" if head else ":0"): a for name, a in arrays.items()}
    if head:
        stored[f"{prefix}head/conv2d/kernel"] = np.zeros((1, 1, TINY.n_features, 5), np.float32)
        stored[f"{prefix}head/conv2d/bias"] = np.zeros(5, np.float32)
    np.savez(tmp_path / "bit.npz", **stored)
    assert same(load_npz(tmp_path / "bit.npz", TINY), arrays)


@pytest.mark.parametrize(
    "name", ["resnet/block1/unit01/a/group_norm/running_mean/x/y", "optimizer/iterations", "head", "resnet/gamma"]
)
def test_names_that_are_none_of_bits(name):
    assert official_name(name) is None or name.startswith("resnet/block1")


@pytest.mark.parametrize("fault", ["missing", "misshapen", "unknown", "text", "truncated", "absent"])
def test_an_npz_that_does_not_fit_says_so_in_one_line(fault, arrays, tmp_path):
    path = tmp_path / "bit.npz"
    changed = dict(arrays)
    if fault == "missing":
        del changed["resnet/block2/unit01/b/standardized_conv2d/kernel"]
    if fault == "misshapen":
        changed["resnet/group_norm/gamma"] = np.ones(3, np.float32)
    if fault == "unknown":
        changed["resnet/block9/unit01/a/group_norm/gamma"] = np.ones(3, np.float32)
    content = npz_bytes(changed)
    if fault != "absent":
        path.write_bytes({"text": b"<html>", "truncated": content[: len(content) // 2]}.get(fault, content))
    with pytest.raises(WeightsError) as caught:
        load_npz(path, TINY)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_saved_model_is_read_by_the_names_of_its_object_graph(module_folder, arrays):
    weights = load_saved_model(module_folder, TINY)
    assert same(weights, arrays)
    assert weights.genuine is None
    assert "of its own" in weights.provenance


@pytest.mark.parametrize(
    "order",
    [list, sorted, lambda a: [n.replace("gamma", "?").replace("beta", "gamma").replace("?", "beta") for n in a]],
    ids=["creation", "alphabetical", "beta first"],
)
def test_a_saved_model_without_names_is_read_by_order_and_proven(order, arrays, tmp_path):
    folder = write_saved_model(tmp_path / "unnamed", TINY, named=False, order=order)
    assert same(load_saved_model(folder, TINY), arrays)


@pytest.mark.parametrize("flaw", ["wrong", "none"])
def test_an_unproven_saved_model_without_names_is_refused(flaw, tmp_path):
    folder = write_saved_model(tmp_path / "unnamed", TINY, named=False, forward=flaw)
    with pytest.raises(WeightsError, match="forward pass" if flaw == "none" else "difference of"):
        load_saved_model(folder, TINY)


def test_a_saved_model_with_another_forward_pass_is_refused(tmp_path):
    folder = write_saved_model(tmp_path / "wrong", TINY, forward="wrong")
    with pytest.raises(WeightsError, match="difference of"):
        load_saved_model(folder, TINY)


def test_exchanged_kernels_of_one_shape_are_found_by_the_proof(tmp_path):
    def exchanged(arrays):
        one, two = (f"resnet/block1/unit0{unit}/b/standardized_conv2d/kernel" for unit in (1, 2))
        return [{one: two, two: one}.get(name, name) for name in arrays]

    folder = write_saved_model(tmp_path / "unnamed", TINY, named=False, order=exchanged)
    with pytest.raises(WeightsError, match="difference of"):
        load_saved_model(folder, TINY)


def test_a_folder_or_word_that_is_nothing_says_what_weights_may_be(tmp_path):
    with pytest.raises(WeightsError, match="SavedModel"):
        resolve_weights(str(tmp_path), TINY, cache=tmp_path / "cache")
    with pytest.raises(WeightsError, match="--demo needs none"):
        resolve_weights("no-such-thing", TINY, cache=tmp_path / "cache")
    with pytest.raises(WeightsError, match="--demo needs none"):
        resolve_weights("tf-hub", SMALL, cache=tmp_path / "cache")


def test_a_handle_is_followed_through_redirects_downloaded_once_and_stored(server, archive, arrays, tmp_path):
    server.serve("/files/tiny.tar.gz", archive.read_bytes())
    server.redirect("/moved", f"{server.url}/files/tiny.tar.gz")
    handle = server.redirect("/google/bit/tiny/1", f"{server.url}/moved")
    first = resolve_weights(handle, TINY, cache=tmp_path)
    assert same(first, arrays)
    asked = len(server.requested)
    second = resolve_weights(handle, TINY, cache=tmp_path)
    assert len(server.requested) == asked
    assert second.fingerprint == first.fingerprint
    assert second.provenance == first.provenance == f"TF-Hub {handle}"


def test_an_archive_that_was_carried_over_works_offline(archive, arrays, tmp_path):
    assert same(resolve_weights(str(archive), TINY, cache=tmp_path), arrays)


def test_an_npz_address_is_downloaded_once(server, arrays, tmp_path):
    url = server.serve("/BiT-T.npz", npz_bytes(arrays))
    assert same(resolve_weights(url, TINY, cache=tmp_path), arrays)
    assert same(resolve_weights(url, TINY, cache=tmp_path), arrays)
    assert server.requested.count("/BiT-T.npz") == 1


@pytest.mark.parametrize("kind", ["npz", "tar.gz"])
@pytest.mark.parametrize("mood", ["forbidden", "html", "truncated", "offline"])
def test_a_failing_server_gives_one_line_leaves_nothing_and_can_be_asked_again(
    mood, kind, server, arrays, archive, tmp_path
):
    body = npz_bytes(arrays) if kind == "npz" else archive.read_bytes()
    path = f"/{mood}/bit.{kind}"
    match mood:
        case "forbidden":
            url = server.refuse(path)
        case "html":
            url = server.serve(path, b"<html>Sign in</html>", content_type="text/html")
        case "truncated":
            url = server.truncate(path, body)
        case "offline":
            with running_server() as gone:
                url = gone.url + path
    with pytest.raises(WeightsError) as caught:
        resolve_weights(url, TINY, cache=tmp_path)
    text = str(caught.value)
    assert "\n" not in text
    assert "--weights" in text
    if mood == "forbidden":
        assert "403" in text
    if mood != "html":
        assert "--demo needs no weights" in text
    assert files_under(tmp_path) == set()
    if mood != "offline":
        server.serve(path, body)
        assert same(resolve_weights(url, TINY, cache=tmp_path), arrays)


def test_a_module_of_another_architecture_is_not_kept(server, archive, arrays, tmp_path):
    url = server.serve("/other/1", archive.read_bytes())
    with pytest.raises(WeightsError, match=r"of another shape|missing"):
        resolve_weights(url, SMALL, cache=tmp_path)
    assert not [name for name in files_under(tmp_path) if not name.endswith(".descriptor.txt")]
    assert same(resolve_weights(url, TINY, cache=tmp_path), arrays)


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


def test_a_damaged_import_is_mended_from_its_source(server, arrays, tmp_path):
    url = server.serve("/mend/bit.npz", npz_bytes(arrays))
    resolve_weights(url, TINY, cache=tmp_path)
    (stored,) = (tmp_path / "imported").glob("*.safetensors")
    stored.write_bytes(stored.read_bytes()[:50])
    assert same(resolve_weights(url, TINY, cache=tmp_path), arrays)


RESOLVE = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from search.bit_architecture import BitArchitecture
from search.bit_weights import resolve_weights
weights = resolve_weights({url!r}, BitArchitecture((2, 1), 8, 4, "tiny"), cache=Path({cache!r}))
late = [name for name in ("tensorflow", "tensorflow_hub", "tf_keras") if name in sys.modules]
print(weights.fingerprint, late)
"""


def resolving(url: str, cache: Path, **environment: str) -> subprocess.Popen:
    script = RESOLVE.format(root=str(ROOT), url=url, cache=str(cache))
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def test_two_processes_at_once_do_the_work_once(server, arrays, tmp_path):
    url = server.serve("/both/bit.npz", npz_bytes(arrays))
    processes = [resolving(url, tmp_path) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert answers == {f"{fingerprint_of(arrays)} []"}
    assert server.requested.count("/both/bit.npz") == 1


def test_an_import_killed_in_the_download_leaves_no_half_file(server, arrays, tmp_path):
    body = npz_bytes(arrays)
    half_sent, killed = threading.Event(), threading.Event()

    def stall(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        half_sent.set()
        killed.wait(60)

    server.answers["/kill/bit.npz"] = stall
    process = resolving(f"{server.url}/kill/bit.npz", tmp_path)
    assert half_sent.wait(60)
    process.kill()
    process.communicate()
    killed.set()
    assert not list(tmp_path.rglob("*.safetensors"))
    url = server.serve("/kill/bit.npz", body)
    assert same(resolve_weights(url, TINY, cache=tmp_path), arrays)


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "bit.safetensors"
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from search.bit_architecture import SMALL
from search.bit_family import FAMILY, has_checksums
from search.bit_store import write_stored
from search.bit_weights import random_weights
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
    rows = [row for row in FAMILY.values() if row.architecture == R50X1]
    assert [has_checksums(row) for row in rows] == [True, False]
    assert {row.licence for row in FAMILY.values()} == {"Apache-2.0"}


def test_the_published_checksums_are_those_of_every_variable_of_r50x1():
    published = published_checksums()
    assert set(published) == set(R50X1.variable_shapes)
    # From the checkpoint index of the public module.
    assert published["resnet/block1/unit01/a/group_norm/beta"] == 0x65FF3309
    assert verify(random_weights(TINY).arrays, TINY).genuine is None


def test_a_full_size_module_from_its_handle_to_the_stored_file(server, tmp_path):
    folder = write_saved_model(tmp_path / "m-r50x1", R50X1)
    archive = write_archive(tmp_path / "m-r50x1.tar.gz", folder)
    handle = server.serve("/google/bit/m-r50x1/1", archive.read_bytes())
    weights = resolve_weights(handle, R50X1, cache=tmp_path / "cache")
    assert weights.genuine is False
    assert weights.verification.startswith("warning: not the genuine BiT-M-R50x1, all 151 tensors differ")
    script = f"""
import sys, time; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from search.bit_weights import backbone_weights
start = time.process_time()  # not the clock on the wall: other processes are no fault of the file's
weights = backbone_weights("bit-m-r50x1", {handle!r}, cache=Path({str(tmp_path / "cache")!r}))
seconds = time.process_time() - start
print(weights.fingerprint, seconds < 1, [n for n in ("tensorflow", "tensorflow_hub", "tf_keras") if n in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split(maxsplit=1) == [weights.fingerprint, "True []\n"]
