"""How often each interval of a report holds the truth, and how wide it is.

    python -m tests.benchmarks.bench_coverage TABLE.csv [--sets 2000] [--only 80]

A set is a hold-out with two correlated images a woman and as many women of each class in every set, as a split deals
them out: 13 of 80 images malignant, or 52 of 322. A model's class scores are normal, half of their variance the
woman's own; its probabilities are right (but for the worlds that say otherwise), and its AUC of malignant versus rest
0.5, 0.8, 0.97 or 0.997. The truth of each figure is that of thousands of such sets together. The goal: 93 % at least.

Figures: all of `reports.metrics.table_intervals`, sensitivity and specificity at a threshold fixed before, the same
and the AUC a woman, net benefit at 0.1 and 0.3, the macro AUC within five folds, and the differences of two models of
one AUC whose scores share half of their noise.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reports.decisions.by_patient import worst
from reports.decisions.decision_curve import net_benefit
from reports.evaluation.baselines import fold_macro_auc
from reports.evaluation.comparison import HeldOut, differences
from reports.metrics.auc import binary_auc, fold_averaged_macro_auc
from reports.metrics.intervals import Interval
from reports.metrics.rates import area_interval, share_interval
from reports.metrics.resampling import Jackknife
from reports.metrics.table import metric_values
from reports.metrics.table_intervals import WITHOUT, MetricIntervals
from reports.predictions import Predictions

NAMES = ("normal", "benign", "malignant")
COMPARED = ("primary_auc", "macro_ovr_auc", "balanced_accuracy", "brier", "log_loss")
TRUTH_SETS, TRUTH_COPIES = 60, 40
FOLDS = 5


@dataclass(frozen=True)
class World:
    """What sets are drawn from.

    Attributes:
        name: What it is called.
        women: In a set.
        malignant: Women with a malignant breast.
        benign: Women with a benign one.
        auc: Of malignant versus rest.
        gain: Above 1 for a model that is too sure.
        fixed: Whether each set has as many women of each class; else they are drawn.
    """

    name: str
    women: int
    malignant: int
    benign: int
    auc: float
    gain: float = 1.0
    fixed: bool = True

    def labels(self, rng: np.random.Generator, copies: int = 1) -> NDArray[np.int64]:
        """Class of each image, int64 [women · copies, 2]."""
        whole = np.zeros((self.women, 2), np.int64)
        whole[: self.malignant, 0] = 2
        whole[self.malignant : self.malignant + self.benign, 0] = 1
        whole = np.repeat(whole, copies, axis=0)
        return whole if self.fixed else whole[rng.integers(len(whole), size=len(whole))]

    def tables(self, rng: np.random.Generator, separation: float, copies: int = 1) -> tuple[Predictions, Predictions]:
        """Two models' predictions of one set."""
        labels = self.labels(rng, copies)
        prior = np.array([1 - (self.malignant + self.benign) / 2 / self.women, self.benign / 2 / self.women, 0])
        prior[2] = 1 - prior.sum()

        def noise() -> NDArray[np.float64]:
            each, own = rng.normal(size=(*labels.shape, 3)), rng.normal(size=(len(labels), 1, 3))
            return math.sqrt(0.5) * (each + own)

        common = noise()
        found = []
        for _ in range(2):
            scores = separation * np.eye(3)[labels] + math.sqrt(0.5) * (common + noise())
            logits = self.gain * (np.log(prior) + max(separation, 1.0) * scores).reshape(-1, 3)
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            images = tuple(f"i{number:06d}" for number in range(labels.size))
            women = tuple(f"w{number // 2:06d}" for number in range(labels.size))
            found.append(Predictions(images, women, labels.ravel(), odds / odds.sum(axis=1, keepdims=True), NAMES))
        return found[0], found[1]

    def separation(self) -> float:
        """Of the class scores, so that the AUC is what it is to be."""
        low, high = 0.0, 8.0
        for _ in range(0 if self.auc == 0.5 else 16):
            middle = (low + high) / 2
            table, _ = self.tables(np.random.default_rng(5), middle, copies=max(1, 8000 // self.women))
            reached = binary_auc(table.labels == 2, table.probabilities[:, 2])
            low, high = (middle, high) if reached < self.auc else (low, middle)
        return 0.0 if self.auc == 0.5 else (low + high) / 2


WORLDS = (
    *(
        World(f"{2 * women}, {auc}", women, malignant, benign, auc)
        for women, malignant, benign in ((40, 13, 8), (161, 52, 33))
        for auc in (0.5, 0.8, 0.97, 0.997)
    ),
    World("80, 0.97, too sure", 40, 13, 8, 0.97, gain=2.5),
    World("80, 0.8, women drawn", 40, 13, 8, 0.8, fixed=False),
)


def figures(
    world: World, tables: tuple[Predictions, Predictions], thresholds: tuple[float, float]
) -> Iterator[tuple[str, Interval]]:
    """Each figure of a set with its interval."""
    first, second = tables
    held_out = HeldOut(first)
    metrics = held_out.metrics if world.fixed else MetricIntervals(first, fixed=False)
    yield from ((".".join(path), found) for path, found in metrics.all.items() if path[-1] not in WITHOUT)
    positive, scores = first.labels == 2, first.probabilities[:, 2]
    called, ids = scores >= thresholds[0], first.patient_ids
    yield "sensitivity, fixed threshold", share_interval(called, positive, ids, metrics.jackknife)
    yield "specificity, fixed threshold", share_interval(~called, ~positive, ids, metrics.jackknife)
    patients, of = np.unique(np.array(ids), return_inverse=True)
    women, ill, highest = tuple(patients.tolist()), worst(positive, of), worst(scores, of)
    jackknife = Jackknife.of(women, worst(first.labels, of), fixed=world.fixed)
    yield "AUC a woman", area_interval(ill, highest, women, jackknife)
    recalled = highest >= thresholds[1]
    yield "sensitivity a woman", share_interval(recalled, ill, women, jackknife)
    yield "specificity a woman", share_interval(~recalled, ~ill, women, jackknife)
    if world.fixed:
        for at in (0.1, 0.3):
            odds = at / (1 - at)
            yield f"net benefit at {at}", net_benefit(scores >= at, positive, ids, metrics.jackknife, odds=odds)
        yield "macro AUC within folds", fold_macro_auc(first, of % FOLDS)
        for name, found in differences(held_out, HeldOut(second), COMPARED).items():
            yield f"difference of {name}", found


def truth(world: World, separation: float) -> tuple[dict[str, float], tuple[float, float]]:
    """Each figure of all women there are, and the thresholds (of images, of women) with a specificity of 0.90."""
    rng = np.random.default_rng(9)
    table, _ = world.tables(rng, separation, copies=max(1, 8000 // world.women))
    negative, scores = table.labels != 2, table.probabilities[:, 2]
    of = np.unique(np.array(table.patient_ids), return_inverse=True)[1]
    thresholds = (
        float(np.quantile(scores[negative], 0.9)),
        float(np.quantile(worst(scores, of)[worst(table.labels, of) != 2], 0.9)),
    )
    found = defaultdict(list)
    for _ in range(TRUTH_SETS):
        both = world.tables(rng, separation, copies=max(1, TRUTH_COPIES * 40 // world.women))
        table = both[0]
        ones, positive, scores = np.ones((1, len(table))), table.labels == 2, table.probabilities[:, 2]
        values = {path: value[0] for path, value in metric_values(table, ones).items()}
        for path, value in values.items():
            found[".".join(path)].append(value)
        called = scores >= thresholds[0]
        found["sensitivity, fixed threshold"].append(called[positive].mean())
        found["specificity, fixed threshold"].append((~called[~positive]).mean())
        for at in (0.1, 0.3):
            gain = (scores >= at) * (positive - (~positive) * at / (1 - at))
            found[f"net benefit at {at}"].append(gain.mean())
        of = np.unique(np.array(table.patient_ids), return_inverse=True)[1]
        ill, highest = worst(positive, of), worst(scores, of)
        found["AUC a woman"].append(binary_auc(ill, highest))
        found["sensitivity a woman"].append((highest >= thresholds[1])[ill].mean())
        found["specificity a woman"].append((highest < thresholds[1])[~ill].mean())
        one = fold_averaged_macro_auc(table.labels, table.probabilities[None], np.zeros(len(table), np.int64), ones)
        found["macro AUC within folds"].append(one[0, 0])
        other = metric_values(both[1], ones)
        for name in COMPARED:
            found[f"difference of {name}"].append(values[name,] - other[name,][0])
    return {name: float(np.mean(each)) for name, each in found.items()}, thresholds


def main() -> None:
    """Draw the sets, and write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--only", default="", help="worlds whose name begins so")
    asked = parser.parse_args()
    rows = []
    for world in WORLDS:
        if not world.name.startswith(asked.only):
            continue
        separation = world.separation()
        true, thresholds = truth(world, separation)
        counts: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
        for number in range(asked.sets):
            tables = world.tables(np.random.default_rng((77, number)), separation)
            for name, found in figures(world, tables, thresholds):
                count = counts[name]
                if found.lower is None or found.upper is None:
                    count[3] += found.value is not None
                    continue
                count[0] += 1
                count[1] += found.lower - 1e-9 <= true[name] <= found.upper + 1e-9
                count[2] += found.upper - found.lower
        for name, (n, inside, width, without) in counts.items():
            shown = (f"{inside / n:.3f}", f"{width / n:.3f}") if n else ("", "")
            row = (world.name, name, f"{true[name]:.4f}", *shown, int(n), int(without))
            rows.append(row)
            low = "  <" if n and inside / n < 0.93 else ""
            print(
                f"{world.name:22s} {name:34s} {true[name]:8.4f} " + " ".join(f"{each!s:>7s}" for each in row[3:]) + low
            )
        with asked.table.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("world", "figure", "truth", "coverage", "width", "with_interval", "without"))
            writer.writerows(rows)


if __name__ == "__main__":
    main()
