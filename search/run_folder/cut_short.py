"""Searches of a run that ``search.max_minutes`` ended before their plan was carried out."""

from __future__ import annotations

from dataclasses import dataclass

from search.run_folder.directory import RunDirectory
from search.run_folder.trial_log import read_records


@dataclass(frozen=True)
class CutShort:
    """How far the searches came that the time limit ended; of a nested run, all such searches together.

    Attributes:
        searches: How many searches were cut short.
        trials: Their completed trials.
        planned_trials: Trials of their plans.
        epochs: Epochs of the completed trials, continued ones counted once.
        planned_epochs: Epochs of their plans.
    """

    searches: int
    trials: int
    planned_trials: int
    epochs: int
    planned_epochs: int

    def __str__(self) -> str:
        several = f" in {self.searches} searches" if self.searches > 1 else ""
        return f"the time limit came after {self.trials} of {self.planned_trials} planned trials{several}"


def cut_short(run: RunDirectory) -> CutShort | None:
    """What the time limit ended in a run, the outer searches of a nested one included; None where it ended none.

    Raises:
        RunError: If a run.json or trials.jsonl is damaged.
    """
    counts = []
    for folder in (run.path, *sorted(run.path.glob("outer-*"))):
        search = RunDirectory(folder)
        if not (search.has_manifest and search.trials_file.is_file()):
            continue
        manifest = search.read_manifest()
        if not manifest.cut_short:
            continue
        completed = [record for record in read_records(search.trials_file) if record.status == "completed"]
        epochs = sum(record.epochs - record.initial_epoch for record in completed)
        counts.append((1, len(completed), manifest.plan.trials, epochs, manifest.plan.epochs))
    return CutShort(*map(sum, zip(*counts, strict=True))) if counts else None
