"""Patients left out in turn, and patients drawn with replacement: what the uncertainty of a figure is taken from.

The two breasts of a woman are not two independent cases, so that it is patients who are left out or drawn, all their
images with them. Either way a resample is a row of multiplicities, so every metric of `reports.metrics.table` is
computed for all of them in one call.

Intervals are made by the jackknife within strata (survey sampling's JKn: Wolter, Introduction to Variance Estimation,
2007, chapter 4). A split deals out each class's patients in fixed numbers, so the number of malignant women is no
chance. The jackknife has no seed, and needs a row a patient where a bootstrap needs thousands. The bootstrap remains
for the correction of a choice (`reports.evaluation.bbc_cv`), which needs who was not drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.errors import ReportError
from reports.metrics.auc import Floats

RESAMPLES = 2000

MOST_GROUPS = 600
"""Patients beyond this many are left out in groups: rows times images would fill the memory."""


class Estimate(NamedTuple):
    """A figure and how well the patients at hand determine it.

    Attributes:
        value: Of all patients; NaN where not defined.
        variance: Of the jackknife; NaN where the figure is not defined without some patient.
        freedom: Degrees of freedom of the variance if what each woman adds is normal (Satterthwaite), so that t with 12
            and not with 79 is taken where 13 women with a cancer rule the figure; infinite where the variance is 0.
        cautious_freedom: Fewer, where a few women carry most of the variance.
    """

    value: float
    variance: float
    freedom: float
    cautious_freedom: float


@dataclass(frozen=True)
class Jackknife:
    """The cases as they are, and without each patient in turn.

    Attributes:
        weights: Case weights: a row of ones, then a row for each patient (or group of patients) without it, float64
            [1 + groups, n].
        strata: Stratum of each group, int64 [groups].
        fixed: Whether the numbers of patients of the strata are no chance, as in a split; else the strata only tell the
            degrees of freedom.
    """

    weights: Floats
    strata: NDArray[np.int64]
    fixed: bool = True

    @classmethod
    def of(
        cls,
        patient_ids: tuple[str, ...],
        labels: NDArray[np.integer],
        *,
        folds: NDArray[np.integer] | None = None,
        fixed: bool = True,
    ) -> Jackknife:
        """The strata are those of a split: each patient's worst class, in a nested run within the outer fold.

        Args:
            patient_ids: Patient of each case, n; the order of the cases does not matter.
            labels: Class index, the worst the largest, int [n].
            folds: Outer fold of each case, int [n], or None.
            fixed: As the attribute.
        """
        patients, position = np.unique(np.array(patient_ids, dtype=str), return_inverse=True)
        worst = np.zeros(len(patients), np.int64)
        np.maximum.at(worst, position, np.asarray(labels, np.int64))
        if folds is not None:
            _, fold = np.unique(folds, return_inverse=True)
            first = np.zeros(len(patients), np.int64)
            first[position] = fold
            worst += first * (int(worst.max()) + 1)
        strata = _without_singles(worst)
        group, strata = _grouped(strata)
        left_out = (np.arange(len(strata))[:, np.newaxis] != group[position][np.newaxis]).astype(np.float64)
        return cls(np.concatenate([np.ones((1, len(position))), left_out]), strata, fixed)

    def estimate(self, values: Floats) -> Estimate:
        """Value, variance and degrees of freedom of a figure.

        Args:
            values: Under each row of `weights`, float64 [1 + groups].
        """
        squares = self._moves(values[np.newaxis])[0] ** 2
        sizes = np.bincount(self.strata)
        spare = np.maximum(sizes - 1, 1)
        parts = np.bincount(self.strata, squares)
        total = float(parts.sum())
        # How uncertain the variance is, if the moves within a stratum are normal, and by their fourth moments. Near an
        # area of 1 the first says 86 degrees of freedom where the second says 7, and limits cover too little by the one
        # and are twice as wide by the other. So the mean of the two.
        normal = float((parts**2 / spare).sum())
        spread = squares - (parts / sizes)[self.strata]
        moments = float((np.bincount(self.strata, spread**2) * sizes / spare).sum() / 2)
        freedom = [total**2 / lost if lost > 0 else np.inf for lost in (normal, (normal + max(normal, moments)) / 2)]
        return Estimate(float(values[0]), total, freedom[0], freedom[1])

    def correlation(self, values: Floats) -> Floats:
        """Correlations of figures, float64 [k, k]; 0 where one of two does not vary or is not defined.

        Args:
            values: Each under each row of `weights`, float64 [k, 1 + groups].
        """
        moves = np.nan_to_num(self._moves(values))
        scale = np.sqrt((moves**2).sum(axis=1, keepdims=True))
        unit = np.divide(moves, scale, out=np.zeros_like(moves), where=scale > 0)
        found = unit @ unit.T
        np.fill_diagonal(found, 1.0)
        return np.asarray(found)

    def _moves(self, values: Floats) -> Floats:
        """What each group adds to a figure's standard error, squared and summed its variance; float64 [k, groups]."""
        strata = self.strata if self.fixed else np.zeros_like(self.strata)
        sizes = np.bincount(strata)
        member = np.eye(len(sizes))[strata]
        without = values[:, 1:]
        return np.asarray(
            (without - without @ member / sizes @ member.T) * np.sqrt((sizes - 1) / np.maximum(sizes, 1))[strata]
        )


def _without_singles(strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers from 0; strata of one patient, which have no variance of their own, are put together."""
    _, numbers, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    single = sizes[numbers] == 1
    if single.sum() == 1 and len(sizes) > 1:
        single |= numbers == np.argmax(sizes)
    return np.unique(np.where(single, -1, numbers), return_inverse=True)[1].astype(np.int64)


def _grouped(strata: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group of each patient, and stratum of each group: a group a patient, or, of too many, as many as may be."""
    if len(strata) <= MOST_GROUPS:
        return np.arange(len(strata)), strata
    most = MOST_GROUPS // len(np.unique(strata))
    group, of_group = np.zeros_like(strata), list[int]()
    rng = np.random.default_rng(0)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        groups = min(most, len(members))
        group[rng.permutation(members)] = len(of_group) + np.arange(len(members)) % groups
        of_group += [int(stratum)] * groups
    return group, np.array(of_group, np.int64)


def patient_weights(patient_ids: tuple[str, ...], *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Case weights of a patient-cluster bootstrap.

    Args:
        patient_ids: Patient of each case, n.
        resamples: Number of resamples.
        seed: Seed of the draw; the order of the cases does not matter, for patients are drawn in sorted order.

    Returns:
        Multiplicity of each case, float64 [resamples, n]; all images of a patient share theirs.
    """
    patients, position = np.unique(np.array(patient_ids, dtype=str), return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(len(patients), np.full(len(patients), 1 / len(patients)), resamples)
    return draws[:, position].astype(np.float64)


def check_folds(patient_ids: tuple[str, ...], folds: NDArray[np.integer]) -> None:
    """Refuses folds that a patient stands in two of, for then the scores leak.

    Args:
        patient_ids: Patient of each case, n.
        folds: Fold of each case, int [n].

    Raises:
        ReportError: If there is such a patient.
    """
    if len(set(zip(patient_ids, np.asarray(folds).tolist(), strict=True))) != len(set(patient_ids)):
        raise ReportError(
            expected="each patient in one fold", found="a patient in two folds", remedy="Make the folds by patient."
        )
