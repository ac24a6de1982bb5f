"""A realistic finished run, made of simulated tables: for the report's tests and for looking at the report."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from reports.evaluation.baselines import BaselineResult, baselines_section
from reports.evaluation.bbc_cv import bbc_cv
from reports.evaluation.confident_cases import confident_cases
from reports.evaluation.convergence import convergence
from reports.evaluation.evaluate import evaluate
from reports.evaluation.final_models import FoldEnsemble
from reports.evaluation.localisation import LocalisationResult, LocatedCase, localisation_result
from reports.evaluation.ranking import ranking
from reports.evaluation.subgroups import CaseAttributes
from reports.figures.overlays import Overlay, write_overlay
from reports.figures.write import write_evaluation_figures, write_figures
from reports.metrics.table_intervals import with_intervals
from reports.page.run_summary import (
    AuditResult,
    CaseToSee,
    DataFacts,
    PermutationResult,
    PlannedRung,
    RunSummary,
    SeedScore,
    SplitPart,
)
from reports.predictions import Predictions
from reports.search_plots.plots import write_plain_plots
from reports.trials import TrialRecord, best_trial, ranked
from tests.support.simulated import CLASS_NAMES, PLAN, simulated_predictions, simulated_trials

CONFIG = """[data]
path = "data/images"
mode = "whole"
image_size = 448

[search]
max_trials = 40
max_epochs = 30
factor = 3
folds = 5

[space]
dense_width = [64, 128, 256, 512, 1024]
learning_rate = { low = 1e-4, high = 1e-1, sampling = "log" }
"""


def example_summary(
    directory: Path, *, is_demo: bool = True, resamples: int = 200, missing: int | None = None
) -> RunSummary:
    """A run on 40 held-out patients and 38 trials, with its figures and overlays drawn into a directory.

    Args:
        directory: Where they go.
        is_demo: Whether it says that it is a demonstration.
        resamples: Bootstrap resamples of BBC-CV.
        missing: A class without a held-out image.
    """
    predictions = held_out_of(0.9, missing)
    trials = simulated_trials()
    counts = np.bincount(predictions.labels, minlength=3)
    rng = np.random.default_rng(1)
    inner = simulated_predictions(patients=121, seed=5, separation=0.9)
    development = replace(inner, patient_ids=tuple(f"d{name}" for name in inner.patient_ids))
    candidates = np.stack(
        [simulated_predictions(patients=121, seed=5, separation=s).probabilities for s in rng.uniform(0.2, 0.55, 30)]
    )
    evaluation = evaluate(
        predictions,
        development=development,
        folds=np.arange(len(development)) // 2 % 5,
        training_shares=(1, 1, 1),
        attributes={
            image: CaseAttributes(
                tissue="FGD"[row // 2 % 3],
                abnormalities=(("CALC", "CIRC", "SPIC", "ARCH")[row % 4],) if label else (),
                radius=float(rng.uniform(10, 100)) if label else None,
            )
            for row, (image, label) in enumerate(zip(predictions.image_ids, predictions.labels, strict=True))
        },
        radius_cuts=(35.0, 65.0),
        selection=bbc_cv(
            development.labels,
            candidates,
            development.patient_ids,
            np.arange(len(development)) // 2 % 5,
            resamples=resamples,
        ),
        other_seeds=[held_out_of(separation, missing) for separation in (0.8, 1.0)],
        ensemble=FoldEnsemble(tuple(held_out_of(separation, missing) for separation in (0.7, 0.9, 1.1)), exact=True),
    )
    seeds = evaluation.metrics["final_seeds"]
    metrics = {**evaluation.metrics, "nested_seconds": 1260, "localisation": asdict(example_localisation())}
    metrics |= example_search(trials) | {"baselines": example_baselines(predictions, development, missing)}
    held_out = {name: int(count) for name, count in zip(CLASS_NAMES, counts, strict=True)}
    return RunSummary(
        name="simulated-example",
        created="2030-01-01T14:05:00+00:00",
        command="mammo-search run --demo --max-trials 40 --name simulated-example --seed 0",
        config_toml=CONFIG,
        data=DataFacts(
            source="phantom (160 patients, seed 0)",
            images=322,
            patients=161,
            class_counts={"normal": 207, "benign": 63, "malignant": 52},
            findings=119,
            unlocated=6,
            image_size=448,
            notes=("Six images have a finding that can't be located; whole-image evaluation keeps them.",),
        ),
        splits=(
            SplitPart("development", 121, {"normal": 163, "benign": 46, "malignant": 33}),
            *(SplitPart(f"fold {k}, validation", 24, {"normal": 33, "benign": 9, "malignant": 7}) for k in range(1, 6)),
            SplitPart("held out", 40, held_out),
        ),
        plan=tuple(PlannedRung(*rung) for rung in PLAN),
        trials=trials,
        metrics=metrics,
        figures=write_figures(predictions, best_trial(trials), directory)
        | write_evaluation_figures(evaluation, directory),
        search_figures=write_plain_plots(trials, directory / "search"),
        is_demo=is_demo,
        weights_provenance="random, seed 0" if is_demo else "a local archive of BiT-M-R50x1",
        weights_genuine=not is_demo,
        backbone="BiT (4 blocks of 1 unit, 8 root channels)" if is_demo else "BiT-M R50x1",
        versions={"mammo-search": "0.1.0", "Python": "3.11.9", "TensorFlow": "2.21.0", "Keras": "3.15.1"},
        fingerprints={"data": "3f" * 32, "split": "a1" * 32, "configuration": "9c" * 32},
        seeds={"split": 0, "search": 0, "retraining": 0},
        seed_spread=tuple(
            SeedScore(number, primary, macro, exported=number == 0)
            for number, (primary, macro) in enumerate(zip(seeds["primary_auc"], seeds["macro_ovr_auc"], strict=True))
        ),
        cases=example_cases(predictions, directory),
        audit={
            "No patient on two sides": AuditResult(True, "161 patients, each in exactly one part."),
            "Shortcut probe": AuditResult(False, "file number alone gives abnormal AUC 0.66 (warning above 0.60)."),
            "Byte-identical images": AuditResult(True, "none among 322."),
        },
        permutation=PermutationResult(
            "macro AUC of a logistic regression on frozen features", 0.71, 0.503, 0.031, 100, 0.0099
        ),
        holdout_readings=1,
        optimizer_steps=384,
        device="2 CPU cores",
        precision="bfloat16 (this processor multiplies it faster)",
        bank="1,210 views (3 / 8 / 12 an image, by class); banks of 0.39 GB on disk: depth 0 10 MB, depth 1 380 MB",
        seconds=212.0,
    )


def example_baselines(held_out: Predictions, development: Predictions, missing: int | None) -> list[dict[str, Any]]:
    """The three baselines of a run, the last one little better than chance."""
    about = {
        "linear probe": (
            0.7,
            "a logistic regression on the features of the frozen backbone",
        ),
        "fixed configuration": (0.85, "written down before any run: a linear head from zero, unfreeze depth 2"),
        "trivial statistics": (0.1, "boosted trees on brightness, sharpness, size and position of the breast"),
    }
    folds = np.arange(len(development)) // 2 % 5
    results = [
        BaselineResult(name, what, development, folds, (1, 1, 1), (held_out_of(separation, missing),))
        for name, (separation, what) in about.items()
    ]
    return baselines_section(held_out, results, None)


def example_search(trials: tuple[TrialRecord, ...]) -> dict[str, Any]:
    """What metrics.json says of the search; the second-best trial of three is the best by the primary endpoint."""
    finalists = ranked(trials)[:3]
    tables = [simulated_predictions(patients=121, seed=6, separation=separation) for separation in (0.8, 0.9, 0.7)]
    compared = ranking(finalists, [(table, np.arange(len(table)) // 2 % 5) for table in tables])
    assert compared is not None
    return {"convergence": asdict(convergence(finalists[0])), "ranking": asdict(compared)}


def example_localisation() -> LocalisationResult:
    """Twenty round lesions in round breasts; two of three maps point at them."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:96, :96]
    breast = columns**2 + (rows - 48) ** 2 < 46**2
    cases = []
    for number in range(20):
        x, y = rng.uniform(10, 30), rng.uniform(30, 66)
        peak = (x + 2, y) if number % 3 else (70.0, 10.0)
        label = CLASS_NAMES[1 + number % 2]
        cases.append(LocatedCase(f"mdb{number:03d}", f"p{number}", label, ((x, y, 8.0),), peak, breast))
    return localisation_result(
        cases,
        method="HiResCAM, 16 px a cell",
        chosen_on={"Grad-CAM, 32 px a cell": 0.42, "HiResCAM, 16 px a cell": 0.58},
        chosen_on_images=48,
    )


