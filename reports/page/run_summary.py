"""RunSummary: everything that a report or a model card prints, gathered in one place before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.evaluation.confident_cases import ConfidentCase
from reports.evaluation.nested import OuterFold
from reports.page.extent import SearchExtent
from reports.trials import TrialRecord, best_trial, ranked


@dataclass(frozen=True)
class DataFacts:
    """What was found in the data set, before any split.

    Attributes:
        source: How the user named it, for example a path.
        images: Number of images.
        patients: Number of different patients.
        class_counts: Images by class name, from harmless to worst.
        findings: Annotated abnormalities.
        unlocated: Images that have a finding without a usable position.
        image_size: Side of the prepared square images in pixels.
        notes: Sentences about what had to be mended or left out.
    """

    source: str
    images: int
    patients: int
    class_counts: Mapping[str, int]
    findings: int = 0
    unlocated: int = 0
    image_size: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitPart:
    """One side of the split.

    Attributes:
        name: For example "development", "held out" or "fold 1, validation".
        patients: Number of different patients.
        class_counts: Images by class name.
    """

    name: str
    patients: int
    class_counts: Mapping[str, int]

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(self.class_counts.values())


@dataclass(frozen=True)
class PlannedRung:
    """One rung of the plan: so many configurations, trained to so many epochs."""

    bracket: int
    rung: int
    configurations: int
    initial_epoch: int
    epochs: int


@dataclass(frozen=True)
class AuditResult:
    """One question of the audit.

    Attributes:
        passed: Whether it came out well; None where it was not asked.
        detail: One sentence with the figures.
    """

    passed: bool | None
    detail: str


@dataclass(frozen=True)
class PermutationResult:
    """What the same procedure scores on labels that were shuffled between patients.

    Attributes:
        statistic: Name of the score, for example "macro one-vs-rest AUC of a logistic regression on frozen features".
        observed: The score on the true labels.
        null_mean: Mean over the permutations; far from 0.5 means a leak.
        null_sd: Standard deviation over the permutations.
        permutations: Their number.
        p_value: (1 + permutations that score at least as high) / (1 + permutations).
        null_lower: 2.5 % quantile of the permutations, or None.
        null_upper: 97.5 % quantile, or None.
    """

    statistic: str
    observed: float
    null_mean: float
    null_sd: float
    permutations: int
    p_value: float
    null_lower: float | None = None
    null_upper: float | None = None

    @property
    def null_is_chance(self) -> bool:
        """Whether the mean is 0.5 but for the luck of so many permutations, or by less than anyone would mind."""
        return abs(self.null_mean - 0.5) < max(0.02, 3 * self.null_sd / self.permutations**0.5)


@dataclass(frozen=True)
class HoldoutReading:
    """One evaluation of the held-out patients of this split.

    Attributes:
        run: Name of the run that evaluated.
        time: When, ISO 8601 with time zone.
    """

    run: str
    time: str


@dataclass(frozen=True)
class CaseToSee:
    """A held-out case that a reader should look at.

    Attributes:
        case: What the model said of it.
        tissue: Background tissue code, "" where unknown.
        findings: Its findings in words, "" without any.
        overlay: Path of its overlay beside the report, or "".
        picture: The overlay's PNG file where it is to be embedded, or None: a report is made to be passed on, and holds
            no pixel of the data set unless asked to.
    """

    case: ConfidentCase
    tissue: str = ""
    findings: str = ""
    overlay: str = ""
    picture: Path | None = None


@dataclass(frozen=True)
class SeedScore:
    """Held-out score of one retraining of the winner.

    Attributes:
        seed: The retraining's seed.
        primary_auc: Primary endpoint on the held-out patients, or None where not defined.
        macro_ovr_auc: Macro one-vs-rest AUC there, or None.
        exported: Whether this is the model that was exported; fixed before any score was known.
    """

    seed: int
    primary_auc: float | None
    macro_ovr_auc: float | None
    exported: bool = False


@dataclass(frozen=True)
class RunSummary:
    """A finished run.

    Attributes:
        name: Name of the run.
        created: When the evaluation ended, ISO 8601 with time zone.
        command: The command line that made it, as it can be typed again.
        config_toml: The whole configuration, defaults included, as TOML text.
        data: Facts about the data set.
        splits: Sides of the split with their counts.
        plan: The plan of the search.
        trials: All trials of the search.
        metrics: From `reports.evaluation.evaluate.evaluate`: the content of metrics.json.
        figures: Figure name to PNG file, in the order of the report.
        search_figures: The same of the search, from `reports.search_plots.plots`.
        is_demo: Whether data are synthetic; the report then says so on every page.
        mode: "whole" (image) or "roi".
        protocol: "holdout" or "nested".
        method: How it was searched, in words.
        objective: What the search maximised.
        training: How the final model was trained, in a few words, or "".
        imbalance: What was done for rare classes, in a few words, or "".
        weights_provenance: Where the backbone's weights come from.
        weights_genuine: True where they were verified against the published ones, False where random or other, None
            where unknown.
        backbone: Name of the architecture.
        versions: Package name to version.
        fingerprints: For example "data", "split", "weights", "configuration" to hexadecimal text.
        seeds: Name to seed, for example "split", "search".
        seed_spread: Scores of the retrainings.
        audit: Question to answer; None where no audit was made.
        permutation: Label-permutation check; None where none was made.
        holdout_readings: How many times the held-out patients of this split have been evaluated, this one included.
        readings: Each of them, this one last; empty where only their number is known.
        cases: The most confident wrong and right held-out cases of each class.
        optimizer_steps: Steps of the final training, 0 where unknown.
        model_file: Name of the exported model.
        device: What it ran on, in words.
        precision: The arithmetic and why that, in words; this and what follows is "" where nobody has written it down.
        bank: How many views of the images were stored, and how much that takes.
        seconds: Wall time of the whole run.
        extent: How far the searches came; None where an older version has not written it down.
        outer_folds: Those of a nested run; the metrics are means over them then (`reports.evaluation.nested`), while
            the trials and the model are those of the search on all patients.
    """

    name: str
    created: str
    command: str
    config_toml: str
    data: DataFacts
    splits: tuple[SplitPart, ...]
    plan: tuple[PlannedRung, ...]
    trials: tuple[TrialRecord, ...]
    metrics: Mapping[str, Any]
    figures: Mapping[str, Path] = field(default_factory=dict)
    search_figures: Mapping[str, Path] = field(default_factory=dict)
    is_demo: bool = False
    mode: str = "whole"
    protocol: str = "holdout"
    method: str = "Hyperband"
    objective: str = "mean over patient-grouped folds of the macro one-vs-rest AUC"
    training: str = ""
    imbalance: str = ""
    weights_provenance: str = ""
    weights_genuine: bool | None = None
    backbone: str = "BiT-M R50x1"
    versions: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    seed_spread: tuple[SeedScore, ...] = ()
    audit: Mapping[str, AuditResult] | None = None
    permutation: PermutationResult | None = None
    holdout_readings: int = 1
    readings: tuple[HoldoutReading, ...] = ()
    cases: tuple[CaseToSee, ...] = ()
    optimizer_steps: int = 0
    model_file: str = "bit_mammography_final.keras"
    device: str = ""
    precision: str = ""
    bank: str = ""
    seconds: float = 0.0
    extent: SearchExtent | None = None
    outer_folds: tuple[OuterFold, ...] = ()

    @property
    def winner(self) -> TrialRecord | None:
        """The best trial, or None where none completed."""
        return best_trial(self.trials) if ranked(self.trials) else None

    @property
    def compared(self) -> str:
        """What the winner was chosen among, in words: "10 trials at the full budget of 30 epochs"; "" without a winner.

        The full budget is that of the plan, whatever was trained.
        """
        leading = ranked(self.trials)
        if not leading:
            return ""
        epochs, full = leading[0].epochs, max((rung.epochs for rung in self.plan), default=None)
        trials = f"{len(leading)} trial{'s' if leading[1:] else ''}"
        if full is None or epochs < full:
            return f"{trials} of {epochs} epochs{f', below the full budget of {full}' if full else ''}"
        return f"{trials} at the full budget of {full} epochs"

    def completed(self, rung: PlannedRung) -> int:
        """How many trials of a rung the search has completed."""
        place = rung.bracket, rung.rung
        return sum((record.bracket, record.rung) == place and record.status == "completed" for record in self.trials)

    @property
    def epochs_trained(self) -> int:
        """Epochs that the search trained in all, continued ones counted once."""
        return sum(record.epochs - record.initial_epoch for record in self.trials)
