"""Images as users name them, and what is no film of a breast."""

import io
import shutil
import tarfile

import cv2
import numpy as np
import pytest

from mammo_data import DataError, decode_grey, image_files, open_source, require_film
from mammo_data.sources.image_files import count_images, paths_or_image
from tests.support.case_folders import write_film


def specks():
    rng = np.random.default_rng(0)
    return np.where(rng.random((300, 300)) < 0.05, rng.integers(150, 255, (300, 300)), 0).astype(np.uint8)


def film(side=200):
    y, x = np.mgrid[0:side, 0:side] / side
    return np.where(x**2 + (2 * y - 1) ** 2 < 0.4, 120 + 60 * x, 4).astype(np.uint8)


def test_a_folder_an_archive_of_it_and_its_files_give_the_same_images(tmp_path):
    folder = tmp_path / "own"
    (folder / "films").mkdir(parents=True)
    for number, suffix in enumerate((".pgm", ".png", ".tif", ".dcm")):
        write_film(folder / "films" / f"film{number}{suffix}", film())
    bare = folder / "films" / "without_suffix"
    shutil.copy(next((folder / "films").glob("*.dcm")), bare)
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not an image")
    (folder / "LICENSE").write_text("nor this")
    with tarfile.open(tmp_path / "own.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(folder, ".")
    found = {file.name: file.data for file in image_files([folder])}
    assert len(found) == 5
    assert "films/without_suffix" in found
    assert {file.name: file.data for file in image_files([tmp_path / "own.tar.gz"])} == found
    (named,) = image_files([bare])
    assert (named.name, named.data) == (str(bare), found["films/without_suffix"])


def test_what_can_not_be_read_is_an_error_in_its_place(tmp_path):
    good = tmp_path / "good.png"
    cv2.imwrite(str(good), film())
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b" + b"\0" * 40)
    found = list(image_files([tmp_path / "none.png", good, tmp_path / "empty", tmp_path / "cut.tar.gz", good]))
    assert [isinstance(file.data, DataError) for file in found] == [True, False, True, True, False]
    for file in found:
        assert not isinstance(file.data, DataError) or file.name in str(file.data)


def test_a_stream_is_an_image_or_a_list_of_paths(tmp_path):
    _, encoded = cv2.imencode(".png", film())
    assert paths_or_image(io.BytesIO(encoded.tobytes())) == encoded.tobytes()
    assert [str(path) for path in paths_or_image(io.BytesIO(b"a.pgm\n\n b c.dcm \r\n"))] == ["a.pgm", "b c.dcm"]
    for neither in (b"", b"\n", b"\xff\xfe\x00\x01", b"PK\x03\x04\0\0"):
        with pytest.raises(DataError, match="one image, or paths"):
            paths_or_image(io.BytesIO(neither))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (film(40), "40 × 40"),
        (np.zeros((300, 300), np.uint8), "0 to 0"),
        (np.full((300, 300), 255, np.uint8), "255 to 255"),
        (255 - film(), "white"),
        (specks(), "nothing on it"),
    ],
    ids=["tiny", "black", "blank", "inverted", "specks"],
)
def test_what_is_no_film_of_a_breast_is_refused(image, words):
    with pytest.raises(DataError, match=words):
        require_film(image, "x.png")


def test_films_pass(phantom):
    require_film(film(), "x.png")
    for name, data in open_source(phantom).stream():
        require_film(decode_grey(data, name), name)


@pytest.mark.mias
@pytest.mark.slow
def test_all_real_films_pass(mias_archive):
    if not mias_archive.is_file():
        pytest.skip(f"{mias_archive} is absent")
    for name, data in open_source(mias_archive).stream():
        require_film(decode_grey(data, name), name)


def test_images_are_counted_without_being_read(tmp_path):
    for folder in ("one", "two", "none"):
        (tmp_path / folder).mkdir()
    for place in ("one/a.png", "one/b.png", "two/a.png", "alone.png"):
        cv2.imwrite(str(tmp_path / place), film())
    given = [tmp_path / "one", tmp_path / "two", tmp_path / "none", tmp_path / "alone.png", tmp_path / "gone.png"]
    assert count_images(given) == len(list(image_files(given))) == 6
    names = [file.name for file in image_files(given)]
    assert len(set(names)) == 6
    with tarfile.open(tmp_path / "own.tar", "w") as archive:
        archive.add(tmp_path / "one", "one")
    assert count_images([tmp_path / "own.tar"]) is None
