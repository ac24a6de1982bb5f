"""The baselines of a run: trained on its development patients, asked about the held-out ones at the run's one reading.

Each is kept when it is done (`search.final.kept`), but for the trees of the trivial statistics, which take a moment.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mammo_data import DataError, PreparedSet, RoiSet
from mammo_data.checks.shortcuts import statistics_model, trivial_statistics
from reports import BaselineResult, Predictions, fold_macro_auc, softmax
from reports.evaluation.baselines import FIXED_CONFIGURATION, LINEAR_PROBE, TRIVIAL_STATISTICS
from search.bit.weights import fingerprint_of
from search.boundary.trunk import pooled_features
from search.cohort import Cohort
from search.config.schema import Config
from search.errors import RunError
from search.final.baselines.baseline import Baseline, Baselines
from search.final.baselines.fixed import fixed_configuration, train_fixed
from search.final.baselines.probe import LinearProbe, ProbeData, fit_probe, inner_parts, pack, unpack
from search.final.kept import FinalStore, Form, as_json, in_threads
from search.final.retrain import Searched
from search.machine.environment import cores
from search.machine.failures import first_line, is_out_of_memory
from search.screen.progress import RunProgress
from search.trials.cross_validation import DivergedError
from search.trials.data import TrialData, training_shares

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Parts of the women that the learning curve is of."""


def train_baselines(
    config: Config, cohort: Cohort, searched: Searched, store: FinalStore, progress: RunProgress
) -> Baselines:
    """Train all baselines, as far as they were not kept; nothing of the held-out patients is looked at.

    Args:
        config: Gives the number of final models of the fixed configuration, and the seed of inner folds and of trees.
        cohort: Who the search was about.
        searched: The search.
        store: Keeps them.
        progress: Shows what goes on.
    """
    seed = config.split.seed
    with progress.station("baselines") as moved:
        probe, by_patients = _linear_probe(cohort, searched, store, seed=seed)
        fixed = _fixed(cohort, searched, store, progress, moved, seeds=config.retrain.seeds)
        trivial = _trivial(cohort, searched, seed=seed)
    return Baselines(tuple(each for each in (probe, fixed, trivial) if each is not None), by_patients)


def _linear_probe(
    cohort: Cohort, searched: Searched, store: FinalStore, *, seed: int
) -> tuple[Baseline, tuple[dict[str, Any], ...]]:
    data, backbone, classes = searched.data, searched.backbone, len(searched.data.class_names)
    features = pooled_features(data.banks, backbone.architecture, backbone.weights, all_views=True)
    table = cohort.prepared.table.take(cohort.split.development_rows(cohort.prepared.table))
    offsets = next(iter(data.banks.values())).offsets
    given = ProbeData(features, offsets, table, searched.settings.minority, seed)

    form = Form(pack, unpack)
    makes = {
        f"probe-fold-{fold + 1}": partial(fit_probe, given, training) for fold, (training, _) in enumerate(data.folds)
    }
    makes["probe"] = partial(fit_probe, given, np.arange(len(data.labels)))
    # A probe each thread, with one thread of its own.
    with threadpool_limits(1):
        *folds, probe = store.kept_each(makes, form, seed, made=in_threads(cores()))
    asked = [fold.probabilities(given.images(rows)) for fold, (_, rows) in zip(folds, data.folds, strict=True)]
    by_patients = store.kept(
        "by-patients", as_json(tuple[dict[str, Any], ...]), partial(_by_patients, given, data, folds), seed
    )
    network = searched.network_of(0, 0, _side(cohort))
    result = _result(
        LINEAR_PROBE,
        f"a logistic regression on the {features.shape[1]} features of the frozen backbone, its penalty by inner folds",
        data,
        asked,
        training_shares("balanced" if given.is_balanced else "none", classes),
    )
    return (
        Baseline(
            result,
            (probe.fingerprint,),
            lambda prepared, rows: (probe.probabilities(network.features(prepared.images[rows])),),
        ),
        by_patients,
    )


