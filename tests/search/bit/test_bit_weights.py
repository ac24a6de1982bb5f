"""Weights from every source there is, and from servers that do not keep their word."""

import hashlib
import shutil
from pathlib import Path

import pytest

from search.bit.architecture import SMALL
from search.bit.resolve import resolve_weights
from search.bit.weights import random_weights
from search.errors import WeightsError
from tests.support.bit_stand_in import TINY, files_under, npz_bytes, same
from tests.support.loopback_server import running_server


def test_random_weights_depend_on_the_seed_alone():
    assert random_weights(TINY, 1).fingerprint == random_weights(TINY, 1).fingerprint
    assert random_weights(TINY, 1).fingerprint != random_weights(TINY, 2).fingerprint
    assert resolve_weights("random", SMALL, seed=4).fingerprint == random_weights(SMALL, 4).fingerprint


def test_a_folder_or_word_that_is_nothing_says_what_weights_may_be(tmp_path):
    with pytest.raises(WeightsError, match="SavedModel"):
        resolve_weights(str(tmp_path), TINY, cache=tmp_path / "cache")
    with pytest.raises(WeightsError, match="--demo needs none"):
        resolve_weights("no-such-thing", TINY, cache=tmp_path / "cache")
    with pytest.raises(WeightsError, match="--demo needs none"):
        resolve_weights("tf-hub", SMALL, cache=tmp_path / "cache")


def test_a_handle_is_followed_through_redirects_downloaded_once_and_stored(server, tiny_archive, tiny_arrays, tmp_path):
    server.serve("/files/tiny.tar.gz", tiny_archive.read_bytes())
    server.redirect("/moved", f"{server.url}/files/tiny.tar.gz")
    handle = server.redirect("/google/bit/tiny/1", f"{server.url}/moved")
    first = resolve_weights(handle, TINY, cache=tmp_path)
    assert same(first, tiny_arrays)
    asked = len(server.requested)
    second = resolve_weights(handle, TINY, cache=tmp_path)
    assert len(server.requested) == asked
    assert second.fingerprint == first.fingerprint
    assert second.provenance == first.provenance == f"TF-Hub {handle}"


def test_a_module_that_tensorflow_hub_has_kept_for_the_user_is_not_fetched(
    server, tiny_module, tiny_arrays, tmp_path, monkeypatch
):
    handle = f"{server.url}/kept/bit/1"
    shutil.copytree(tiny_module, tmp_path / "hub" / hashlib.sha1(handle.encode()).hexdigest())
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    assert same(resolve_weights(handle, TINY, cache=tmp_path / "cache"), tiny_arrays)
    assert "/kept/bit/1" not in server.requested


def test_an_archive_that_was_carried_over_works_offline(tiny_archive, tiny_arrays, tmp_path):
    assert same(resolve_weights(str(tiny_archive), TINY, cache=tmp_path), tiny_arrays)


def test_an_npz_address_is_downloaded_once(server, tiny_arrays, tmp_path):
    url = server.serve("/BiT-T.npz", npz_bytes(tiny_arrays))
    assert same(resolve_weights(url, TINY, cache=tmp_path), tiny_arrays)
    assert same(resolve_weights(url, TINY, cache=tmp_path), tiny_arrays)
    assert server.requested.count("/BiT-T.npz") == 1
    assert [Path(name).suffix for name in files_under(tmp_path)] == [".safetensors"], "no download beside it"


@pytest.mark.parametrize("kind", ["npz", "tar.gz"])
@pytest.mark.parametrize("mood", ["forbidden", "html", "truncated", "offline"])
def test_a_failing_server_gives_one_line_leaves_nothing_and_can_be_asked_again(
    mood, kind, server, tiny_arrays, tiny_archive, tmp_path
):
    body = npz_bytes(tiny_arrays) if kind == "npz" else tiny_archive.read_bytes()
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
        assert same(resolve_weights(url, TINY, cache=tmp_path), tiny_arrays)


def test_a_module_of_another_architecture_is_not_kept(server, tiny_archive, tiny_arrays, tmp_path):
    url = server.serve("/other/1", tiny_archive.read_bytes())
    with pytest.raises(WeightsError, match=r"of another shape|missing"):
        resolve_weights(url, SMALL, cache=tmp_path)
    assert files_under(tmp_path) == set()
    assert same(resolve_weights(url, TINY, cache=tmp_path), tiny_arrays)
