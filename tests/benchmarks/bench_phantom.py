"""How hard the synthetic films are: what texture statistics, a linear probe and a short search make of them.

Run: uv run python tests/benchmarks/bench_phantom.py --table phantom.csv [--seeds 101,102,103] [--search]

The films' difficulty was set by hand on generator seeds 103, 105 and 106, none of them the demonstration's. A seed is a
set of 480 women. A quarter of them, as many as the demonstration develops on, are for fitting the probe (multinomial
logistic regression, ridge, on the pooled features of the small random BiT) and for the search (`mammo-search run`, six
trials); the other 360, 720 films, are read for their AUC. So it is with statistics of the whole image, which have two
models, trees and a logistic regression, of which the better one counts:

    trifles    what `search.audit.shortcuts` calls trivial: black fraction, mean, Laplacian variance, size, position
    texture    its texture: grey quantiles, energy in octaves, local binary patterns
    grey       mean, standard deviation and histogram of the breast
    spectrum   radial power spectrum, 24 bands
    all        all of them at once

All of it is malignant versus rest, but for the macro columns. The goals: statistics at most 0.65, so that nothing but
how strands lie about a mass tells the class, and a search between 0.80 and 0.92, so that a figure can move. A row is
kept in the table as soon as it is there; a row of other films, for the generator has changed, is made anew.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WOMEN = 480
FITTED = 0.25
FILM = 256
SIDE = 96
SEEDS = (101, 102, 103, 104, 105, 106)
STATISTICS = ("trifles", "texture", "grey", "spectrum", "all")
COLUMNS = ("films", "seed", *STATISTICS, "probe", "probe macro", "search", "search macro")
SEARCH = ("--max-trials", "6", "--image-size", str(SIDE), "--backbone", "bit-small", "--weights", "random")


def statistics(films: Any) -> dict[str, NDArray[np.float64]]:
    """Groups of whole-image statistics, float64 [n, k]."""
    from mammo_data import shortcuts

    table = films.table
    audited = shortcuts(films.images, table.image_ids)
    groups = {
        "trifles": np.hstack([group.values for group in audited if group.trivial and group.visible]),
        "texture": np.hstack([group.values for group in audited if not group.trivial]),
        "grey": np.array([grey_statistics(np.asarray(image)) for image in films.images]),
        "spectrum": np.array([radial_spectrum(np.asarray(image)) for image in films.images]),
    }
    return {**groups, "all": np.hstack(list(groups.values()))}


def grey_statistics(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean, standard deviation and histogram of the breast, float64 [26]."""
    tissue = image[image > 18].astype(np.float64)
    shares = np.histogram(tissue, bins=24, range=(0, 256))[0] / max(1, tissue.size)
    return np.array([tissue.mean(), tissue.std(), *shares])


def radial_spectrum(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logarithm of the power in 24 bands of frequency, float64 [24]."""
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :])
    band = np.minimum((frequency / 0.5 * 24).astype(int), 23)
    return np.log(np.bincount(band.ravel(), power.ravel(), minlength=24) + 1)


def statistics_auc(values: NDArray[np.float64], films: Any, split: Any) -> float:
    """AUC of the better of trees and a logistic regression on the women left."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, asked, positive = split.development_rows(films.table), split.test_rows(films.table), films.table.labels == 2
    models = (
        ExtraTreesClassifier(100, min_samples_leaf=5, class_weight="balanced", random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000)),
    )
    fitted = [model.fit(values[known], positive[known]) for model in models]
    return float(max(roc_auc_score(positive[asked], each.predict_proba(values[asked])[:, 1]) for each in fitted))


