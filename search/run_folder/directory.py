"""The folder of a run: what lies where, and how it begins.

A nested run is the run of its last search, the one on all patients, with the outer searches in it: ``outer-1``,
``outer-2``, … are folders of the same schema, ``outer_split.csv`` says which patient is in which outer fold, and
``best/predictions.csv`` holds the outer predictions, with a column ``outer_fold``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from mammo_data.locks import PULSE
from reports.files import LARGEST_TEXT
from search.errors import ConfigError, RunError
from search.files.atomic import is_leftover, make_durable_folder
from search.run_folder.lock import LOCK, is_abandoned, is_locked, locked, moved_away, require_not_locked
from search.run_folder.manifest import COPY, Manifest, read_manifest, write_manifest
from search.run_folder.session import SESSION
from search.text import size_text

_TEXTS = {".csv", ".json", ".jsonl", ".toml"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Place:
    """Where something lies in a run's folder: the path of a `RunDirectory` and of it together."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __get__(self, run: RunDirectory, owner: type[RunDirectory]) -> Path:
        return run.path / self._place


@dataclass(frozen=True)
class RunDirectory:
    """Paths of one run.

    Attributes:
        path: The folder, ``runs/NAME``.
        within: Name of the nested run that an outer search belongs to.
        manifest_file: run.json.
        config_file: The configuration as it was resolved.
        split_file: Patients and sides.
        outer_split_file: Patients and outer folds of a nested run.
        trials_file: One line a finished trial of the search.
        log_file: Messages of the run and of the libraries.
        tensorboard: Folder of event files.
        best: Folder of the final model and its evaluation.
        model_file: The exported model.
        report_file: The report.
        model_card: The model card.
        audit_file: Answers of the leak audit.
        figures: Folder of PNG figures.
        final_parts: Folder of what the final stage has done, while the run is not complete.
        checkpoints: Folder of where trials stopped, while the run is not complete.
        worker_logs: Folder of what each worker process has logged.
    """

    path: Path
    within: str | None = None

    @property
    def name(self) -> str:
        """The run's name; that of an outer search has the nested run's before it."""
        return f"{self.within}/{self.path.name}" if self.within else self.path.name

    @property
    def runs(self) -> Path:
        """The folder of all runs, where the ledger is."""
        return self.path.parent.parent if self.within else self.path.parent

    def outer(self, fold: int) -> RunDirectory:
        """The folder of an outer search; folds count from 0, their folders from 1."""
        return RunDirectory(self.path / f"outer-{fold + 1}", within=self.name)

    @property
    def outer_searches(self) -> tuple[RunDirectory, ...]:
        """The outer searches of a nested run that have begun, in order."""
        return tuple(takewhile(lambda search: search.has_manifest, map(self.outer, count())))

    manifest_file = _Place("run.json")
    config_file = _Place("config.toml")
    split_file = _Place("split.csv")
    outer_split_file = _Place("outer_split.csv")
    trials_file = _Place("trials.jsonl")
    log_file = _Place("log.txt")
    tensorboard = _Place("tensorboard")
    best = _Place("best")
    model_file = _Place("best/bit_mammography_final.keras")
    report_file = _Place("best/report.html")
    model_card = _Place("best/model_card.md")
    audit_file = _Place("best/audit.json")
    figures = _Place("best/figures")
    final_parts = _Place("final")
    checkpoints = _Place("checkpoints")
    worker_logs = _Place("workers")

    @property
    def is_unstarted(self) -> bool:
        """Whether nothing is in the folder but what is there before the manifest: it is written first."""
        return all(
            path.name in (LOCK, LOCK + PULSE, SESSION, COPY, self.log_file.name) or is_leftover(path.name)
            for path in self.path.iterdir()
        )

    @property
    def has_manifest(self) -> bool:
        """Whether it is a run's: run.json is there, or its copy where something of the run is there as well."""
        if not self.path.is_dir():
            return False
        copy = self.manifest_file.with_name(COPY)
        return self.manifest_file.is_file() or (copy.is_file() and not self.is_unstarted)

    @property
    def is_in_use(self) -> bool:
        """Whether a process is at work in it, as far as its lock tells here."""
        return is_locked(self.path)

    @property
    def is_complete(self) -> bool:
        """Whether the run has ended well."""
        return self.has_manifest and self.read_manifest().status == "complete"

    def abandon(self) -> None:
        """Delete the folder of a run that ended with nothing to keep, and the folder of runs if that is empty.

        One that another process is at work in stays.
        """
        with contextlib.suppress(RunError, OSError):
            if self.path.is_dir() and self.is_unstarted and is_abandoned(self.path):
                with locked(self.path):
                    if self.is_unstarted:
                        shutil.rmtree(self.path)
                self.path.parent.rmdir()  # it may have other runs

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace run.json."""
        write_manifest(self.manifest_file, manifest)

    def read_manifest(self) -> Manifest:
        """Read run.json, or its copy.

        Raises:
            RunError: If both are missing or damaged.
        """
        return read_manifest(self.manifest_file)

    def update_manifest(self, **changes: Any) -> Manifest:
        """Replace some fields of run.json."""
        manifest = self.read_manifest().but(**changes)
        self.write_manifest(manifest)
        return manifest

    @property
    def records(self) -> tuple[Path, ...]:
        """What lies beside ``best/`` and is read again; a hold-out run has no outer folds."""
        return self.config_file, self.split_file, self.outer_split_file, self.trials_file

    def checksums(self) -> dict[str, dict[str, str]]:
        """SHA-256 (hex) of what a complete run leaves: ``outputs``, each file in ``best/`` by its path there, and
        ``records``, what lies beside it and is read again."""
        outputs = sorted(path for path in self.best.rglob("*") if path.is_file())
        return {
            "outputs": {path.relative_to(self.best).as_posix(): _sha256(path) for path in outputs},
            "records": {path.name: _sha256(path) for path in self.records if path.is_file()},
        }

    def check_output(self, path: Path) -> Path:
        """A file of a run; of a complete one after making sure that it is what the run wrote.

        Raises:
            RunError: If it is missing, or has changed since the run was complete.
        """
        manifest = self.read_manifest()
        sums = {f"{self.best.name}/{name}": digest for name, digest in manifest.outputs.items()} | manifest.records
        expected = sums.get(path.relative_to(self.path).as_posix()) if manifest.status == "complete" else None
        if not path.is_file() or (expected is not None and _sha256(path) != expected):
            raise RunError(
                expected=f"{path} as the run wrote it",
                found="a changed or damaged file" if path.is_file() else "no such file",
                remedy="Restore it, or run the search again with --fresh.",
            )
        return path


def require_run_name(name: str) -> None:
    """Refuse a name that can't be a folder's.

    Raises:
        ConfigError: If it is none of letters, digits, ".", "_" and "-", the first a letter or digit.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            expected="a run name of letters, digits, '.', '_' and '-'", found=repr(name), remedy="Change --name."
        )


