"""Fetching over real HTTP, from a server on the loopback interface that behaves well or badly."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mammo_data import DataError, fetch_mias, load_cases, open_source
from mammo_data.fetch.download import LICENCE_NAME, MIRRORS
from mammo_data.truth.mias import known_checksums
from tests.support.json_answers import assert_described
from tests.support.packagings import files_of, tar_bytes


@dataclass
class Server:
    """What it offers and how it behaves.

    Attributes:
        body: The archive.
        cut_after: Bytes after which each connection ends, as long as any are left in `cuts`.
        cuts: How many answers are cut.
        tag: Its ETag.
    """

    body: bytes = b""
    cut_after: int = 0
    cuts: int = 0
    tag: str = '"one"'
    url: str = ""
    ranges: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)


def handler_for(server: Server) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            server.asked.append(self.path)
            if self.path == "/busy":
                self.send_error(503)
            elif self.path == "/missing":
                self.send_error(404)
            elif self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/all-mias.tar.gz")
                self.end_headers()
            elif self.path == "/round":
                self.send_response(302)
                self.send_header("Location", "/round")
                self.end_headers()
            elif self.path == "/slow":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"x")
                self.wfile.flush()
                server.release.wait(30)
            else:
                self.send_body()

        def send_body(self) -> None:
            asked = self.headers.get("Range", "")
            server.ranges.append(asked)
            fits = self.headers.get("If-Range") == server.tag
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and fits else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(server.body) - 1}/{len(server.body)}")
            self.send_header("Content-Length", str(len(server.body) - start))
            self.send_header("ETag", server.tag)
            self.end_headers()
            rest = server.body[start:]
            if server.cuts:
                server.cuts -= 1
                rest = rest[: server.cut_after]
            self.wfile.write(rest)

    return Handler


@pytest.fixture
def server(small_set: dict[str, bytes]) -> Iterator[Server]:
    offered = Server(tar_bytes({f"./{name}": data for name, data in small_set.items()}))
    loop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_for(offered))
    loop.daemon_threads = True
    offered.url = f"http://127.0.0.1:{loop.server_address[1]}"
    thread = threading.Thread(target=loop.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield offered
    offered.release.set()
    loop.shutdown()
    thread.join()
    loop.server_close()


@pytest.fixture(scope="module")
def small_set(phantom: Path) -> dict[str, bytes]:
    return files_of(phantom) | {"Licence.txt": b"for research only"}


@pytest.fixture
def known(small_set: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in small_set.items()}


@pytest.mark.parametrize("path", ["/all-mias.tar.gz", "/moved"])
def test_the_set_is_fetched_verified_and_usable(
    path: str, server: Server, known: dict[str, str], phantom: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    folder = tmp_path / "data" / "images"
    fetched = fetch_mias(folder, urls=(server.url + path,), known=known, progress=lambda *at: seen.append(at))
    assert (fetched.files, fetched.downloaded) == (len(known), True)
    assert_described("data fetch", fetched.as_json())
    assert seen[-1] == (len(server.body), len(server.body))
    assert load_cases(open_source(folder)) == load_cases(open_source(phantom))
    assert sorted(found.name for found in folder.iterdir()) == sorted([*known, LICENCE_NAME])
    assert "research purposes only" in (folder / LICENCE_NAME).read_text()
    again = fetch_mias(folder, urls=(server.url + "/missing",), known=known)
    assert not again.downloaded


def test_an_altered_film_is_fetched_again(server: Server, known: dict[str, str], tmp_path: Path) -> None:
    fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)
    film = tmp_path / "mdb003.pgm"
    genuine = film.read_bytes()
    film.write_bytes(genuine[:-1] + b"\xff")
    assert fetch_mias(tmp_path, urls=(server.url + "/x",), known=known).downloaded
    assert film.read_bytes() == genuine


def test_a_connection_that_breaks_is_resumed(server: Server, known: dict[str, str], tmp_path: Path) -> None:
    server.cut_after, server.cuts = len(server.body) // 3, 2
    fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)
    third = len(server.body) // 3
    assert server.ranges == ["", f"bytes={third}-", f"bytes={2 * third}-"]


def test_what_arrived_is_kept_for_the_next_call(server: Server, known: dict[str, str], tmp_path: Path) -> None:
    server.cut_after, server.cuts = 1000, 3
    with pytest.raises(DataError, match="3000 bytes are kept"):
        fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)
    fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)
    assert server.ranges[-1] == "bytes=3000-"


def test_a_file_that_changed_meanwhile_starts_anew(server: Server, known: dict[str, str], tmp_path: Path) -> None:
    server.cut_after, server.cuts = 1000, 3
    with pytest.raises(DataError):
        fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)
    server.tag = '"two"'
    fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/missing", "status 404 Not Found. Try"),
        ("/busy", "status 503 Service Unavailable, 3 times"),
        ("/slow", "no answer in time, 3 times"),
        ("/round", "redirects without an end. Try"),
    ],
)
def test_a_server_that_does_not_deliver_is_one_line(path: str, words: str, server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words) as caught:
        fetch_mias(tmp_path / "set", urls=(server.url + path,), known={"a": "b"}, timeout=1.0)
    assert server.url in str(caught.value)
    assert "--url" in str(caught.value)
    assert "\n" not in str(caught.value)
    # What will not change in a moment is not asked for again.
    assert server.asked.count(path) == {"/missing": 1, "/busy": 3, "/slow": 3}.get(path, 11)
    assert not (tmp_path / "set").exists(), "nothing arrived, nothing is kept"


def test_no_server_at_all_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no connection.*--url"):
        fetch_mias(tmp_path, urls=("http://127.0.0.1:9/all-mias.tar.gz",), known={"a": "b"}, timeout=0.5)
    with pytest.raises(DataError, match="http or https"):
        fetch_mias(tmp_path, urls=("file:///etc/passwd",), known={"a": "b"})


def test_the_next_place_is_tried(server: Server, known: dict[str, str], tmp_path: Path) -> None:
    fetched = fetch_mias(tmp_path, urls=(server.url + "/missing", server.url + "/x"), known=known)
    assert fetched.url == server.url + "/x"


def test_wrong_and_missing_files_leave_no_film_behind(server: Server, known: dict[str, str], tmp_path: Path) -> None:
    wrong = {**known, "mdb001.pgm": "0" * 64, "mdb499.pgm": "1" * 64}
    with pytest.raises(DataError, match=r"1 with another, mdb001\.pgm first and 1 missing, mdb499\.pgm first"):
        fetch_mias(tmp_path, urls=(server.url + "/x",), known=wrong)
    assert not list(tmp_path.glob("*.pgm"))
    fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)


def test_a_page_instead_of_an_archive_is_refused(server: Server, known: dict[str, str], tmp_path: Path) -> None:
    server.body = b"<html>moved for good</html>"
    with pytest.raises(DataError, match="archive"):
        fetch_mias(tmp_path, urls=(server.url + "/x",), known=known)


def test_the_known_files_are_the_films_the_truth_table_and_the_licence() -> None:
    films = [name for name in known_checksums() if name.endswith(".pgm")]
    assert len(films) == 322
    assert set(known_checksums()) - set(films) == {"Info.txt", "Licence.txt"}
    assert all(url.startswith("http") for url in MIRRORS)


@pytest.mark.mias
@pytest.mark.slow
def test_the_genuine_archive_passes_with_the_carried_checksums(
    server: Server, mias_archive: Path, tmp_path: Path
) -> None:
    server.body = mias_archive.read_bytes()
    server.cut_after, server.cuts = 2**24, 1
    assert fetch_mias(tmp_path / "images", urls=(server.url + "/x",)).files == 324
    assert server.ranges == ["", f"bytes={2**24}-"]
    assert open_source(tmp_path / "images").fingerprint == open_source(mias_archive).fingerprint
    # Pixels of the real set stay nowhere, not even until pytest clears its folders.
    shutil.rmtree(tmp_path)