def probe_auc(films: Any, split: Any) -> tuple[float, float]:
    """Malignant versus rest and macro AUC of a linear probe of the small random BiT's features, on the women left."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from reports.metrics.table import macro_ovr_auc
    from search.bit.architecture import SMALL
    from search.bit.weights import random_weights
    from search.boundary.trunk import frozen_trunk
    from search.machine.libraries import start_tensorflow

    start_tensorflow(deterministic=True)
    trunk = frozen_trunk(SMALL, random_weights(SMALL, 0), image_size=SIDE, depths=[0])
    pixels = np.repeat((np.asarray(films.images, np.float32) / 127.5 - 1)[..., None], 3, axis=-1)
    features = np.concatenate([trunk(pixels[start : start + 32])[0] for start in range(0, len(pixels), 32)])
    known, asked = split.development_rows(films.table), split.test_rows(films.table)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=5000))
    labels = films.table.labels
    scores = model.fit(features[known], labels[known]).predict_proba(features[asked])
    return float(roc_auc_score(labels[asked] == 2, scores[:, 2])), float(macro_ovr_auc(labels[asked], scores))


def search_auc(folder: Path, seed: int, workspace: Path, settings: list[str]) -> tuple[float, float]:
    """Held-out malignant versus rest and macro AUC of a short search."""
    held_out = f"split.test_fraction={1 - FITTED}"
    training = "search.max_epochs=30", "search.backbone_lr_cap=100"
    extra = [word for setting in (held_out, *training, *settings) for word in ("--set", setting)]
    command = [sys.executable, "-m", "search", "run", "--data", str(folder), "--name", "bench", *SEARCH, *extra]
    places = ["--set", f"output.runs={workspace}/runs", "--set", f"output.cache={workspace}/cache"]
    seeds = ["--seed", str(seed), "--set", f"split.seed={seed}", "--set", "search.precision=float32"]
    subprocess.run([*command, *places, *seeds], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = json.loads((workspace / "runs" / "bench" / "best" / "metrics.json").read_text())
    return float(metrics["primary_auc"]["value"]), float(metrics["macro_ovr_auc"]["value"])


def row_of(seed: int, workspace: Path, with_search: bool, settings: list[str]) -> dict[str, Any]:
    """The figures of one generator seed."""
    from mammo_data import PreparationSettings, open_source, patient_split, prepare, write_phantom

    folder = write_phantom(workspace / "films", patients=WOMEN, seed=seed, image_size=FILM)
    films = prepare(open_source(folder), PreparationSettings(image_size=SIDE), workspace / "prepared")
    split = patient_split(films.table, test_fraction=1 - FITTED, seed=seed)
    row = {name: statistics_auc(values, films, split) for name, values in statistics(films).items()}
    row["probe"], row["probe macro"] = probe_auc(films, split)
    if with_search:
        row["search"], row["search macro"] = search_auc(folder, seed, workspace, settings)
    return row


def generator(workspace: Path) -> str:
    """A few hexadecimal digits that change with the generator's films."""
    from mammo_data import open_source, write_phantom

    source = open_source(write_phantom(workspace / "few", patients=12, seed=SEEDS[0], image_size=FILM))
    return hashlib.sha256(source.fingerprint.encode()).hexdigest()[:8]


def main() -> None:
    """Fill the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, required=True, help="CSV file that rows are kept in")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--search", action="store_true", help="a short search of each seed, too: minutes each")
    parser.add_argument("--set", action="append", default=[], help="a setting of the search")
    options = parser.parse_args()
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        films = generator(Path(folder))
    if options.table.exists():
        with options.table.open(newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["films"] == films]
    for seed in options.seeds.split(","):
        if any(row["seed"] == seed and (row["search"] or not options.search) for row in rows):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = row_of(int(seed), Path(folder), options.search, options.set)
        rows = [row for row in rows if row["seed"] != seed]
        rows.append({"films": films, "seed": seed} | {name: f"{value:.3f}" for name, value in found.items()})
        with options.table.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(rows)
    means = {"films": "", "seed": "mean"}
    for name in COLUMNS[2:]:
        values = [float(row[name]) for row in rows if row.get(name)]
        means[name] = f"{np.mean(values):.3f}" if values else ""
    for line in (dict(zip(COLUMNS, COLUMNS, strict=True)), *rows, means):
        sys.stdout.write("  ".join(f"{line.get(name, ''):>{max(8, len(name))}}" for name in COLUMNS) + "\n")


if __name__ == "__main__":
    main()
