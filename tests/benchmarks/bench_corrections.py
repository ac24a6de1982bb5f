"""Does the correction of the probabilities that the rule applies help new women? Simulated networks, known truth.

Goal: where a network needs no correction the rule rarely (in 5 of 100 sets) makes the log loss of new women worse by
more than 0.01 nats; where it needs one, it is found. 120 women, 240 images of three classes, 13 to 26 malignant, five
fold models; the exported model is one more of their kind. Evidence is normal, of a given distance between the classes
(1, 2, 3.5 and 5: macro AUC 0.76, 0.92, 0.99, 0.9998), with a part that both images of a woman share; so the honest
answer is known. A network answers with the honest logits times a factor, with or without the natural prior; where fold
models differ, each has a factor of its own (standard deviation 0.3 of its logarithm) and an offset a class.

    python tests/benchmarks/bench_corrections.py --sets 100

Change in log loss of 4,000 new images, in nats, mean over the sets, and the share of sets with more than 0.01 worse:
by the rule, and by always applying the better one of temperature and both (as before the rule).
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

from reports.decisions import correction
from reports.decisions.correction import fit_correction
from reports.decisions.probabilities import (
    ProbabilityCorrection,
    fit_temperature,
    log_losses,
    log_prior_shift,
    logits_of,
)
from reports.metrics.calibration import softmax
from reports.predictions import Predictions

PATIENTS, NEW, FOLDS = 120, 2000, 5
WORST = (0.62, 0.24, 0.14)
"""Shares of women by their worst label; the other breast of most is normal."""
NETWORKS = {
    "honest": (1.0, 1.0),
    "honest of a balanced world": (1.0, 0.0),
    "too sure, x 1.5": (1.5, 1.0),
    "too sure, x 3": (3.0, 1.0),
    "too sure of a balanced world, x 3": (3.0, 0.0),
    "too unsure, x 0.7": (0.7, 1.0),
}
"""Name to the factor on the logits and the share of the natural prior in them."""


def women(rng: np.random.Generator, count: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and honest logits of a balanced world, of two images a woman."""
    worst = rng.choice(3, count, p=WORST)
    labels = np.zeros(2 * count, np.int64)
    labels[0::2], labels[1::2] = worst, np.where(rng.random(count) < 0.2, worst, 0)
    shared = np.repeat(rng.normal(scale=0.4**0.5, size=(count, 3)), 2, axis=0)
    evidence = rng.normal(scale=0.6**0.5, size=(2 * count, 3)) + shared + distance * np.eye(3)[labels]
    return labels, distance * evidence


def development_women(rng: np.random.Generator, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """The same, drawn until 13 to 26 images are malignant."""
    while True:
        labels, logits = women(rng, PATIENTS, distance)
        if 13 <= (labels == 2).sum() <= 26:
            return labels, logits


def natural_shares() -> np.ndarray:
    labels, _ = women(np.random.default_rng(0), 200_000, 1.0)
    return np.bincount(labels) / len(labels)


def earlier_rule(table: Predictions) -> ProbabilityCorrection:
    """What has the smaller loss on the cases that it is fitted on: temperature, or both, as of an infinity of cases."""
    shift = log_prior_shift(np.bincount(table.labels), (1, 1, 1))
    logits, many = logits_of(table), 10**12
    fits = [fit_temperature(logits, table.labels, shift=each, independent=many) for each in (shift, None)]
    return min(fits, key=lambda fit: fit.loss)


def one_set(
    rng: np.random.Generator, network: str, distance: float, spread: float, natural: np.ndarray
) -> tuple[float, float, str]:
    """Change in log loss of new women by the rule and by the earlier one, and what the rule has chosen."""
    factor, prior = NETWORKS[network]

    def answers(logits: np.ndarray, model: np.ndarray) -> np.ndarray:
        factors = factor * np.exp(spread * rng.normal(size=model.max() + 1))
        offsets = spread * rng.normal(size=(model.max() + 1, 3))
        return (logits + prior * np.log(natural)) * factors[model][:, None] + offsets[model]

    labels, honest = development_women(rng, distance)
    folds = np.repeat(np.arange(PATIENTS) % FOLDS, 2)
    table = Predictions(
        image_ids=tuple(map(str, range(len(labels)))),
        patient_ids=tuple(str(number // 2) for number in range(len(labels))),
        labels=labels,
        probabilities=softmax(answers(honest, folds)),
        class_names=("normal", "benign", "malignant"),
    )
    choice = fit_correction(table, (1, 1, 1), folds=folds)
    assert choice is not None
    new_labels, new_honest = women(rng, NEW, distance)
    new = answers(new_honest, np.zeros(len(new_labels), np.int64))

    def change(applied: ProbabilityCorrection) -> float:
        after = new / applied.temperature + np.array(applied.log_prior_shift)
        return float((log_losses(after, new_labels) - log_losses(new, new_labels)).mean())

    return change(choice.correction), change(earlier_rule(table)), choice.correction.kind


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sets", type=int, default=100)
    options.add_argument("--margin", type=float, default=correction.MARGIN, help="standard errors of the rule")
    given = options.parse_args()
    sets, correction.MARGIN = given.sets, given.margin
    natural = natural_shares()
    all_changes = []
    print(f"{'network':34} distance spread      rule    worse    earlier  worse   chosen")
    for network in NETWORKS:
        for distance in (1.0, 2.0, 3.5, 5.0):
            for spread in (0.0, 0.3):
                found = [
                    one_set(np.random.default_rng([number, int(10 * distance)]), network, distance, spread, natural)
                    for number in range(sets)
                ]
                changes = np.array([each[:2] for each in found])
                all_changes.append(changes)
                means, worse = changes.mean(axis=0), (changes > 0.01).mean(axis=0)
                chosen = ", ".join(
                    f"{kind} {count}" for kind, count in Counter(each[2] for each in found).most_common()
                )
                print(
                    f"{network:34} {distance:8} {spread:6}  {means[0]:+9.4f} {worse[0]:6.0%}  {means[1]:+9.4f} "
                    f"{worse[1]:6.0%}   {chosen}",
                    flush=True,
                )
    together = np.concatenate(all_changes)
    means, worse = together.mean(axis=0), (together > 0.01).mean(axis=0)
    print(f"{'all':50}  {means[0]:+9.4f} {worse[0]:6.1%}  {means[1]:+9.4f} {worse[1]:6.1%}")


if __name__ == "__main__":
    main()