def check_run_directory(
    runs: Path, name: str, *, fresh: bool = False, resume: bool = False, complete: bool = False
) -> RunDirectory:
    """The folder of a run that can begin or go on there; nothing is changed.

    Args:
        runs: Folder of all runs.
        name: Name of the run: letters, digits, ".", "_" and "-".
        fresh: A run of that name is going to be deleted.
        resume: Insist that there is an unfinished run of that name.
        complete: Whether one that is complete will do, unless an unfinished one is insisted on.

    Raises:
        ConfigError: If the name can't be a folder's.
        RunError: If the run is complete, there is nothing to resume, the folder is no run's or has links in it, or a
            process of this host is at work in it.
    """
    require_run_name(name)
    directory = RunDirectory(runs / name)
    has_run = directory.has_manifest
    if directory.path.exists() and not has_run and not (directory.path.is_dir() and directory.is_unstarted):
        raise RunError(
            expected=f"{directory.path} to be empty or a run's folder",
            found="a folder without run.json" if directory.path.is_dir() else "a file",
            remedy="Choose another --name.",
        )
    require_not_locked(directory.path)
    if fresh and has_run:
        return directory
    require_plain_folder(directory.path)
    if not has_run and resume:
        raise RunError(
            expected=f"an unfinished run in {directory.path}", found="none", remedy="Leave --resume out to begin one."
        )
    if directory.is_complete and (resume or not complete):
        raise RunError(
            expected="a run that is not finished",
            found=f"a complete one in {directory.path}",
            remedy="Read its best/report.html, replace it with --fresh, or choose another --name.",
        )
    return directory


def open_run_directory(runs: Path, name: str, *, fresh: bool = False, resume: bool = False) -> RunDirectory:
    """The folder of a run that begins or goes on, made or emptied for it.

    Args:
        runs: Folder of all runs.
        name: Name of the run: letters, digits, ".", "_" and "-".
        fresh: Delete a run of that name first.
        resume: Insist that there is an unfinished run of that name.

    Raises:
        ConfigError: If the name can't be a folder's.
        RunError: As `check_run_directory`, or if the folder can't be made.
    """
    directory = check_run_directory(runs, name, fresh=fresh, resume=resume)
    if fresh and directory.has_manifest:
        with moved_away(directory.path) as aside:
            shutil.rmtree(aside)
        return open_run_directory(runs, name, resume=resume)
    try:
        make_durable_folder(directory.path)
    except OSError as error:
        raise RunError(
            expected=f"a folder that can be made at {directory.path}",
            found=error.strerror or str(error),
            remedy="Change output.runs, or the permissions of the folder above.",
        ) from None
    return directory


def require_plain_folder(folder: Path) -> None:
    """Make sure that a run's folder holds files and folders alone, and no text that would fill the memory.

    In one from somebody else, a link would lead what is written and deleted in it elsewhere, and a pipe be waited for.

    Raises:
        RunError: If there is something else in it.
    """
    for place, folders, files in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *files)):
            with contextlib.suppress(FileNotFoundError):  # a run that is at work deletes some
                found = path.lstat()
                if stat.S_ISLNK(found.st_mode):
                    raise _unfit(folder, f"a link, {path.relative_to(folder)}", "Replace it with what it links to.")
                if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                    raise _unfit(folder, f"a pipe, socket or device, {path.relative_to(folder)}", "Delete it.")
                if path.suffix in _TEXTS and found.st_size > LARGEST_TEXT:
                    size = f"{path.relative_to(folder)} of {size_text(found.st_size)}"
                    raise _unfit(folder, size, "Restore it: no run writes that much into it.")


def _unfit(folder: Path, found: str, remedy: str) -> RunError:
    return RunError(expected=f"files and folders in {folder} as a run writes them", found=found, remedy=remedy)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
