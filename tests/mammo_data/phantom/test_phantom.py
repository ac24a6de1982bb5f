from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammo_data import (
    CaseTable,
    DataError,
    decode_grey,
    find_breast,
    grouped_scores,
    load_cases,
    open_source,
    shortcuts,
    write_phantom,
)
from mammo_data.preparation.breast import circle_coverage


def test_it_has_mias_format_and_quirks(phantom: Path) -> None:
    names = sorted(path.name for path in phantom.iterdir())
    assert names == ["Info.txt", *(f"mdb{number:03d}.pgm" for number in range(1, 49))]
    assert (phantom / "mdb001.pgm").read_bytes().startswith(b"P5\n256 256\n255\n")
    text = (phantom / "Info.txt").read_text()
    assert "NORM \n" in text
    assert "*NOTE 3*" in text
    table = load_cases(open_source(phantom))
    assert len(set(table.patient_ids)) == 24
    assert Counter(table.patient_ids).most_common()[-1][1] == 2
    assert any(finding.x is None for case in table.cases for finding in case.findings)


def test_its_labels_are_divided_as_in_mias(tmp_path: Path) -> None:
    table = load_cases(open_source(write_phantom(tmp_path / "images", patients=161, image_size=64)))
    assert Counter(case.label for case in table.cases) == {"normal": 207, "benign": 63, "malignant": 52}
    assert any({f.severity for f in case.findings} == {"benign", "malignant"} for case in table.cases)
    assert any(len(case.findings) > 1 for case in table.cases)


def test_breasts_are_found_with_their_lesions_and_the_chest_wall_by_parity(phantom: Path) -> None:
    source = open_source(phantom)
    outside = []
    for case in load_cases(source).cases:
        region = find_breast(decode_grey(source.read(case.image_id), case.image_id))
        assert region.chest_wall == ("right" if int(case.image_id[3:]) % 2 else "left")
        assert 0.1 < region.mask.mean() < 0.6
        for finding in case.findings:
            if finding.x is not None and finding.y is not None and finding.radius is not None:
                covered = circle_coverage(region.mask, finding.x, finding.y, finding.radius)
                outside += [case.image_id] if covered < 0.1 else []
                assert covered < 0.1 or covered > 0.5
    assert len(outside) == 1


def test_same_arguments_same_bytes_whatever_the_workers(tmp_path: Path) -> None:
    one = write_phantom(tmp_path / "one", patients=3, image_size=128, workers=1)
    two = write_phantom(tmp_path / "two", patients=3, image_size=128, workers=2)
    other = write_phantom(tmp_path / "three", patients=3, image_size=128, seed=1)
    assert open_source(one).fingerprint == open_source(two).fingerprint != open_source(other).fingerprint


def test_the_default_film_is_that_of_mias(tmp_path: Path) -> None:
    source = open_source(write_phantom(tmp_path / "images", patients=1))
    assert decode_grey(source.read("mdb001"), "mdb001").shape == (1024, 1024)


def test_an_older_phantom_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    write_phantom(tmp_path / "images", patients=3, image_size=64)
    write_phantom(tmp_path / "images", patients=2, image_size=64)
    assert len(open_source(tmp_path / "images").image_ids) == 4
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "Info.txt").write_text("mdb001 G NORM")
    with pytest.raises(DataError, match="another folder"):
        write_phantom(tmp_path / "real", patients=2, image_size=64)
    with pytest.raises(ValueError, match="patients"):
        write_phantom(tmp_path / "more", patients=500)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseTable, list[np.ndarray]]:
    """480 films of 240 women."""
    source = open_source(write_phantom(tmp_path_factory.mktemp("many") / "images", patients=240, image_size=256))
    table = load_cases(source)
    return table, [decode_grey(source.read(image_id), image_id) for image_id in table.image_ids]


def test_no_shortcut_tells_the_class(many: tuple[CaseTable, list[np.ndarray]]) -> None:
    table, films = many
    columns: dict[str, list[float]] = {}
    for image_id, film in zip(table.image_ids, films, strict=True):
        region = find_breast(film)
        small = cv2.resize(film, (96, 96), interpolation=cv2.INTER_AREA)
        for name, value in {
            "number": int(image_id[3:]),
            "mean": film.mean(),
            "black": np.mean(film <= 18),
            "breast size": region.mask.mean(),
            "breast mean": film[region.mask].mean(),
            "Laplacian": cv2.Laplacian(film, cv2.CV_32F).var(),
            "Laplacian at 96": cv2.Laplacian(small, cv2.CV_32F).var(),
        }.items():
            columns.setdefault(name, []).append(float(value))
    for name, values in columns.items():
        for positive in (1, 2):
            assert 0.4 < auc(table.labels == positive, np.array(values)) < 0.6, name


def test_the_texture_of_whole_films_hardly_tells_malignant_ones(many: tuple[CaseTable, list[np.ndarray]]) -> None:
    table, films = many
    small = np.stack([cv2.resize(film, (96, 96), interpolation=cv2.INTER_AREA) for film in films])
    (texture,) = [group for group in shortcuts(small, table.image_ids) if not group.trivial]
    scores = grouped_scores(texture.values, table.labels == 2, table.patient_ids)
    assert scores is not None
    assert auc(table.labels == 2, scores) < 0.7, "1.0 on films whose texture alone tells the class"


def test_where_strands_and_edges_point_about_a_lesion_tells_its_class(
    many: tuple[CaseTable, list[np.ndarray]],
) -> None:
    """Strands that radiate have their gradients across them, a round edge has its own along the radius."""
    table, films = many
    across, malignant = [], []
    for case, film in zip(table.cases, films, strict=True):
        smooth = cv2.GaussianBlur(film.astype(np.float32), (0, 0), 1.5)
        right, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        for finding in case.findings:
            if finding.circle is None or finding.circle[2] < 10:
                continue
            x, y, radius = finding.circle
            rows, columns = np.mgrid[:256, :256].astype(np.float32)
            distance = np.hypot(columns - x, rows - y)
            ring = (distance > 0.8 * radius) & (distance < 1.4 * radius)
            radial = (right * (columns - x) + down * (rows - y))[ring] / distance[ring]
            whole = (right**2 + down**2)[ring].sum()
            across.append(1 - float((radial**2).sum() / whole))
            malignant.append(finding.severity == "malignant")
    assert auc(np.array(malignant), np.array(across)) > 0.9


def auc(positive: np.ndarray, score: np.ndarray) -> float:
    ranks = np.argsort(np.argsort(score)) + 1
    n = np.count_nonzero(positive)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (positive.size - n)))
