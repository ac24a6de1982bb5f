"""What the user asked for, and where its parts are kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search.config.schema import Config
from search.config.writing import to_toml


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


def cache_directory(config: Config) -> Path:
    """Where prepared images, banks and synthetic data are kept."""
    import platformdirs

    return config.output.cache or Path(platformdirs.user_cache_dir("mammo-search"))
