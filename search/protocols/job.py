"""What the user asked for, and where its parts are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from search.bit.precision import PrecisionChoice
from search.config.schema import Config
from search.config.writing import to_toml
from search.plan.hyperband import HyperbandPlan
from search.run_folder.directory import RunDirectory
from search.screen.progress import RunProgress

if TYPE_CHECKING:
    from mammo_data.preparation.prepared import PreparedSet
    from search.bit.architecture import BitArchitecture
    from search.bit.weights import BitWeights
    from search.plan.execution import SearchOutcome
    from search.trials.data import TrainingSettings, TrialData
    from search.trials.worker import TrainerPool


@dataclass(frozen=True)
class JobRequest:
    """What the user asked for.

    Attributes:
        config: The resolved configuration.
        name: Name of the run, None for the default.
        fresh: Replace a run of that name.
        resume: Insist on an unfinished run of that name.
        demo: Synthetic data; every output says so.
        argv: The command line, for the manifest.
        detail: How much is shown while it works: "quiet" nothing, "verbose" a line an epoch and what libraries log.
    """

    config: Config
    name: str | None = None
    fresh: bool = False
    resume: bool = False
    demo: bool = False
    argv: tuple[str, ...] = ()
    detail: Literal["quiet", "normal", "verbose"] = "normal"

    @property
    def run_name(self) -> str:
        """The name, by default "demo" or one that follows from the configuration."""
        if self.name is not None:
            return self.name
        if self.demo:
            return "demo"
        return f"run-{hashlib.sha256(to_toml(self.config).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Backbone:
    """The pretrained network, and what it is computed on.

    Attributes:
        architecture: Its architecture.
        weights: Its weights.
        precision: Of its arithmetic.
        device: The device, in words.
    """

    architecture: BitArchitecture
    weights: BitWeights
    precision: PrecisionChoice
    device: str


@dataclass(frozen=True)
class Job:
    """What a protocol starts from.

    Attributes:
        request: What was asked for.
        plan: The plan of each search.
        directory: The run's folder.
        backbone: The pretrained network.
        films: All images whole, in the order of the case table.
        progress: Shows what goes on.
    """

    request: JobRequest
    plan: HyperbandPlan
    directory: RunDirectory
    backbone: Backbone
    films: PreparedSet
    progress: RunProgress

    @property
    def config(self) -> Config:
        """The resolved configuration."""
        return self.request.config


@dataclass(frozen=True)
class Searched:
    """A search that is done.

    Attributes:
        data: What its trials read.
        settings: What was constant over them.
        outcome: What it found.
        trainers: Compiled tails.
    """

    data: TrialData
    settings: TrainingSettings
    outcome: SearchOutcome
    trainers: TrainerPool
