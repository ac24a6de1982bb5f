"""A file or folder is whole or not there, and what was there before stays until then."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mammo_data.files import folder_to_fill, write_whole


def test_a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_whole(path, b"old")
    before = path.open("rb")
    write_whole(path, b"new and longer")
    with before:
        assert before.read() == b"old", "who reads it meanwhile goes on with the old one"
    assert path.read_bytes() == b"new and longer"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "film.pgm").write_bytes(b"P5")
    with pytest.raises(OSError):  # noqa: PT011  a folder can't be replaced by a file, whatever the system calls that
        write_whole(tmp_path / "taken", b"data")
    assert [found.name for found in tmp_path.iterdir()] == ["taken"]
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "absent" / "split.csv", b"data")


def test_a_folder_that_is_not_renamed_is_gone_and_so_are_those_of_killed_processes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder_to_fill(tmp_path / "cache") as killed:
        (killed / "images.npy").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list((tmp_path / "cache").iterdir()) == []
    young, old = (tmp_path / "cache" / f".preparing-{name}" for name in ("young", "old"))
    young.mkdir()
    old.mkdir()
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    with folder_to_fill(tmp_path / "cache") as building:
        (building / "images.npy").write_bytes(b"whole")
        building.rename(tmp_path / "cache" / "prepared")
    assert {found.name for found in (tmp_path / "cache").iterdir()} == {"prepared", young.name}
