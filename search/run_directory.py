"""The folder of a run: what lies where, and the manifest.

run.json, schema 1: ``name``, ``status`` ("running", "complete"), ``created`` and ``finished`` (ISO 8601), ``argv``,
``demo``, ``fingerprints`` (data, prepared, split, weights, configuration; SHA-256 hex), ``seeds``, ``versions``,
``git``, ``device``, ``plan`` (runs, configurations, epochs, full-budget runs), ``mode`` ("whole", "roi"), ``endpoint``.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.atomic_file import write_atomic
from search.errors import ConfigError, RunError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class RunDirectory:
    """Paths of one run.

    Attributes:
        path: The folder, ``runs/NAME``.
    """

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def manifest_file(self) -> Path:
        """run.json."""
        return self.path / "run.json"

    @property
    def config_file(self) -> Path:
        """The configuration as it was resolved."""
        return self.path / "config.toml"

    @property
    def split_file(self) -> Path:
        """Patients and sides."""
        return self.path / "split.csv"

    @property
    def trials_file(self) -> Path:
        """One line a finished run of the search."""
        return self.path / "trials.jsonl"

    @property
    def log_file(self) -> Path:
        """Messages of the run and of the libraries."""
        return self.path / "log.txt"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def best(self) -> Path:
        """The final model and its evaluation."""
        return self.path / "best"

    @property
    def model_file(self) -> Path:
        """The exported model."""
        return self.best / "bit_mammography_final.keras"

    @property
    def report_file(self) -> Path:
        """The report."""
        return self.best / "report.html"

    @property
    def audit_file(self) -> Path:
        """Answers of the leak audit."""
        return self.best / "audit.json"

    @property
    def figures(self) -> Path:
        """PNG figures."""
        return self.best / "figures"

    def remove_if_unstarted(self) -> None:
        """Delete the folder of a run that ended before there was anything to keep."""
        if not self.manifest_file.exists():
            shutil.rmtree(self.path, ignore_errors=True)

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Replace run.json."""
        write_atomic(self.manifest_file, json.dumps(manifest, indent=2, allow_nan=False) + "\n")

    def read_manifest(self) -> dict[str, Any]:
        """Read run.json.

        Raises:
            RunError: If it is missing or damaged.
        """
        try:
            return json.loads(self.manifest_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                expected="the folder of a run, with run.json",
                found=f"{self.path}: {error}",
                remedy="Check the name; `ls` the folder of runs for those that are there.",
            ) from None


def create_run_directory(runs: Path, name: str, *, fresh: bool) -> RunDirectory:
    """Make the folder of a new run.

    Args:
        runs: Folder of all runs.
        name: Name of the run: letters, digits, ".", "_" and "-".
        fresh: Delete a run of that name first.

    Raises:
        ConfigError: If the name can't be a folder's.
        RunError: If there is a run of that name and ``fresh`` is not set, or the folder is no run's.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            expected="a run name of letters, digits, '.', '_' and '-'", found=repr(name), remedy="Change --name."
        )
    directory = RunDirectory(runs / name)
    if directory.path.exists() and any(directory.path.iterdir()):
        if not directory.manifest_file.is_file():
            raise RunError(
                expected=f"{directory.path} to be empty or a run's folder",
                found="a folder without run.json",
                remedy="Choose another --name.",
            )
        if not fresh:
            raise RunError(
                expected="a name that is free",
                found=f"a run in {directory.path}",
                remedy="Choose another --name, or replace it with --fresh.",
            )
        shutil.rmtree(directory.path)
    directory.path.mkdir(parents=True, exist_ok=True)
    return directory
