"""The places that released weights are fetched from, played by servers on the loopback interface; and their failures.

What the real ones answer is assumed, see search/bit/README.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from mammo_data.fetch.transfer import Limits
from search.bit.family import FAMILY, BackboneSource
from search.bit.resolve import backbone_weights, first_genuine
from search.bit.weights import BitWeights
from search.errors import WeightsError
from tests.conftest import ROOT
from tests.support.bit_stand_in import TINY, checksums, npz_bytes, same, timm_tensors
from tests.support.command_line import typed
from tests.support.loopback_server import MOODS, Server, running_server

LIMITS = Limits(most_bytes=2**21, silence=20.0, least_rate=4000, window=20.0, whole=60)
"""A machine at work on other things keeps to these."""
QUICK = replace(LIMITS, silence=1.0, window=1.5)
"""For servers that are slow on purpose."""
SLOW_MOODS = ("silence", "slow headers", "a slow body")
SOURCES = ("tf-hub", "kaggle", "npz", "timm")
BEHIND_IT = {"tf-hub": "/files/tiny.tar.gz", "kaggle": "/signed/tiny.tar.gz", "timm": "/cdn/model"}
TIMM_FILE = "/timm/tiny/resolve/main/model.safetensors"
WORDS = {
    "403": "status 403 Forbidden",
    "a page": "",
    "a redirect loop": "redirects without an end",
    "a redirect to file://": "a redirect from http to file",
    "a short body": "a connection that ended before the file did, 3 times",
    "10 GB declared": "more than 2097152 bytes",
    "an endless body": "more than 2097152 bytes",
    "a slow body": "less than 4000 bytes a second for 1.5 seconds",
    "slow headers": "no answer in time",
    "a gzip bomb": "",
    "silence": "no answer in time",
    "an empty body": "an empty answer",
}
"""Mood of a server to what a user reads of it; a file that is no weights is told by whoever reads it."""


@dataclass
class FarSide:
    """The four places, none of which has anything at first.

    Attributes:
        server: Plays them.
        files: Source to what it would send.
        row: A backbone that is found there.
        published: Its checksums.
        cache: Of the machine that asks.
    """

    server: Server
    files: dict[str, bytes]
    row: BackboneSource
    published: dict[str, int]
    cache: Path

    def serve(self, source: str, content: bytes | None = None) -> None:
        """Answer as that place is known to: TF-Hub, Kaggle and Hugging Face send one on to a store."""
        body, path = self.files[source] if content is None else content, self.path(source)
        if source in BEHIND_IT:
            self.server.serve(BEHIND_IT[source], body)
            self.server.redirect(path, f"{self.server.url}{BEHIND_IT[source]}?X-Goog-Signature=1")
        else:
            self.server.serve(path, body)

    def path(self, source: str) -> str:
        return TIMM_FILE if source == "timm" else self.row.places[source].removeprefix(self.server.url)

    def fetch(self, **other: object) -> BitWeights:
        wanted = {"published": self.published, "cache": self.cache, "limits": LIMITS} | other
        return first_genuine(self.row, **wanted)


@pytest.fixture(scope="module")
def answers(tiny_archive, tiny_arrays) -> dict[str, bytes]:
    import tensorflow_hub  # noqa: F401  (its start is no part of what is timed)

    archive, timm = tiny_archive.read_bytes(), save(timm_tensors(tiny_arrays))
    return {"tf-hub": archive, "kaggle": archive, "npz": npz_bytes(tiny_arrays), "timm": timm}


@pytest.fixture
def far_side(answers, tiny_arrays, tmp_path, monkeypatch) -> Iterator[FarSide]:
    with running_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        row = BackboneSource(
            name="bit-tiny",
            architecture=TINY,
            training_data="nothing",
            handle=f"{server.url}/google/bit/tiny/1",
            kaggle_handle="",
            kaggle_archive=f"{server.url}/api/v1/models/google/bit/tensorFlow2/tiny/1/download",
            npz_url=f"{server.url}/bit_models/BiT-Tiny.npz",
            timm_model="timm/tiny",
        )
        yield FarSide(server, answers, row, checksums(tiny_arrays), tmp_path / "cache")


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_alone_is_enough_and_is_asked_once(source, far_side, tiny_arrays):
    far_side.serve(source)
    said: list[str] = []
    moved: list[tuple[int, int]] = []
    weights = far_side.fetch(say=said.append, progress=lambda *at: moved.append(at))
    assert same(weights, tiny_arrays)
    assert weights.genuine is True
    assert far_side.row.places[source] in weights.provenance
    before = SOURCES[: SOURCES.index(source)]
    line = "; ".join((f"from {source}", *(f"{each} gave status 404 Not Found" for each in before)))
    assert said == ([line] if before else [])
    size = len(far_side.files[source])
    assert moved[-1] == (size, size)
    asked = len(far_side.server.requested)
    assert far_side.server.requested.count(far_side.path(source)) == 1
    # The store alone: nobody is asked again, and nothing but the import is kept.
    again = far_side.fetch(say=said.append)
    assert (again.fingerprint, again.genuine) == (weights.fingerprint, True)
    assert len(far_side.server.requested) == asked
    assert len(said) == min(1, len(before))
    assert [path.suffix for path in far_side.cache.rglob("*") if path.is_file()].count(".safetensors") == 1
    assert not list((far_side.cache / "downloads").iterdir())


def test_tf_hub_is_asked_for_the_archive(far_side):
    far_side.serve("tf-hub")
    far_side.fetch()
    assert far_side.server.queries[0] == "tf-hub-format=compressed"


@pytest.mark.parametrize("mood", MOODS)
def test_a_source_that_fails_gives_way_to_the_next_in_bounded_time(mood, far_side, tiny_arrays):
    far_side.server.misbehave(far_side.path("kaggle"), mood)
    far_side.serve("npz")
    said: list[str] = []
    began = time.monotonic()
    limits = QUICK if mood in SLOW_MOODS else LIMITS
    assert same(far_side.fetch(say=said.append, limits=limits), tiny_arrays)
    assert time.monotonic() - began < 10
    (line,) = said
    assert line.startswith("from npz; tf-hub gave status 404 Not Found; kaggle gave ")
    assert WORDS[mood] in line
    assert "\n" not in line
    assert sum(path.stat().st_size for path in far_side.cache.rglob("*") if path.is_file()) < 2**22


def test_a_host_that_nobody_knows_gives_way_too(far_side, tiny_arrays):
    far_side.row = replace(far_side.row, handle="http://nowhere.invalid/bit/1")
    far_side.serve("npz")
    said: list[str] = []
    assert same(far_side.fetch(say=said.append), tiny_arrays)
    assert said[0].startswith("from npz; tf-hub gave a host whose name nobody knows; kaggle gave")


def test_if_all_fail_one_line_lists_what_each_said(far_side):
    moods = {"tf-hub": "403", "kaggle": "a redirect loop", "npz": "a page", "timm": "a short body"}
    for source, mood in moods.items():
        far_side.server.misbehave(far_side.path(source), mood)
    with pytest.raises(WeightsError) as caught:
        far_side.fetch()
    text = str(caught.value)
    assert "\n" not in text
    places = [text.index(f"{source}: ") for source in SOURCES]
    assert places == sorted(places)
    assert all(WORDS[mood] in text for mood in moods.values())
    assert "weights fetch" in text
    assert "all the same" not in text


def test_tensors_that_are_not_the_published_ones_are_refused_kept_and_taken_only_if_their_source_is_named(
    far_side, tiny_arrays, monkeypatch
):
    name = "resnet/group_norm/beta"
    foreign = {**tiny_arrays, name: tiny_arrays[name] + np.float32(1)}
    far_side.serve("npz", npz_bytes(foreign))
    with pytest.raises(WeightsError) as caught:
        far_side.fetch()
    text = str(caught.value)
    assert f"npz: 1 of {len(tiny_arrays)} tensors not the published ones, kept as " in text
    assert "tf-hub: status 404 Not Found" in text
    assert '--weights npz (backbone.weights = "npz")' in text
    kept = text.partition("kept as ")[2].partition(";")[0]
    # What is kept is asked for no more; named as a source or as a file it is taken, and called what it is.
    far_side.server.refuse(far_side.path("npz"))
    monkeypatch.setitem(FAMILY, "bit-tiny", far_side.row)
    for spec in ("npz", kept):
        accepted = backbone_weights("bit-tiny", spec, cache=far_side.cache)
        assert same(accepted, foreign)
        assert accepted.genuine is None
    # It never stands in for the published ones, which are taken as soon as anybody has them.
    far_side.serve("timm")
    assert same(far_side.fetch(), tiny_arrays)


def test_without_known_checksums_the_first_source_with_tensors_is_taken_and_called_unverified(far_side, tiny_arrays):
    far_side.serve("npz", npz_bytes({name: array + np.float32(1) for name, array in tiny_arrays.items()}))
    far_side.serve("timm")
    weights = far_side.fetch(published=None)
    assert not same(weights, tiny_arrays)
    assert weights.genuine is None
    assert weights.verification.startswith("not verified")


def test_a_download_that_was_cut_off_goes_on(far_side, tiny_arrays):
    body, path = far_side.files["npz"], far_side.path("npz")

    def cut(handler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", '"one"')
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start : start + len(body) // 2])

    far_side.server.answers[path] = cut
    assert same(far_side.fetch(), tiny_arrays)
    ranges = [headers.get("Range") for headers in far_side.server.headers]
    assert ranges[-1] == f"bytes={len(body) // 2}-"


@pytest.mark.parametrize("logged_in", [False, True])
def test_the_token_goes_to_hugging_face_alone(far_side, tiny_arrays, monkeypatch, tmp_path, logged_in):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    if logged_in:
        (tmp_path / "token").write_text("secret\n")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    else:
        monkeypatch.setenv("HF_TOKEN", "secret\n")
    with running_server() as store:
        target = store.serve("/cdn/model", far_side.files["timm"])
        far_side.server.redirect("/moved", target)
        far_side.server.redirect(TIMM_FILE, f"{far_side.server.url}/moved")
        assert same(far_side.fetch(), tiny_arrays)
        assert [headers.get("Authorization") for headers in store.headers] == [None]
    headers = [each.get("Authorization") for each in far_side.server.headers]
    told = list(zip(far_side.server.requested, headers, strict=True))
    assert told[-2:] == [(TIMM_FILE, "Bearer secret"), ("/moved", "Bearer secret")]
    assert all(authorization is None for _, authorization in told[:-2])


def test_offline_hugging_face_is_its_cache_and_nobody_else_is_held_back(far_side, tiny_arrays):
    """In a process of its own: huggingface_hub reads the environment once."""
    home = far_side.cache.parent / "hf"
    model = home / "hub" / "models--timm--tiny"
    script = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from search.bit.sources import fetched
from search.errors import WeightsError
try:
    with fetched("timm/tiny", Path({str(far_side.cache)!r})) as file:
        print(file)
except WeightsError as error:
    print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home)}

    def answer() -> str:
        command = [sys.executable, "-c", script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    assert "found HF_HUB_OFFLINE set and no copy in huggingface_hub's cache" in answer()
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("abc")
    (model / "snapshots" / "abc").mkdir(parents=True)
    kept = model / "snapshots" / "abc" / "model.safetensors"
    kept.write_bytes(far_side.files["timm"])
    assert answer() == str(kept)
    assert far_side.server.requested == []


def test_the_command_says_who_answered_and_why_the_others_did_not(far_side, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(far_side.cache))
    monkeypatch.setitem(FAMILY, "bit-m-r50x1", replace(far_side.row, name="bit-m-r50x1"))
    far_side.server.refuse(far_side.path("tf-hub"))
    far_side.serve("kaggle")
    answer = typed(capsys, "weights", "fetch", "--json")
    assert answer.code == 0, answer.err
    assert answer.err.splitlines() == ["from kaggle; tf-hub gave status 403 Forbidden"]
    assert json.loads(answer.out)["provenance"] == far_side.row.kaggle_archive
    # A source that is named is the only one that is asked.
    answer = typed(capsys, "weights", "fetch", "timm")
    assert answer.code == 3
    assert "found status 404 Not Found" in answer.error_lines[0]