def held_out_of(separation: float, missing: int | None) -> Predictions:
    """Forty patients, the same whatever the separation; without the images of a class."""
    table = simulated_predictions(patients=40, seed=0, separation=separation)
    return table if missing is None else table.take(np.flatnonzero(table.labels != missing))


def without_pictures(summary: RunSummary) -> RunSummary:
    """As a run without ``--embed-images`` makes it."""
    return replace(summary, cases=tuple(replace(seen, picture=None) for seen in summary.cases))


def example_cases(predictions: Predictions, directory: Path) -> tuple[CaseToSee, ...]:
    """The confident cases, each with an overlay of a grey ramp."""
    image = np.repeat(np.arange(96, dtype=np.uint8)[None], 96, axis=0)
    cam = np.linspace(0, 1, 96 * 96, dtype=np.float32).reshape(96, 96)
    seen = []
    for case in confident_cases(predictions):
        overlay = Overlay(f"{case.image_id}: {case.label}", "a ramp", image, cam, ((40.0, 50.0, 12.0),))
        name = f"figures/localisation/{case.label}-{case.rank}-{case.image_id}.png"
        picture = write_overlay(overlay, directory / name)
        finding = "" if case.label == "normal" else f"CIRC ({case.label}), radius 41 px"
        seen.append(CaseToSee(case, tissue="G", findings=finding, overlay=name, picture=picture))
    return tuple(seen)


def unhappy_summary(summary: RunSummary) -> RunSummary:
    """The same run without a malignant held-out image, whose text tries to be markup, and that lacks the rest."""
    predictions = simulated_predictions(patients=20)
    without = predictions.take(np.flatnonzero(predictions.labels != 2))
    return replace(
        summary,
        is_demo=False,
        weights_genuine=True,
        name="<script>alert('x')</script> & Co",
        config_toml='name = "</code></pre><script>alert(1)</script>"',
        metrics=with_intervals(without),
        figures={},
        search_figures={},
        audit=None,
        permutation=None,
        seed_spread=(),
        plan=(),
        splits=(),
        versions={},
        fingerprints={},
        seeds={},
        holdout_readings=3,
        cases=(),
        trials=simulated_trials(folds=1, failed=tuple(range(38))),
    )
