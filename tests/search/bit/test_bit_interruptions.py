"""An import of weights that is killed at any point, and processes that import the same weights at once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from search.bit.resolve import resolve_weights
from search.bit.weights import fingerprint_of
from tests.conftest import ROOT
from tests.support.bit_stand_in import TINY, npz_bytes, resolving, same
from tests.support.loopback_server import running_proxy


def test_two_processes_at_once_do_the_work_once(server, tiny_arrays, tmp_path):
    url = server.serve("/both/bit.npz", npz_bytes(tiny_arrays))
    processes = [resolving(url, tmp_path) for _ in range(2)]
    answers = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert answers == {f"{fingerprint_of(tiny_arrays)} []"}
    assert server.requested.count("/both/bit.npz") == 1


def test_an_import_killed_in_the_download_leaves_no_half_file_and_goes_on(server, tiny_arrays, tmp_path):
    body = npz_bytes(tiny_arrays)
    half_sent, killed = threading.Event(), threading.Event()

    half = len(body) // 2

    def stall(handler) -> None:
        start = half if handler.headers.get("Range") == f"bytes={half}-" else 0
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", '"one"')
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start:] if start else body[:half])
        if not start:
            handler.wfile.flush()
            half_sent.set()
            killed.wait(60)

    server.answers["/kill/bit.npz"] = stall
    process = resolving(f"{server.url}/kill/bit.npz", tmp_path)
    assert half_sent.wait(60)
    while sum(part.stat().st_size for part in tmp_path.rglob("*.part")) < half:
        assert process.poll() is None
    process.kill()
    process.communicate()
    killed.set()
    assert not list(tmp_path.rglob("*.safetensors"))
    assert same(resolve_weights(f"{server.url}/kill/bit.npz", TINY, cache=tmp_path), tiny_arrays)
    assert server.headers[-1].get("Range") == f"bytes={half}-"


# A kill is os._exit at the n-th thing that a process does with a file of the cache: nothing is tidied up after it.
KILLED_EVERYWHERE = """
import os, sys; sys.path.insert(0, {root!r})
from pathlib import Path
import filelock, requests, safetensors.numpy
from search.bit.architecture import BitArchitecture
from search.bit.weights import read_stored
from search.bit.resolve import resolve_weights
arch, url, places = BitArchitecture((2, 1), 8, 4, "tiny"), {url!r}, Path({places!r})

def importing(cache, last_event=None):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = [0]
    def count(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "shutil.move", "shutil.rmtree") and any(
            str(cache) in str(argument) for argument in arguments
        ):
            seen[0] += 1
            if seen[0] == last_event:
                os._exit(9)
    if last_event:
        sys.addaudithook(count)
    try:
        resolve_weights(url, arch, cache=cache)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)

moment, fingerprints = 0, set()
while True:
    moment += 1
    cache = places / str(moment)
    code = importing(cache, moment)
    half = [path for path in (cache / "imported").glob("[!.]*.safetensors")]
    for path in half:
        fingerprints.add(read_stored(path, arch).fingerprint)
    if code == 0:
        break
    assert code == 9, code
    assert importing(cache) == 0
    (stored,) = (cache / "imported").glob("*.safetensors")
    fingerprints.add(read_stored(stored, arch).fingerprint)
    left = [path.name for path in cache.rglob(".*") if path.is_file()]
    left += [path.name for path in (cache / "downloads").rglob("*") if path.is_file()]
    assert not left, (moment, left)
print(moment, *fingerprints)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_import_killed_at_any_file_operation_leaves_no_half_file_and_can_be_done_again(
    server, tiny_arrays, tmp_path
):
    url = server.serve("/any/bit.npz", npz_bytes(tiny_arrays))
    script = KILLED_EVERYWHERE.format(root=str(ROOT), url=url, places=str(tmp_path))
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    moments, *fingerprints = answer.stdout.split()
    assert int(moments) > 8, "the hook saw the download, its move, the temporary file and the rename"
    assert fingerprints == [fingerprint_of(tiny_arrays)]


@pytest.mark.slow
def test_two_processes_that_import_a_module_at_once_do_the_work_once(server, tiny_archive, tiny_arrays, tmp_path):
    url = server.serve("/both/bit/1", tiny_archive.read_bytes())
    processes = [resolving(url, tmp_path) for _ in range(2)]
    answers = sorted(process.communicate(timeout=300)[0].split()[0] for process in processes)
    assert answers == [fingerprint_of(tiny_arrays)] * 2
    assert server.requested.count("/both/bit/1") == 1


HOSTS = ("tfhub.dev", "www.kaggle.com", "huggingface.co", "storage.googleapis.com")


@pytest.fixture
def certificate(tmp_path) -> Path:
    """A certificate and its key, of all these hosts."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path / "hosts.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hosts"),
            *("-addext", "subjectAltName=" + ",".join(f"DNS:{host}" for host in HOSTS)),
            *("-keyout", path, "-out", tmp_path / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + (tmp_path / "certificate.pem").read_bytes())
    return path


RELEASED = """
import sys; sys.path.insert(0, {root!r})
from dataclasses import replace
from pathlib import Path
from search.bit.architecture import BitArchitecture
from search.bit.family import FAMILY
from search.bit.resolve import backbone_weights
from search.errors import WeightsError
FAMILY["bit-m-r50x1"] = replace(FAMILY["bit-m-r50x1"], architecture=BitArchitecture((2, 1), 8, 4, "tiny"))
try:
    print(backbone_weights("bit-m-r50x1", {source!r}, cache=Path({cache!r})).fingerprint)
except WeightsError as error:
    print(error)
"""
PLACES = {
    "tf-hub": ("/tfhub.dev/google/bit/m-r50x1/1", "tf-hub-format=compressed"),
    "kaggle": ("/www.kaggle.com/api/v1/models/google/bit/tensorFlow2/m-r50x1/1/download", ""),
    "npz": ("/storage.googleapis.com/bit_models/BiT-M-R50x1.npz", ""),
    "timm": ("/huggingface.co/timm/resnetv2_50x1_bit.goog_in21k/resolve/main/model.safetensors", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("source", PLACES)
def test_the_real_places_are_asked_through_a_proxy_that_answers_for_their_hosts(
    source, tiny_archive, tiny_arrays, certificate, tmp_path
):
    """The real address, over TLS and with its query; a loopback proxy plays the far side."""
    path, query = PLACES[source]
    content = npz_bytes(tiny_arrays) if source in ("npz", "timm") else tiny_archive.read_bytes()
    script = RELEASED.format(root=str(ROOT), source=source, cache=str(tmp_path / "cache"))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"no_proxy": "", "REQUESTS_CA_BUNDLE": str(certificate), "HF_HOME": str(tmp_path / "hf")}
    with running_proxy(certificate) as proxy:
        proxy.redirect(path, "https://storage.googleapis.com/somewhere/file?signed=1")
        proxy.serve("/storage.googleapis.com/somewhere/file", content)
        answer = subprocess.run(
            [sys.executable, "-c", script],
            env=environment | {"https_proxy": proxy.url},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert answer.stdout.split() == [fingerprint_of(tiny_arrays)], answer.stdout + answer.stderr
    assert proxy.requested == [path, "/storage.googleapis.com/somewhere/file"]
    assert proxy.queries == [query, "signed=1"]
