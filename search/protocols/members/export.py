"""A mean of several models of a finished run in one file: its seeds, or its folds.

What is trained is kept under ``members/`` of the run's cache until the export is done: the same command goes on behind
it. The run's folder stays as it is, but for the export itself. The held-out patients are not read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mammo_data.waiting import Listener, heard_by
from search.config.schema import cache_directory
from search.errors import RunError
from search.export.describe import describe_members
from search.export.formats import Pixels, Probabilities
from search.export.metadata import MemberKind, members_file, read_metadata
from search.export.model import load_exported, save_model
from search.export.write import Exported, Source, export_target, run_metadata, write_export
from search.files.digests import json_checksum
from search.final.inference import FinalNetwork
from search.final.kept import FinalStore
from search.final.retrain import Searched, train_final_models, train_fold_models
from search.machine.failures import machine_failures_in_one_line
from search.plan.cost import CostModel
from search.plan.device_memory import MemoryDemand
from search.protocols.members.request import MembersRequest, request_members
from search.protocols.members.train import out_of_fold_of_seeds, searched_again
from search.run_folder.directory import RunDirectory
from search.screen.output import messages
from search.screen.progress import RunProgress
from search.text import rounded
from search.trials.out_of_fold import OutOfFold
from search.trials.tail import TrainedTail


@dataclass(frozen=True)
class TrainedMembers:
    """What is joined.

    Attributes:
        tails: The trained part of each member.
        development: Out-of-fold predictions that are made in the same way; None of folds, which have none.
        first: Whether the first member is the run's own model to the last bit; None of folds.
    """

    tails: tuple[TrainedTail, ...]
    development: OutOfFold | None = None
    first: bool | None = None


def export_members(
    run: RunDirectory,
    kind: MemberKind,
    format: str = "keras",
    out: Path | None = None,
    *,
    progress: RunProgress | None = None,
) -> Exported:
    """Write the mean of a complete run's seeds or folds, with its metadata beside it.

    It is compared with the mean of what the members say one by one, each in a whole network of its own. What an earlier
    export has left in the run's ``best/`` is not trained again.

    Args:
        run: The run's folder.
        kind: "seeds": the final models, thresholds from as many models a fold; "folds": the winner's fold models, for
            which there are no thresholds.
        format: "keras", "savedmodel" or "onnx".
        out: Where to, as for `search.export.write.export_run`; by default into the run's ``best/``.
        progress: Shows what goes on; nothing is shown by default.

    Returns:
        The export.

    Raises:
        RunError: If the run is not complete, has one such model alone, or its films, weights or code have changed; if
            the export differs from its members by more than the format's bound.
        UserError: If ``out`` is taken, or something that the export needs is not to be had.
    """
    request = request_members(run, kind)
    progress = progress or RunProgress(messages(), detail="quiet")
    usual = members_file(run, kind)
    export_target(usual, format, out)
    write = partial(write_export, run, format=format, out=out, say=progress.say)
    if request.is_made:
        progress.fact("members", f"{request.count} {kind}, as an earlier export has left them in {usual}")
        return write(Source(usual, read_metadata(usual), usual))
    config = request.config
    listener = Listener(f"export of {run.name}", waits=progress.waits, notes=progress.note)
    with machine_failures_in_one_line(run.path, smaller=MemoryDemand.of(config).smaller), heard_by(listener):
        searched, stored = searched_again(run, progress)
        store = _store(run, request, progress)
        _say_time(searched, request, progress)
        network = searched.network(config.preparation.image_size)
        members = (
            _seeds(run, searched, stored, store, network, request.count, progress)
            if kind == "seeds"
            else _folds(searched, stored, store, progress)
        )
        metadata = describe_members(
            run_metadata(run),
            kind,
            len(members.tails),
            config=config,
            stored=members.development,
            first=members.first,
        )
        with tempfile.TemporaryDirectory(prefix="mammo-search-") as folder:
            file = Path(folder, usual.name)
            save_model(network.mean(members.tails, usual.stem), file)
            own = partial(_mean_one_by_one, network, members.tails)
            exported = write(Source(file, metadata, usual, own, f"the mean of its {len(members.tails)} members"))
        store.forget()
    return exported


def _say_time(searched: Searched, request: MembersRequest, progress: RunProgress) -> None:
    """Say how long the training will take, by the epochs of the run's own search."""
    costs, folds = CostModel(), len(searched.data.folds)
    depth = searched.outcome.configuration.unfreeze_depth
    costs.learn_from(searched.outcome.records, folds)
    models = request.count + folds * (request.count - 1) if request.kind == "seeds" else folds
    took, epochs = costs.measured.get(depth, (0.0, 1))
    seconds = rounded(models * searched.epochs * took / epochs)
    progress.fact("time", f"{models} models to train, about {seconds}; --model single is there at once")


def _seeds(
    run: RunDirectory,
    searched: Searched,
    stored: OutOfFold,
    store: FinalStore,
    network: FinalNetwork,
    seeds: int,
    progress: RunProgress,
) -> TrainedMembers:
    epochs, folds = searched.epochs, len(searched.data.folds)
    with progress.station("retrain") as moved:
        tails = train_final_models(searched, store, seeds=seeds, moved=moved)
    first = _largest_difference(network, tails[0], run)
    if first:
        progress.note(
            f"the first model, trained again, is not the run's own to the last bit: weights differ by up to {first:.2g}"
            " (another device, or other libraries)"
        )
    total = folds * (seeds - 1) * epochs
    with progress.station("folds") as moved:
        said = out_of_fold_of_seeds(
            searched, stored, store, seeds=seeds, on_epoch=lambda epochs_behind: moved(epochs_behind, total)
        )
    return TrainedMembers(tails, said, first == 0)


def _folds(searched: Searched, stored: OutOfFold, store: FinalStore, progress: RunProgress) -> TrainedMembers:
    epochs = searched.epochs
    total = len(searched.data.folds) * epochs
    with progress.station("folds") as moved:
        models = train_fold_models(
            searched, stored, store, on_epoch=lambda fold, epoch: moved(fold * epochs + epoch, total)
        )
    if len(models.tails) < 2:
        raise RunError(
            expected="fold models that can be trained again",
            found=f"{len(models.tails)}, for the others diverge here",
            remedy="Export --model single.",
        )
    if not models.exact:
        progress.note("the fold models, trained again, do not give the search's own probabilities to the last bit")
    return TrainedMembers(models.tails)


def _largest_difference(network: FinalNetwork, tail: TrainedTail, run: RunDirectory) -> float:
    """The largest difference of a weight from the run's own model; 0 where they are the same to the last bit."""
    again, own = network.assembled(tail).get_weights(), load_exported(run.model_file).get_weights()
    differences = [float(np.abs(one - other).max()) for one, other in zip(again, own, strict=True) if one.size]
    return max(differences)


def _mean_one_by_one(network: FinalNetwork, tails: Sequence[TrainedTail], images: Pixels) -> Probabilities:
    """The mean of what members say, each in a whole network of its own, float32 [n, classes]."""
    said = [np.asarray(network.assembled(tail).predict_on_batch(images)) for tail in tails]
    return np.asarray(np.mean(said, axis=0, dtype=np.float64), np.float32)


def _store(run: RunDirectory, request: MembersRequest, progress: RunProgress) -> FinalStore:
    manifest = run.read_manifest()
    digest = json_checksum({"created": manifest.created, **manifest.fingerprints}, without="")[:16]
    folder = cache_directory(request.config) / "members" / f"{digest}-{request.kind}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FinalStore(run, progress.say, folder)
