"""The shortcut probe: what gives the label away without being a lesion.

A film's number, how much of an image is black, how bright it is: a network learns whatever separates the classes, and
on small sets such trifles have done it. Each group of statistics here is put to a small model with patients apart; one
that tells abnormal from normal better than `WARN_ABOVE` is worth a look before any result is believed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from mammo_data.preparation.breast import FILM_BACKGROUND
from mammo_data.preparation.standardise import resized

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesClassifier

WARN_ABOVE = 0.60
"""AUC. Crops that were cut in proportion to the lesion's radius reached 0.77 by trivial statistics alone."""

FOLDS = 5

_TREES = 100
_LEAF = 5
_TEXTURE_SIDE = 224
_LBP_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


@dataclass(frozen=True)
class Shortcut:
    """One group of statistics.

    Attributes:
        name: What it is, in words.
        values: float64 [n, k].
        visible: Whether a network that is given the pixels could use it; it never sees a file's number.
        trivial: Whether no lesion can be meant by it. Texture is where lesions are too, so it has no limit to keep.
    """

    name: str
    values: NDArray[np.float64]
    visible: bool = True
    trivial: bool = True


def shortcuts(
    images: NDArray[np.uint8], image_ids: Sequence[str], positions: NDArray[np.float64] | None = None
) -> tuple[Shortcut, ...]:
    """All groups for a set of images.

    Args:
        images: uint8 [n, S, S].
        image_ids: Their names, n.
        positions: Where crops come from, float64 [n, 2]; None for whole images, whose centre of gravity stands for it.
    """
    trifles = trivial_statistics(images, positions)
    return (
        Shortcut("file number", _file_numbers(image_ids)[:, None], visible=False),
        Shortcut("black fraction", trifles[:, :1]),
        Shortcut("mean", trifles[:, 1:2]),
        Shortcut("Laplacian variance", trifles[:, 2:3]),
        Shortcut("black fraction, mean and Laplacian variance", trifles[:, :3]),
        Shortcut("size", trifles[:, 3:5]),
        Shortcut("position", trifles[:, 5:]),
        Shortcut("texture", np.array([_texture(np.asarray(image)) for image in images]), trivial=False),
    )


def trivial_statistics(images: NDArray[np.uint8], positions: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """What a network could see that no lesion can be meant by.

    Args:
        images: uint8 [n, S, S].
        positions: As in `shortcuts`.

    Returns:
        Black fraction, mean, Laplacian variance, width and height of what is not black, and position, float64 [n, 7].
    """
    pixels = np.array([_pixel_statistics(np.asarray(image)) for image in images])
    extents = np.array([_extent(np.asarray(image)) for image in images])
    if positions is not None:
        extents[:, 2:] = positions
    return np.concatenate([pixels, extents], axis=1)


def statistics_model(seed: int) -> ExtraTreesClassifier:
    """The small model that statistics are put to, unfitted: extremely randomised trees (Geurts et al., Machine Learning
    2006), as a shortcut need not be monotone; MIAS's file numbers hold the abnormal films in blocks."""
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(_TREES, min_samples_leaf=_LEAF, class_weight="balanced", random_state=seed)


def grouped_scores(
    values: NDArray[np.float64], positive: NDArray[np.bool_], patient_ids: Sequence[str], *, seed: int = 0
) -> NDArray[np.float64] | None:
    """Scores of a small model for each case, from a model that has seen none of its patient.

    Scores are ranks within their fold, for models share no scale.

    Args:
        values: float64 [n, k].
        positive: bool [n].
        patient_ids: Patient of each case, n.
        seed: Of the folds and of the trees.

    Returns:
        float64 [n] in (0, 1], or None where one side has too few patients to part.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    patients = np.array(patient_ids)
    folds = min(FOLDS, len(set(patients[positive])), len(set(patients[~positive])))
    if folds < 2:
        return None
    scores = np.full(len(positive), 0.5)
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for training, held_out in parts.split(values, positive, patients):
        if len(held_out) == 0 or len(set(positive[training].tolist())) < 2:
            continue
        model = statistics_model(seed).fit(values[training], positive[training])
        answers = model.predict_proba(values[held_out])[:, 1]
        scores[held_out] = (np.searchsorted(np.sort(answers), answers, side="right")) / len(held_out)
    return scores


def _file_numbers(image_ids: Sequence[str]) -> NDArray[np.float64]:
    """The first number in each name; for names without one, their place in the alphabet."""
    found = [re.search(r"\d+", image_id) for image_id in image_ids]
    if all(found):
        return np.array([float(match.group()) for match in found if match])
    return np.argsort(np.argsort(np.array(image_ids))).astype(np.float64)


def _pixel_statistics(image: NDArray[np.uint8]) -> list[float]:
    return [
        float(np.mean(image <= FILM_BACKGROUND)),
        float(image.mean()),
        float(cv2.Laplacian(image, cv2.CV_64F).var()),
    ]


def _extent(image: NDArray[np.uint8]) -> list[float]:
    """Width, height and centre of gravity of what is not black, as parts of the side."""
    bright = image > FILM_BACKGROUND
    if not bright.any():
        return [0.0, 0.0, 0.5, 0.5]
    height, width = image.shape
    _, _, across, down = cv2.boundingRect(bright.view(np.uint8))
    centre_x = float(np.average(np.arange(width), weights=bright.mean(axis=0)))
    centre_y = float(np.average(np.arange(height), weights=bright.mean(axis=1)))
    return [across / width, down / height, centre_x / width, centre_y / height]


def _texture(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Grey quantiles of the tissue, energy in five octaves, and local binary patterns (Ojala et al., PAMI 2002)."""
    small = resized(image, (_TEXTURE_SIDE, _TEXTURE_SIDE))
    tissue = small > FILM_BACKGROUND
    if not tissue.any():
        tissue = np.ones_like(tissue)
    grey = small.astype(np.float32)
    features = [*np.quantile(grey[tissue], (0.05, 0.25, 0.5, 0.75, 0.95)), grey[tissue].std()]
    blurred = [grey, *(cv2.GaussianBlur(grey, (0, 0), 2.0**octave) for octave in range(5))]
    for finer, coarser in itertools.pairwise(blurred):
        features.append(np.log1p(((finer - coarser)[tissue] ** 2).mean()))
    for octave in (0, 2):
        features += _binary_patterns(blurred[octave], tissue).tolist()
    return np.array(features, dtype=np.float64)


def _binary_patterns(image: NDArray[np.float32], tissue: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Shares of the ten rotation-invariant uniform patterns of eight neighbours, float64 [10]."""
    higher = np.stack([np.roll(image, step, axis=(0, 1)) >= image for step in _LBP_NEIGHBOURS])
    changes = (higher != np.roll(higher, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, higher.sum(axis=0), 9)
    return np.bincount(pattern[tissue], minlength=10) / np.count_nonzero(tissue)