def _by_patients(given: ProbeData, data: TrialData, folds: Sequence[LinearProbe]) -> tuple[dict[str, Any], ...]:
    """The probe's out-of-fold macro AUC when it is given a part of each training side's patients.

    Its strength stays that of the whole side: to choose it anew for each part would take most of the time.
    """

    def fitted(share: float, fold: int) -> tuple[NDArray[np.float64], int] | None:
        whole, (training, validation) = folds[fold], data.folds[fold]
        try:
            probe = whole if share == 1 else fit_probe(given, training, share=share, strength=whole.strength)
            used, _ = inner_parts(given, training, share=share)
        except DataError:  # so few that they can't be drawn from
            return None
        return probe.probabilities(given.images(validation)), len({data.patient_ids[row] for row in used})

    asked = list(itertools.product(SHARES, range(len(folds))))
    with threadpool_limits(1), ThreadPoolExecutor(cores()) as pool:
        found = dict(zip(asked, pool.map(fitted, *zip(*asked, strict=True)), strict=True))
    points = []
    for share in SHARES:
        of_folds = [each for fold in range(len(folds)) if (each := found[share, fold]) is not None]
        if len(of_folds) < len(folds):
            continue
        tables, patients = zip(*of_folds, strict=True)
        result = _result(LINEAR_PROBE, "", data, tables, None)
        area = fold_macro_auc(result.development, result.folds)
        points.append({"share": share, "patients": float(np.mean(patients)), "macro_ovr_auc": asdict(area)})
    return tuple(points)


def _fixed(
    cohort: Cohort,
    searched: Searched,
    store: FinalStore,
    progress: RunProgress,
    moved: Callable[[int, int], None],
    *,
    seeds: int,
) -> Baseline | None:
    data, configuration = searched.data, fixed_configuration(searched)
    try:
        models = train_fixed(searched, store, seeds=seeds, moved=moved)
    except Exception as error:
        # A finished search is not lost for what it is compared with.
        if not (isinstance(error, DivergedError | RunError) or is_out_of_memory(error)):
            raise
        progress.note(f"the {FIXED_CONFIGURATION} is left out: {first_line(error)}")
        return None
    depth, classes = configuration.unfreeze_depth, len(data.class_names)
    network = searched.network_of(depth, 0, _side(cohort))
    result = _result(
        FIXED_CONFIGURATION,
        f"written down before any run: a linear head from zero, unfreeze depth {depth}, peak rate "
        f"{configuration.learning_rate:.3g} by BiT's schedule, {searched.settings.full_epochs} epochs",
        data,
        [softmax(logits) for logits in models.logits],
        training_shares(searched.settings.minority, classes),
    )
    return Baseline(
        result,
        tuple(tail.fingerprint for tail in models.tails),
        lambda prepared, rows: network.probabilities(prepared.images[rows], models.tails),
    )


def _trivial(cohort: Cohort, searched: Searched, *, seed: int) -> Baseline:
    data, rows = searched.data, cohort.split.development_rows(cohort.prepared.table)
    statistics = _statistics(cohort.prepared, rows)

    def said(training: NDArray[np.int64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
        model = statistics_model(seed).fit(statistics[training], data.labels[training])
        probabilities = np.zeros((len(asked), len(data.class_names)))
        probabilities[:, model.classes_] = model.predict_proba(asked)
        return probabilities

    everyone = np.arange(len(data.labels))
    result = _result(
        TRIVIAL_STATISTICS,
        "trees on black area, brightness, sharpness, size and position, none of which shows a lesion",
        data,
        [said(training, statistics[validation]) for training, validation in data.folds],
        # Its trees weigh the classes equally, whatever the search does.
        training_shares("balanced", len(data.class_names)),
    )
    return Baseline(
        result,
        (fingerprint_of({"statistics": statistics, "labels": data.labels, "seed": np.array([seed])}),),
        lambda prepared, rows: (said(everyone, _statistics(prepared, rows)),),
    )


def _statistics(prepared: PreparedSet, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    positions = prepared.positions[rows] if isinstance(prepared, RoiSet) else None
    return trivial_statistics(prepared.images[rows], positions)


def _side(cohort: Cohort) -> int:
    return int(cohort.prepared.images.shape[1])


def _result(
    name: str,
    what: str,
    data: TrialData,
    asked: Sequence[NDArray[np.float64]],
    shares: tuple[float, ...] | None,
) -> BaselineResult:
    """A baseline's out-of-fold predictions, in the order in which trials have theirs."""
    rows = np.concatenate([validation for _, validation in data.folds])
    development = Predictions(
        image_ids=tuple(data.image_ids[row] for row in rows),
        patient_ids=tuple(data.patient_ids[row] for row in rows),
        labels=data.labels[rows],
        probabilities=np.concatenate(asked),
        class_names=data.class_names,
    )
    folds = np.repeat(np.arange(len(data.folds)), [len(validation) for _, validation in data.folds])
    return BaselineResult(name, what, development, folds, shares)
