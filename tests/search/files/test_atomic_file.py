import pytest

from search.files.atomic import replacing, write_atomic


def test_a_write_that_breaks_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "state.json"
    write_atomic(file, "old")
    with pytest.raises(KeyError), replacing(file) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert file.read_text() == "old"


def test_a_file_is_as_readable_as_one_made_by_open(tmp_path):
    write_atomic(tmp_path / "a" / "new.json", b"{}")
    (tmp_path / "plain").touch()
    assert (tmp_path / "a" / "new.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
