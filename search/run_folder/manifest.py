"""The manifest of a run, run.json: its schema, its checksum, and a second copy of it.

`Manifest` is the schema. Beside its fields the file has ``checksum`` (SHA-256 hex of all the rest as JSON with sorted
keys). ``.run.json.copy`` is the same, written first, and read where ``run.json`` is damaged: the previous generation,
or the next one. Schema 1 is the same without ``outputs``, ``checksum`` and copy.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search.errors import RunError
from search.files.atomic import write_atomic

SCHEMA: Literal[2] = 2
COPY = ".run.json.copy"
_CHECKSUM = "checksum"
Views = tuple[Annotated[int, Field(ge=1, le=256)], ...]


class OuterFold(BaseModel):
    """The place of an outer search in its nested run.

    Attributes:
        run: Name of the nested run.
        fold: Number of the outer fold, from 1.
        folds: How many there are.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    fold: int
    folds: int


class ComputedOn(BaseModel):
    """A device that a part of a search was computed on.

    Attributes:
        device: In words.
        processor: Its host's processor.
        from_trial: Number of the first trial that ended on it; as many as there are trials where only what follows the
            search was done on it.
        since: When the run went on there, ISO 8601.
    """

    model_config = ConfigDict(frozen=True)

    device: str
    processor: str = ""
    from_trial: Annotated[int, Field(ge=0)]
    since: str


class Manifest(BaseModel):
    """What a run was started with and how far it is; fields that a newer version knows are kept.

    Attributes:
        schema_version: ``schema`` in the file.
        name: The run's name.
        status: "running" or "complete".
        created: When it began, ISO 8601.
        finished: When it was complete, ISO 8601.
        argv: The command line.
        demo: Whether it is a demonstration.
        mode: "whole" or "roi".
        protocol: "holdout" or "nested".
        endpoint: The primary endpoint in words.
        fingerprints: Of cases, prepared images, split, weights, plan with the drawn configurations, and in a nested run
            outer_split; SHA-256 (hex).
        objective: ``name`` and ``direction``.
        settings: What results depend on, by path.
        results_version: Of the code.
        views_per_class: Stored views of an image of each class; None until they are decided.
        views_of_searches: In a nested run the same by search; None for crops, whose searches decide for themselves.
        outer: In an outer search its place.
        ended_after: Number of trials of a search with a bound of time, once it has ended.
        cut_short: Whether that bound ended it before its plan was carried out.
        seeds: By purpose.
        plan: See `search.plan.protocol.plan_table`.
        weights: Where they come from, in words.
        weights_verification: Whether they are genuine, in a sentence.
        precision: ``name``, ``reason`` and the measured relative ``deviation`` of the backbone's features.
        versions: Of Python and the packages.
        git: Commit of the program, or None.
        device: What it computes on, in words; the last one where that has changed.
        processor: Its processor; likewise.
        devices: Where either has changed all of them in their order, the first one included, else empty.
        host: Its host.
        outputs: SHA-256 (hex) of each file in ``best/``, once complete.
        records: The same of config.toml, splits and trials.jsonl.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: Annotated[Literal[1, 2], Field(alias="schema")] = SCHEMA
    name: str
    status: Literal["running", "complete"]
    created: str
    finished: str | None = None
    argv: tuple[str, ...]
    demo: bool
    mode: Literal["whole", "roi"] = "whole"
    protocol: Literal["holdout", "nested"] = "holdout"
    endpoint: str = ""
    fingerprints: dict[str, str]
    objective: dict[str, str] = {}
    settings: dict[str, Any]
    results_version: int
    views_per_class: Views | None
    views_of_searches: dict[str, Views] | None = None
    outer: OuterFold | None = None
    ended_after: Annotated[int, Field(ge=1)] | None = None
    cut_short: bool = False
    seeds: dict[str, int]
    plan: dict[str, Any] = {}
    weights: str = ""
    weights_verification: str = ""
    precision: dict[str, Any] = {}
    versions: dict[str, str]
    git: str | None = None
    device: str = ""
    processor: str = ""
    devices: tuple[ComputedOn, ...] = ()
    host: str = ""
    outputs: dict[str, str] = {}
    records: dict[str, str] = {}

    @property
    def planned_trials(self) -> int:
        """Trials of the plan; older versions wrote them down as runs."""
        return int(self.plan.get("trials", self.plan.get("runs", 0)))

    def but(self, **changes: Any) -> Manifest:
        """The same with other values of some fields."""
        return self.model_copy(update=changes)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace a manifest, its copy first."""
    content = manifest.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"schema": SCHEMA}
    text = json.dumps({**content, _CHECKSUM: _checksum(content)}, indent=2, allow_nan=False) + "\n"
    write_atomic(path.with_name(COPY), text)
    write_atomic(path, text)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, or its copy where it is damaged.

    Raises:
        RunError: If it is missing, or both are damaged.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _not_a_manifest(path, f"{path.parent}: {error}") from None
    try:
        return _parsed(text)
    except ValueError as damage:
        try:
            return _parsed(path.with_name(COPY).read_bytes())
        except (OSError, ValueError):
            raise _not_a_manifest(path, f"{path}, damaged: {damage}") from None


def _parsed(text: bytes) -> Manifest:
    """The manifest of a text.

    Raises:
        ValueError: If it is not what was written.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    written = content.pop(_CHECKSUM, None)
    if content.get("schema") != 1 and written != _checksum(content):
        raise ValueError("the checksum does not fit")
    # A checksum is no proof of who wrote it: the types that other code relies on are checked as well.
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _not_a_manifest(path: Path, found: str) -> RunError:
    return RunError(
        expected="the folder of a run, with run.json",
        found=found,
        remedy="Check the name, restore the file, or search again with --fresh.",
    )
