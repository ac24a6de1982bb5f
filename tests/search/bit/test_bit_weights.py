"""Weights from every source there is, and from servers that do not keep their word."""

import os
from pathlib import Path

import pytest

from search.bit.architecture import SMALL
from search.bit.resolve import resolve_weights
from search.bit.weights import random_weights
from search.errors import WeightsError
from tests.support.bit_stand_in import TINY, files_under, npz_bytes, same
from tests.support.loopback_server import running_server

# tensorflow_hub does not close its connection when an answer is no archive; the collector finds it at any later time.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


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


def test_a_module_is_kept_in_the_users_cache_or_where_he_wants_it(server, tiny_archive, tmp_path, monkeypatch):
    """TensorFlow Hub's own default is a temporary folder."""
    from search.bit.download import resolve_handle

    handle = server.serve("/kept/bit/1", tiny_archive.read_bytes())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("TFHUB_CACHE_DIR", raising=False)
    assert resolve_handle(handle).is_relative_to(tmp_path / "user" / "mammo-search" / "weights" / "tfhub")
    assert "TFHUB_CACHE_DIR" not in os.environ
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "own"))
    assert resolve_handle(handle).is_relative_to(tmp_path / "own")


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
    assert not [name for name in files_under(tmp_path) if not name.endswith(".descriptor.txt")]
    assert same(resolve_weights(url, TINY, cache=tmp_path), tiny_arrays)


def test_a_silent_server_is_given_up(server, tmp_path, monkeypatch):
    import threading

    from search.bit import download as bit_download

    over = threading.Event()
    server.answers["/silent/1"] = lambda handler: over.wait(60)
    monkeypatch.setattr(bit_download, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(WeightsError, match=r"no byte for 0\.2 seconds"):
        resolve_weights(f"{server.url}/silent/1", TINY, cache=tmp_path)
    over.set()
    assert files_under(tmp_path) == set()
