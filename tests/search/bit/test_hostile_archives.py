"""Archives, npz and safetensors files that mean harm: one line each, nothing run or written, little memory."""

import re

import pytest

from tests.support.hostile_archives import BOMBS, HOSTILE
from tests.support.watched import read_watched


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    # No name says what a file is.
    found = {name: folder / f"file{place}" for place, name in enumerate(HOSTILE)}
    for name, path in found.items():
        HOSTILE[name][0](path)
    return found


@pytest.fixture(scope="module")
def outcome(files, tmp_path_factory):
    return read_watched(files.values(), tmp_path_factory.mktemp("watched") / "temporary")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gives_one_line(name, files, outcome):
    kind, text, _ = outcome["answers"][str(files[name])]
    assert kind == "line", text
    assert re.search(HOSTILE[name][1], text), text
    assert "\n" not in text
    assert len(text) < 800
    assert "--weights" in text


def test_nothing_is_run_written_or_left(outcome):
    assert outcome["seen"] == []
    assert outcome["left"] == []
    assert outcome["peak_kib"] < 100 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_memory(name, tmp_path):
    BOMBS[name](tmp_path / "bomb")
    outcome = read_watched([tmp_path / "bomb"], tmp_path / "temporary")
    kind, text, _ = outcome["answers"][str(tmp_path / "bomb")]
    assert kind == "line", text
    assert outcome["left"] == []
    print(f"{name}: {outcome['peak_kib'] / 1024:.0f} MiB; {text}")
    assert outcome["peak_kib"] < 100 * 1024
