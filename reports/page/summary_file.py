"""summary.json: what report.html was made of, so that it can be made again without the network or the images.

A run may be somebody else's. So a figure goes into the page only from inside the folder, if it begins as a PNG file
does and has the checksum that the run has recorded: nothing else of a reader's disk gets into what is passed on.

It holds the fields of `reports.page.run_summary.RunSummary` by name, but for what the run has stored by itself:
``trials`` (trials.jsonl), ``metrics`` (metrics.json) and ``config_toml`` (config.toml). Paths are relative to its
folder. Pictures are only named; whether they go into the page is decided when it is made.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from reports.errors import ReportError
from reports.files import read_regular, write_atomically
from reports.page.run_summary import RunSummary
from reports.page.tensorboard import PNG_SIGNATURE
from reports.trials import TrialRecord

SUMMARY_NAME = "summary.json"
_OUTER_REPORT = re.compile(r"(\.\./outer-\d+/best/report\.html)?", re.ASCII)
_STORED_ELSEWHERE = ("trials", "metrics", "config_toml")


def write_summary(summary: RunSummary, folder: Path) -> Path:
    """Write summary.json into the folder that the figures lie in or below.

    Returns:
        The file.
    """
    # The curves of outer winners stand in their own searches' trials.jsonl.
    outer = tuple(replace(fold, winner=replace(fold.winner, curves={})) for fold in summary.outer_folds)
    cases = tuple(replace(case, picture=None) for case in summary.cases)
    content = asdict(replace(summary, outer_folds=outer, cases=cases, trials=(), metrics={}))
    for name in _STORED_ELSEWHERE:
        del content[name]
    for name in ("figures", "search_figures"):
        files = getattr(summary, name)
        content[name] = {title: Path(path).relative_to(folder).as_posix() for title, path in files.items()}
    return write_atomically(folder / SUMMARY_NAME, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_summary(
    folder: Path,
    *,
    trials: tuple[TrialRecord, ...],
    metrics: Mapping[str, Any],
    config_toml: str,
    embed_images: bool,
    checksums: Mapping[str, str],
) -> RunSummary:
    """Read summary.json and put to it what is stored elsewhere.

    Args:
        folder: Where it lies, with the figures.
        trials: All trials of the search.
        metrics: The content of metrics.json.
        config_toml: The content of config.toml.
        embed_images: Put pictures of held-out images into the page.
        checksums: SHA-256 (hex) of the folder's files, by path; empty where a run of the first version has none.

    Raises:
        ReportError: If it is missing or damaged, or a figure is gone or not the run's own.
    """
    from pydantic import TypeAdapter, ValidationError

    path = folder / SUMMARY_NAME
    try:
        content = json.loads(read_regular(path))
        content |= {"trials": (), "metrics": {}, "config_toml": config_toml}
        summary: RunSummary = TypeAdapter(RunSummary).validate_python(content)
        if not all(_OUTER_REPORT.fullmatch(fold.report) for fold in summary.outer_folds):
            raise ValueError("a link that leads out of the run")
    except (OSError, ValueError, TypeError, RecursionError, ValidationError) as error:
        reason = "no such file" if isinstance(error, OSError) else " ".join(str(error).split())[:160]
        raise ReportError(
            expected=f"what the report is made of in {path}",
            found=reason,
            remedy="The run is not complete, or was made by an older version; read the report.html that is there.",
        ) from None
    with_pictures = [case for case in summary.cases if case.overlay and embed_images]
    pictures = {case.case.image_id: folder / case.overlay for case in with_pictures}
    whole = replace(
        summary,
        trials=trials,
        metrics=metrics,
        figures={name: folder / file for name, file in summary.figures.items()},
        search_figures={name: folder / file for name, file in summary.search_figures.items()},
        cases=tuple(replace(case, picture=pictures.get(case.case.image_id)) for case in summary.cases),
    )
    needed = [*whole.figures.values(), *whole.search_figures.values(), *pictures.values()]
    for file in needed:
        _require_own_figure(folder, file, checksums)
    return whole


def _require_own_figure(folder: Path, file: Path, checksums: Mapping[str, str]) -> None:
    found = None
    name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
    if not file.resolve().is_relative_to(folder.resolve()):
        found = f"{name}, outside of it"
    elif not file.is_file():
        found = f"no {name}"
    elif not (content := read_regular(file)).startswith(PNG_SIGNATURE):
        found = f"{name}, no PNG file"
    elif checksums and hashlib.sha256(content).hexdigest() != checksums.get(name):
        found = f"{name}, not as the run wrote it"
    if found is not None:
        raise ReportError(
            expected=f"the figures of the report in {folder}",
            found=found,
            remedy="Restore them, or run the search again with --fresh.",
        )
