"""The bounds of a download: what a server may not make a machine do, whatever it sends or does not send."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from mammo_data import DataError
from mammo_data.fetch.resuming import ResumingDownload
from mammo_data.fetch.transfer import Limits
from tests.support.loopback_server import running_server

LIMITS = Limits(most_bytes=2**20, silence=1.0, least_rate=4000, window=1.5, whole=20)


@pytest.fixture
def server():
    with running_server() as running:
        yield running


def download(url: str, target: Path, limits: Limits = LIMITS, **other: object) -> None:
    ResumingDownload(url, target, what="the file", remedy="Or do without.", limits=limits, **other).finish()


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(server, tmp_path):
    size = 2 * shutil.disk_usage(tmp_path).free
    server.answers["/large"] = lambda handler: handler.wfile.write(
        f'HTTP/1.0 200 OK\r\nContent-Length: {size}\r\nETag: "one"\r\n\r\nbegin'.encode()
    )
    with pytest.raises(DataError, match=rf"bytes free in .* for {size}\. Try again\. Or do without") as caught:
        download(f"{server.url}/large", tmp_path / "file", Limits(most_bytes=2 * size))
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert len(server.requested) == 1


def test_the_size_is_bounded_over_all_requests_together(server, tmp_path):
    """Each answer of a resumed download is small; what they make together is not."""

    def more(handler) -> None:
        start = int((handler.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", '"one"')
        handler.send_header("Content-Range", f"bytes {start}-{start + 2**19 - 1}/*")
        handler.send_header("Content-Length", str(2**19 + 1))
        handler.end_headers()
        handler.wfile.write(bytes(2**19))

    server.answers["/more"] = more
    with pytest.raises(DataError, match=rf"more than {2**20} bytes"):
        download(f"{server.url}/more", tmp_path / "file")
    assert (tmp_path / "file.part").stat().st_size <= 2**20
    assert not (tmp_path / "file").exists()


def test_all_of_it_has_an_end_however_steadily_it_comes(server, tmp_path):
    url = server.misbehave("/endless", "an endless body")
    began = time.monotonic()
    with pytest.raises(DataError, match=r"no end within 0\.3 seconds"):
        download(url, tmp_path / "file", Limits(most_bytes=2**40, whole=0.3))
    assert time.monotonic() - began < 10


def test_what_comes_after_it_was_given_up_is_written_nowhere(server, tmp_path):
    """The thread that asked is still there; the file is its successor's."""
    waited, late = threading.Event(), threading.Event()

    def answer(handler) -> None:
        if not late.is_set():
            late.set()
            waited.wait(60)
        handler.send_response(200)
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"new" if waited.is_set() else b"abc")

    server.answers["/late"] = answer
    before = set(threading.enumerate())
    with pytest.raises(DataError, match="no end within"):
        download(f"{server.url}/late", tmp_path / "file", Limits(silence=20, whole=0.3))
    download(f"{server.url}/late", tmp_path / "file")
    waited.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    assert (tmp_path / "file").read_bytes() == b"abc"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "gopher:x", "data:,x"])
def test_a_redirect_goes_to_http_and_https_alone(target, server, tmp_path):
    url = server.redirect("/moved", target)
    with pytest.raises(DataError, match=f"a redirect from http to {target.partition(':')[0]}"):
        download(url, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_words_of_the_server_are_not_printed(server, tmp_path):
    server.answers["/rude"] = lambda handler: handler.wfile.write(b"HTTP/1.0 404 \x1b[2Jgone\r\n\r\n")
    with pytest.raises(DataError, match="status 404 Not Found") as caught:
        download(f"{server.url}/rude", tmp_path / "file")
    assert str(caught.value).isprintable()


def test_a_token_that_cannot_be_sent_is_not_shown(server, tmp_path):
    with pytest.raises(DataError, match="a token that can't be sent") as caught:
        download(f"{server.url}/x", tmp_path / "file", token="sec\nret")
    assert "sec" not in str(caught.value)
