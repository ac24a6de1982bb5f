"""Where a result goes that a user names: to the file, through a link, into a pipe; never in the place of a device."""

import os
import stat
import threading

import pytest

from reports.files import write_atomically


def test_a_link_is_followed_and_a_file_keeps_who_may_read_it(tmp_path):
    target, link = tmp_path / "private.csv", tmp_path / "link.csv"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "private.csv"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_atomically(pipe, "rows")
    reader.join(timeout=60)
    assert read == ["rows"]
    assert pipe.is_fifo()


def test_a_folder_is_refused_by_its_name(tmp_path):
    with pytest.raises(IsADirectoryError) as error:
        write_atomically(tmp_path, "rows")
    assert error.value.filename == str(tmp_path)
    assert not list(tmp_path.iterdir())
