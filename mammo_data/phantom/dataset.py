"""The phantom: a synthetic data set in MIAS's format, written as files, for demonstrations and tests.

It looks like mammograms from afar and has nothing to do with any woman. What it shares with MIAS is what software must
cope with: P5 files on black padding, Info.txt with prose, y from the bottom, several rows an image, findings without
or with a wrong place, odd and even pairs with the chest wall right and left, labels, wedges, a white frame, stray
pixels. The class follows from how strands lie about a mass (`mammo_data.phantom.lesions`), not from brightness,
size, black area or file number; unlike MIAS's, its file order is random.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from mammo_data.cases import MIAS_CLASSES, Finding
from mammo_data.decoding.pgm import encode_pgm
from mammo_data.errors import DataError
from mammo_data.files import write_whole
from mammo_data.phantom.film import render_film
from mammo_data.truth.info_txt import rows_checksum
from mammo_data.truth.mias import PHANTOM_MARK

LARGEST = 499
"""Patients; a reference number has three digits."""

# How MIAS's 161 women divide, by the labels of their two breasts.
_PAIRS = {
    **{("normal", "normal"): 53, ("benign", "normal"): 55, ("malignant", "normal"): 46},
    **{("benign", "malignant"): 6, ("benign", "benign"): 1},
}

_KINDS = {"benign": ("CIRC", "CIRC", "MISC"), "malignant": ("SPIC", "SPIC", "ARCH", "CALC")}
_CODES = {"benign": "B", "malignant": "M"}


@dataclass(frozen=True)
class _Woman:
    number: int
    tissue: str
    size: float
    labels: tuple[str, str]


def write_phantom(
    directory: Path, *, patients: int = 60, seed: int = 0, image_size: int = 1024, workers: int | None = None
) -> Path:
    """Write a phantom data set.

    Args:
        directory: Where ``mdb001.pgm`` … and ``Info.txt`` go; made if need be. An older phantom in it is replaced.
        patients: Women, 1 to 499; two images each, labels in MIAS's proportions.
        seed: Same arguments, same bytes.
        image_size: Side of the films in pixels; MIAS's is 1024, less is faster.
        workers: Threads; as many as there are cores by default.

    Returns:
        ``directory``.

    Raises:
        DataError: ``directory`` holds something other than a phantom.
        ValueError: ``patients`` or ``image_size`` is out of range.
    """
    if not 1 <= patients <= LARGEST or not 64 <= image_size <= 4096:
        raise ValueError(f"patients must be 1 to {LARGEST}, image_size 64 to 4096; received {patients}, {image_size}")
    _clear(directory)
    women = _women(patients, seed)

    def write(image: tuple[_Woman, int]) -> tuple[str, tuple[Finding, ...]]:
        woman, side = image
        image_id = f"mdb{2 * woman.number + side + 1:03d}"
        rng = np.random.default_rng((seed, woman.number, side))
        kinds = _kinds_of(woman.labels[side], rng)
        chest_wall = ("right", "left")[side]
        pixels, findings = render_film(image_size, kinds, woman.tissue, woman.size, chest_wall=chest_wall, rng=rng)
        write_whole(directory / f"{image_id}.pgm", encode_pgm(pixels))
        return image_id, findings

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        findings = dict(pool.map(write, [(woman, side) for woman in women for side in (0, 1)]))
    tissues = {image_id: women[(int(image_id[3:]) - 1) // 2].tissue for image_id in findings}
    # Info.txt is written last: with it the set is complete.
    write_whole(directory / "Info.txt", _info(findings, tissues, image_size).encode("ascii"))
    return directory


def _women(patients: int, seed: int) -> list[_Woman]:
    rng = np.random.default_rng((seed, patients))
    # Evenly spaced quantiles of MIAS's distribution: any number of patients has close to its proportions.
    below = np.cumsum(list(_PAIRS.values()))
    quantiles = (np.arange(patients) + 0.5) / patients * below[-1]
    pairs = [list(_PAIRS)[kind] for kind in np.searchsorted(below, quantiles, side="right")]
    women = []
    for number, position in enumerate(rng.permutation(patients)):
        labels = pairs[int(position)]
        if rng.random() < 0.5:
            labels = labels[::-1]
        women.append(_Woman(number, "FGD"[int(rng.integers(3))], float(rng.uniform(0.75, 1.0)), labels))
    return women


def _kinds_of(label: str, rng: np.random.Generator) -> tuple[tuple[str, str], ...]:
    """(abnormality, severity) of each finding: one, sometimes two; a malignant breast may have a benign one too."""
    draws = rng.random(2)
    if label == MIAS_CLASSES[0]:
        return ()
    kinds = [(str(rng.choice(_KINDS[label])), label)]
    if draws[0] < 0.08:
        second = "benign" if draws[1] < 0.3 else label
        kinds.append((str(rng.choice(_KINDS[second])), second))
    return tuple(kinds)


def _info(findings: dict[str, tuple[Finding, ...]], tissues: dict[str, str], image_size: int) -> str:
    placeless = _quirks(findings)
    rows = []
    for image_id in sorted(findings):
        tissue = tissues[image_id]
        if not findings[image_id]:
            rows.append(f"{image_id} {tissue} NORM ")
        for finding in findings[image_id]:
            row = f"{image_id} {tissue} {finding.abnormality} {_CODES[finding.severity]}"
            if image_id in placeless:
                rows.append(row + placeless[image_id])
            elif finding.circle:
                x, y, radius = map(round, finding.circle)
                rows.append(f"{row} {x} {image_size - 1 - y} {radius}")
    text = "\n".join(rows)
    prose = resources.files("mammo_data.phantom").joinpath("info_prose.txt").read_text(encoding="ascii")
    return f"{prose}ROWS-SHA-256: {rows_checksum(text)}\n\n{text}\n\n{'=' * 65}\n"


def _quirks(findings: dict[str, tuple[Finding, ...]]) -> dict[str, str]:
    """What stands in place of the coordinates: MIAS's note 3, nothing at all, or a circle in the black corner."""
    single = [image_id for image_id in sorted(findings) if len(findings[image_id]) == 1]
    calcified = [image_id for image_id in single if findings[image_id][0].abnormality == "CALC"]
    others = [image_id for image_id in single if image_id not in calcified]
    # Only where there are enough, so that a small set keeps most of its places.
    quirks = dict.fromkeys(calcified[: len(calcified) // 3][:3], " *NOTE 3* ")
    if len(others) >= 6:
        quirks[others[1]] = ""
        quirks[others[4]] = " 4 4 3"
    return quirks


def _clear(directory: Path) -> None:
    """Remove an older phantom; refuse any other content."""
    directory.mkdir(parents=True, exist_ok=True)
    present = sorted(path.name for path in directory.iterdir())
    if not present:
        return
    info = directory / "Info.txt"
    if not info.is_file() or PHANTOM_MARK.encode() not in info.read_bytes():
        raise DataError(
            expected="an empty folder or an older phantom",
            found=f"{present[0]} in {directory}",
            remedy="Name another folder.",
        )
    for path in directory.glob("mdb[0-9][0-9][0-9].pgm"):
        path.unlink()
