"""Is the mean of the retrained seeds better to hand over than the first seed alone, and what is its spread worth?

    python -m tests.benchmarks.bench_members TABLE.jsonl SETS [--sets 20] [--women 500]

A set is that of `bench_carry_over`, and lies in SETS/SEED with its films, run and new women; one that is not there is
made. Of its finished run the mean of the seeds and that of the folds are exported, and read the new women as the single
model does. A line of the table is a set; sets that have one are not run again.

The rule, written down before any set was run: the mean of the seeds becomes the default of `export` if over the sets

    1. its printed probabilities have the lower log loss on average, 0 outside the 95 % t interval of the difference;
    2. its AUC of the primary endpoint is not lower: the lower limit of the difference is above -0.005;
    3. its thresholds keep their aim as well: mean |realised - target specificity| at 0.90 and at 0.95 is larger by at
       most 0.005.

Else the single model stays, for it is smaller and as fast again as there are members. The spread over members (largest
less smallest probability of the worst class) may be called uncertainty if the AUC of "the predicted class is wrong"
by it is above that by 1 - largest mean probability, which costs no second model: 0 below the t interval of the
difference.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.metrics.auc import binary_auc
from tests.benchmarks.bench_carry_over import FIRST_SEED, FRESH, TARGETS, judged, new_women, searched


def main() -> None:
    """Run what the table lacks, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--women", type=int, default=500)
    parser.add_argument("--trials", type=int, default=16)
    asked = parser.parse_args()
    lines = asked.table.read_text().splitlines() if asked.table.is_file() else []
    rows = [json.loads(line) for line in lines]
    for seed in range(FIRST_SEED, FIRST_SEED + asked.sets):
        if seed in {row["seed"] for row in rows}:
            continue
        rows.append(one_set(asked.folder / str(seed), seed, women=asked.women, trials=asked.trials))
        with asked.table.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        show(rows)


def one_set(folder: Path, seed: int, *, women: int, trials: int) -> dict[str, Any]:
    """The single model, the mean of seeds and that of folds on one set's new women."""
    from mammo_data import open_source, prepare
    from search.export.describe import describe_members
    from search.export.metadata import find_model
    from search.export.model import ExportedModel
    from search.export.write import run_metadata
    from search.final.finalists import read_finalists
    from search.protocols.members.export import export_members
    from search.protocols.members.request import request_members
    from search.run_folder.directory import RunDirectory
    from search.run_folder.trial_log import recorded

    run = RunDirectory(folder / "runs" / "set")
    if not (run.has_manifest and run.is_complete):
        folder.mkdir(parents=True, exist_ok=True)
        searched(folder, seed, trials=trials)
    if not (folder / "new" / "cases.csv").is_file():
        new_women(folder / "new", women, seed=seed + FRESH)
    single = find_model(str(run.path))
    prepared = prepare(open_source(folder / "new"), single.metadata.preparation, folder / "new_cache")
    labels = prepared.table.labels
    # Corrected and thresholded by the rule of this version, whichever has made the run; the number is not read.
    config = request_members(run, "seeds").config
    winner = read_finalists(run.path / "oof", recorded(run), single.metadata.class_names).winner
    own = describe_members(run_metadata(run), "seeds", 2, config=config, stored=winner, first=True)
    said = ExportedModel(single).probabilities(prepared.images)
    found: dict[str, Any] = {"seed": seed, "single": on_new(labels, said, own)}
    for kind in ("seeds", "folds"):
        file = find_model(str(export_members(run, kind).path))
        mean, members = ExportedModel(file).with_members(prepared.images)
        found[kind] = on_new(labels, mean, file.metadata)
        if kind == "seeds":
            wrong = mean.argmax(axis=1) != labels
            spread = np.ptp(members[:, :, -1], axis=0)
            found["errors"] = {
                "by_spread": binary_auc(wrong, spread),
                "by_probability": binary_auc(wrong, 1 - mean.max(axis=1)),
            }
    return found


def on_new(labels: NDArray[np.int64], plain: NDArray[np.float64], metadata: Any) -> dict[str, Any]:
    """What a model comes to on new women.

    Args:
        labels: int64 [n].
        plain: Its own probabilities, float64 [n, classes].
        metadata: Calibration and thresholds.
    """
    thresholds = [
        (point.target_specificity, point.threshold)
        for point in metadata.thresholds
        if len(point.classes) == 1 and point.threshold is not None
    ]
    found = judged(labels, plain, metadata.calibrated(plain), thresholds)
    aucs = [binary_auc(labels == index, plain[:, index]) for index in range(plain.shape[1])]
    return {**found, "primary_auc": aucs[-1], "macro_ovr_auc": float(np.mean(aucs))}


def show(rows: list[dict[str, Any]]) -> None:
    """Print the means, the differences, and what the rule says."""
    print(f"\n{len(rows)} sets")
    for kind in ("single", "seeds", "folds"):
        loss = "printed" if kind != "folds" else "plain"
        figures = [np.mean([row[kind][name] for row in rows]) for name in ("primary_auc", "macro_ovr_auc")]
        text = f"{kind:7s} primary AUC {figures[0]:.3f}, macro AUC {figures[1]:.3f}, "
        text += f"{loss} log loss {np.mean([row[kind]['loss'][loss] for row in rows]):.3f}"
        print(
            text + "".join(f", |specificity - {t:.2f}| {_gap(rows, kind, t):.3f}" for t in TARGETS if kind != "folds")
        )
    losses = [row["seeds"]["loss"]["printed"] - row["single"]["loss"]["printed"] for row in rows]
    areas = [row["seeds"]["primary_auc"] - row["single"]["primary_auc"] for row in rows]
    errors = [row["errors"]["by_spread"] - row["errors"]["by_probability"] for row in rows]
    for name, values in (("log loss", losses), ("primary AUC", areas)):
        print(f"seeds - single, {name}: {np.mean(values):+.4f} [{_limits(values)[0]:+.4f}, {_limits(values)[1]:+.4f}]")
    gaps = [_gap(rows, "seeds", target) - _gap(rows, "single", target) for target in TARGETS]
    holds = (_limits(losses)[1] < 0, _limits(areas)[0] > -0.005, max(gaps) <= 0.005)
    print(f"gaps larger by {gaps[0]:+.4f} and {gaps[1]:+.4f}; the three of the rule: {holds}")
    print(f"default: {'seeds' if all(holds) else 'single'}")
    by_spread = np.mean([row["errors"]["by_spread"] for row in rows])
    print(
        f"errors by spread: AUC {by_spread:.3f}, less by probability {np.mean(errors):+.3f} "
        f"[{_limits(errors)[0]:+.3f}, {_limits(errors)[1]:+.3f}]"
    )


def _gap(rows: list[dict[str, Any]], kind: str, target: float) -> float:
    points = [row[kind]["points"][str(target)] for row in rows if str(target) in row[kind]["points"]]
    return float(np.mean([abs(point["specificity"] - target) for point in points]))


def _limits(values: list[float]) -> tuple[float, float]:
    from scipy.stats import t

    half = 0.0
    if len(values) > 1:
        half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return float(np.mean(values)) - half, float(np.mean(values)) + half


if __name__ == "__main__":
    main()
