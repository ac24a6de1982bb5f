import shutil

import pytest

from search.files.atomic import remove_leftovers, replacing, replacing_folder, write_atomic


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


def test_leftovers_go_whether_they_are_files_or_folders_and_nothing_else(tmp_path):
    best, elsewhere = tmp_path / "best", tmp_path / "elsewhere"
    with replacing_folder(best / "model.savedmodel") as folder, replacing(best / "metrics.json") as file:
        write_atomic(folder / "variables" / "data", "half")
        # What a kill would leave: no end of the block takes these away.
        shutil.copytree(folder, best / f"{folder.name}-2")
        shutil.copy(file, best / f"{file.name}-2")
    (best / ".hidden").touch()
    (elsewhere / "inside").mkdir(parents=True)
    (best / ".link-1.part").symlink_to(elsewhere)
    assert len(list(best.glob(".*-2"))) == 2
    remove_leftovers(tmp_path)
    left = [".hidden", ".link-1.part", "metrics.json", "model.savedmodel"]
    assert sorted(path.name for path in best.iterdir()) == left
    assert (elsewhere / "inside").is_dir()
