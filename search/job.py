"""The job: what was asked for, and where its results are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

from search.config.schema import Config
from search.config.writing import to_toml
from search.machine.places import Crew, WorkerPlace, worker_places
from search.plan.hyperband import HyperbandPlan
from search.plan.protocol import plan_run
from search.run_folder.directory import RunDirectory
from search.screen.progress import Detail


@dataclass(frozen=True)
class Job:
    """What the user asked for.

    Attributes:
        config: The resolved configuration.
        name: Name of the run, None for the default.
        fresh: Replace a run of that name.
        resume: Insist on an unfinished run of that name.
        accept_device: Let another GPU go on with the run.
        workers: Processes that train; one is this process, None one, or as many as GPUs are named.
        device: "auto", "cpu", "gpu" or "gpu:0,2".
        ray_address: Address of the Ray cluster that they work on; None for this machine.
        demo: Synthetic data; every output says so.
        argv: The command line, for the manifest.
        detail: How much is shown while it works: "quiet" nothing, "verbose" a line an epoch and what libraries log.
        place: The folder, where it is not the one of that name: an outer search of a nested run lies within it.
    """

    config: Config
    name: str | None = None
    fresh: bool = False
    resume: bool = False
    accept_device: bool = False
    workers: int | None = None
    device: str = "auto"
    ray_address: str | None = None
    demo: bool = False
    argv: tuple[str, ...] = ()
    detail: Detail = "normal"
    place: RunDirectory | None = None

    @property
    def run_name(self) -> str:
        """The name, by default "demo" or one that follows from the configuration."""
        if self.name is not None:
            return self.name
        if self.demo:
            return "demo"
        return f"run-{hashlib.sha256(to_toml(self.config).encode()).hexdigest()[:8]}"

    @property
    def directory(self) -> RunDirectory:
        """The run's folder."""
        return self.place or RunDirectory(self.config.output.runs / self.run_name)

    @cached_property
    def plan(self) -> HyperbandPlan:
        """The plan of each search.

        Raises:
            ConfigError: If there are more known configurations than it tries.
        """
        return plan_run(self.config)

    @cached_property
    def places(self) -> tuple[WorkerPlace, ...]:
        """Where workers of this machine work, one or more; the first is this process where it is alone.

        Raises:
            ConfigError: If there are fewer devices than were asked for.
        """
        return worker_places(self.workers if self.ray_address is None else 1, self.device)

    @property
    def worker_count(self) -> int:
        """How many workers train at a time."""
        return len(self.places) if self.ray_address is None else self.workers or 1

    @property
    def crew(self) -> Crew:
        """The workers; of those on a cluster each is taken for as fast as this machine."""
        gpu = self.places[0].gpu if self.ray_address is None else None
        shared = gpu is None and self.ray_address is None
        return Crew(self.worker_count, float(self.worker_count) if shared else 1.0, gpu)

    def outer(self, fold: int) -> Job:
        """The search of an outer fold, from 0, as a job of its own."""
        return replace(self, place=self.directory.outer(fold))
