"""The models of a finished run, trained again as the run trained them: it keeps none but the exported one.

The films are prepared and the banks filled or found as in the run, so that the trainer meets the same values and draws;
on a device that repeats the models are the same to the bit.

Thresholds of a mean of seeds want scores that are made in the same way: of each fold as many models as the mean has.
The first of a fold is the one whose logits the search has stored; the others are trained here and differ from it in
their seed alone. An image's out-of-fold probabilities are the mean over the models of its fold.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mammo_data import DataError
from reports import Predictions, softmax
from search.cohort import finished_cohort
from search.errors import RunError
from search.files.tensors import Arrays
from search.final.kept import FinalStore, Form
from search.final.retrain import Searched
from search.job import Job
from search.plan.execution import SearchOutcome
from search.protocols.banks import own_banks
from search.protocols.holdout import resolve_backbone, trainer_pool, training_settings
from search.protocols.members.request import films_gone
from search.run_folder.directory import RunDirectory
from search.run_folder.lifecycle import RESULTS_VERSION, changes
from search.run_folder.trial_log import read_records
from search.screen.progress import RunProgress
from search.trials.cross_validation import DivergedError
from search.trials.out_of_fold import OutOfFold, read_out_of_fold
from search.trials.worker import Worker
from search.tuner.executors.in_process import InProcessExecutor


def searched_again(run: RunDirectory, progress: RunProgress) -> tuple[Searched, OutOfFold]:
    """A finished run's search as it stood at its end, and the out-of-fold predictions of its winner.

    Args:
        run: The run's folder; nothing is written into it.
        progress: Shows what goes on.

    Raises:
        RunError: If films, weights or code are not those of the run any more, or a file of it has changed.
        UserError: If the weights are not to be had.
    """
    manifest = run.read_manifest()
    try:
        config, cohort = finished_cohort(run, progress)
    except (DataError, RunError) as error:
        raise films_gone(run, error) from None
    job = Job(config, place=run, demo=manifest.demo)
    backbone = resolve_backbone(config, run, progress)
    now = {"weights": backbone.weights.fingerprint, "results_version": RESULTS_VERSION}
    before = {"weights": manifest.fingerprints.get("weights"), "results_version": manifest.results_version}
    if changed := changes(before, now):
        raise RunError(
            expected=f"what {run.path} was made with",
            found=f"changes: {', '.join(changed)}",
            remedy="Restore it, or export --model single.",
        )
    outcome = SearchOutcome.of(read_records(run.check_output(run.trials_file)))
    # One bank, at the winner's depth: the others may be gone, and would take as long as those of a search.
    space = config.space.model_copy(update={"unfreeze_depth": (outcome.configuration.unfreeze_depth,), "known": ()})
    alone = Job(config.model_copy(update={"space": space}), place=run, demo=manifest.demo)
    data = own_banks(alone, backbone, cohort, progress)
    trainers, settings = trainer_pool(config, backbone, data), training_settings(config, job.plan, data)
    executor = InProcessExecutor(Worker(data, settings, trainers, run.path))
    searched = Searched(backbone, data, settings, outcome, trainers, executor)
    return searched, read_out_of_fold(run.path / "oof", outcome.winner, outcome.records, data.class_names)


def out_of_fold_of_seeds(
    searched: Searched,
    stored: OutOfFold,
    store: FinalStore,
    *,
    seeds: int,
    on_epoch: Callable[[int], None] = lambda epochs: None,
) -> OutOfFold:
    """Out-of-fold predictions of the winner that are means over several models a fold.

    Args:
        searched: The search.
        stored: Those of the first model of each fold, as the search has stored them.
        store: Keeps those of each other one.
        seeds: Models a fold.
        on_epoch: Called with the number of epochs that are behind it, of all models.

    Raises:
        RunError: If one of them diverges.
    """
    probabilities = stored.predictions.probabilities.copy()
    behind = 0
    for fold in range(len(searched.data.folds)):
        rows = stored.folds == fold
        said = [probabilities[rows]]
        for number in range(1, seeds):
            moved = partial(lambda before, epoch: on_epoch(before + epoch), behind)
            make = partial(_fold_probabilities, searched, fold, number, moved)
            form = _form(said[0].shape)
            said.append(store.kept(f"fold-{fold + 1}-seed-{number + 1}", form, make, searched.chosen))
            behind += searched.epochs
        probabilities[rows] = np.mean(said, axis=0)
    first = stored.predictions
    mean = Predictions(first.image_ids, first.patient_ids, first.labels, probabilities, first.class_names)
    return OutOfFold(mean, stored.folds)


def _form(shape: tuple[int, ...]) -> Form[NDArray[np.float64]]:
    def unpack(arrays: Arrays) -> NDArray[np.float64]:
        found: NDArray[np.float64] = arrays["probabilities"]
        if found.shape != shape or found.dtype != np.float64:
            raise ValueError("not the probabilities of this fold's images")
        return found

    return Form(lambda said: {"probabilities": said}, unpack)


def _fold_probabilities(
    searched: Searched, fold: int, number: int, on_epoch: Callable[[int], None]
) -> NDArray[np.float64]:
    try:
        result = searched.train_fold(fold, on_epoch, number=number)
    except DivergedError as divergence:
        raise RunError(
            expected="the best configuration to train on every fold from every seed",
            found=str(divergence),
            remedy="Export --model single, or search again under another --name with a lower space.learning_rate.max.",
        ) from None
    return softmax(result.logits[-1])
