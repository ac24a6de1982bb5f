"""Weights that can't be had, at the command line: one line, exit code 3 and no half file."""

from __future__ import annotations

import pytest

from tests.support.bit_stand_in import files_under, npz_bytes
from tests.support.command_line import typed
from tests.support.loopback_server import running_server

WORDS = {"forbidden": "403", "html": "", "truncated": "", "offline": "no connection", "other architecture": "missing"}


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def address(server, mood: str, kind: str, command: str, body: bytes) -> str:
    path = f"/{command}/{mood.replace(' ', '-')}/" + ("BiT-M-R50x1.npz" if kind == "npz" else "m-r50x1/1")
    match mood:
        case "forbidden":
            return server.refuse(path)
        case "html":
            return server.serve(path, b"<html>Sign in</html>", content_type="text/html")
        case "truncated":
            return server.truncate(path, body)
        case "offline":
            with running_server() as gone:
                return gone.url + path
    return server.serve(path, body)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("command", ["fetch", "run"])
@pytest.mark.parametrize("kind", ["npz", "module"])
@pytest.mark.parametrize("mood", WORDS)
def test_an_address_that_gives_none_is_one_line(
    mood, kind, command, server, tiny_arrays, tiny_archive, phantom, workspace, capsys
):
    body = npz_bytes(tiny_arrays) if kind == "npz" else tiny_archive.read_bytes()
    url = address(server, mood, kind, command, body)
    if command == "fetch":
        answer = typed(capsys, "weights", "fetch", url, "--output", "carried.safetensors")
    else:
        answer = typed(capsys, "run", "--quiet", "--data", phantom, "--backbone", "bit-small", "--weights", url)
    assert answer.code == 3, answer.err
    (said,) = answer.error_lines
    assert said.startswith("mammo-search: Expected ")
    assert WORDS[mood] in said
    assert "--weights" in said
    assert "pickle" not in said
    assert said.count(url) <= 1
    assert not answer.out
    kept = files_under(workspace / "cache" / "mammo-search" / "weights")
    assert not [name for name in kept if not name.endswith(".descriptor.txt")]
    assert not list(workspace.rglob("*.safetensors"))


@pytest.mark.parametrize("content", ["other", "text", "half"])
def test_a_file_that_holds_none_is_one_line_and_stays_as_it_was(content, tiny_arrays, workspace, capsys):
    whole = npz_bytes(tiny_arrays)
    path = workspace / "BiT-M-R50x1.npz"
    path.write_bytes({"other": whole, "text": b"<html>", "half": whole[: len(whole) // 2]}[content])
    before = path.read_bytes()
    for words in (("weights", "fetch", path), ("weights", "verify", path)):
        answer = typed(capsys, *words)
        assert answer.code == 3
        (said,) = answer.error_lines
        assert "--weights" in said
    assert path.read_bytes() == before
