from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mammo_data import DataError, PreparationSettings, PreparedSet, load_cases, open_source, prepare, write_phantom
from tests.support.every_setting import each_field_changed
from tests.support.waiting import held_until_it_is_said

SMALL = PreparationSettings(image_size=64)


def test_a_second_call_reuses_the_set(phantom: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    first = prepare(open_source(phantom), SMALL, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 48) for done in range(1, 49)]
    again = prepare(open_source(phantom), SMALL, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) == 48
    assert again.fingerprint == first.fingerprint
    assert again.table == first.table
    np.testing.assert_array_equal(again.images, first.images)
    assert [path.name for path in tmp_path.iterdir()] == [first.directory.name]


def test_who_waits_for_the_set_of_another_process_says_so_and_makes_no_second(phantom: Path, tmp_path: Path) -> None:
    source = open_source(phantom)
    first = prepare(source, SMALL, tmp_path / "cache")
    first.directory.rename(tmp_path / "made")
    lock = first.directory.with_name(f".{first.directory.name}.lock")
    with held_until_it_is_said(lock, lambda: (tmp_path / "made").rename(first.directory)) as said:
        again = prepare(source, SMALL, tmp_path / "cache", progress=lambda done, total: pytest.fail("made twice"))
    assert again.fingerprint == first.fingerprint
    assert said[0].startswith("waiting for process")
    assert said[1:] == [""]


def test_images_follow_the_table_whatever_the_workers(phantom: Path, tmp_path: Path) -> None:
    one = prepare(open_source(phantom), SMALL, tmp_path / "one", workers=1)
    four = prepare(open_source(phantom), SMALL, tmp_path / "four", workers=4)
    np.testing.assert_array_equal(one.images, four.images)
    assert one.table == four.table
    assert one.images.dtype == np.uint8
    assert one.images.shape == (48, 64, 64)
    assert not one.images.flags.writeable
    source = load_cases(open_source(phantom))
    assert one.table.image_ids == source.image_ids
    np.testing.assert_array_equal(one.table.labels, source.labels)
    found = one.images[np.arange(48), :, 0]
    assert (found.max(axis=1) > 0).all(), "the chest wall is at the left of every image"


def test_another_value_of_any_setting_rebuilds(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "images", patients=2, image_size=128)
    changed = each_field_changed(SMALL)
    sets = [prepare(open_source(folder), settings, tmp_path / "cache") for settings in (SMALL, *changed.values())]
    assert len({each.fingerprint for each in sets}) == len({each.directory for each in sets}) == 1 + len(changed)
    assert [each.settings for each in sets] == [SMALL, *changed.values()]
    assert len({each.films_fingerprint for each in sets}) == 1, "whatever is made of them, the films are the same"


@pytest.mark.parametrize("of", ["mammo_data.preparation.prepared.FORMAT", "cv2.__version__"])
def test_another_version_of_the_code_rebuilds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    source = open_source(write_phantom(tmp_path / "images", patients=2, image_size=128))
    first = prepare(source, SMALL, tmp_path / "cache")
    monkeypatch.setattr(of, 99)
    assert prepare(source, SMALL, tmp_path / "cache").directory != first.directory


def test_a_changed_pixel_rebuilds(tmp_path: Path) -> None:
    folder = write_phantom(tmp_path / "images", patients=2, image_size=128)
    first = prepare(open_source(folder), SMALL, tmp_path / "cache")
    data = bytearray((folder / "mdb001.pgm").read_bytes())
    data[-8000:] = bytes(level // 2 for level in data[-8000:])
    (folder / "mdb001.pgm").write_bytes(data)
    changed = prepare(open_source(folder), SMALL, tmp_path / "cache")
    assert first.fingerprint != changed.fingerprint
    assert first.films_fingerprint != changed.films_fingerprint
    assert not np.array_equal(changed.images[0], first.images[0])
    np.testing.assert_array_equal(changed.images[1], first.images[1])


@pytest.mark.parametrize("damage", ["cut", "no manifest", "other format", "other shape"])
def test_a_damaged_set_is_made_anew(tmp_path: Path, phantom: Path, damage: str) -> None:
    first = prepare(open_source(phantom), SMALL, tmp_path)
    images, manifest = first.directory / "images.npy", first.directory / "manifest.json"
    expected = np.array(first.images)
    if damage == "cut":
        images.write_bytes(images.read_bytes()[:1000])
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "other format":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 0}))
    else:
        np.save(images, np.zeros((2, 3), np.uint8))
    with pytest.raises(DataError, match="prepared set"):
        PreparedSet.load(first.directory)
    np.testing.assert_array_equal(prepare(open_source(phantom), SMALL, tmp_path).images, expected)


def test_a_bad_film_is_named_and_leaves_nothing_behind(phantom: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(phantom, folder)
    (folder / "mdb007.pgm").write_bytes((folder / "mdb007.pgm").read_bytes()[:-1])
    with pytest.raises(DataError, match="mdb007"):
        prepare(open_source(folder), SMALL, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_films_of_two_sizes_are_refused(phantom: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(phantom, folder)
    (folder / "mdb009.pgm").write_bytes(b"P5\n4 4\n255\n" + bytes(16))
    with pytest.raises(DataError, match="mdb009"):
        prepare(open_source(folder), SMALL, tmp_path / "cache")


def test_placeless_findings_are_listed(phantom: Path, tmp_path: Path) -> None:
    prepared = prepare(open_source(phantom), SMALL, tmp_path)
    written = load_cases(open_source(phantom))
    noted = {case.image_id for case in written.cases if any(finding.x is None for finding in case.findings)}
    assert noted < set(prepared.unlocatable)
    assert len(prepared.unlocatable) == len(noted) + 1, "the circle in the black corner"


@pytest.mark.mias
@pytest.mark.slow
def test_the_real_set_has_six_unlocatable_findings(mias_archive: Path, tmp_path: Path) -> None:
    prepared = prepare(open_source(mias_archive), PreparationSettings(image_size=224), tmp_path)
    assert prepared.unlocatable == ("mdb059", "mdb212", "mdb214", "mdb216", "mdb233", "mdb245")
    assert prepared.images.shape == (322, 224, 224)
    assert sum(len(case.findings) for case in prepared.table.cases) == 123
    placed = [f for case in prepared.table.cases for f in case.findings if f.x is not None and f.y is not None]
    assert len(placed) == 117
    assert all(-30 < f.x < 224 + 30 and -30 < f.y < 224 + 30 for f in placed if f.x is not None and f.y is not None)
