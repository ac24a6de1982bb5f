"""The manifest of a run, run.json: its schema, its checksum, and a second copy of it.

`Manifest` is the schema. Beside its fields the file has ``checksum`` (SHA-256 hex of all the rest as JSON with sorted
keys). ``.run.json.copy`` is the same, written first, and read where ``run.json`` is damaged: the previous generation,
or the next one. Schema 1 is the same without ``outputs``, ``checksum`` and copy.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from reports.files import read_regular
from search.errors import RunError
from search.files.atomic import write_atomic

SCHEMA: Literal[2] = 2
COPY = ".run.json.copy"
_CHECKSUM = "checksum"
_OUTER_FOLDS, _MOST_OUTER_FOLDS = "split.outer_folds", 1000
_SEEN_YEARS = range(1971, 9000)  # of any other, some zone's clock has no name


def _moment(text: str) -> str:
    when = datetime.datetime.fromisoformat(text)
    if when.tzinfo is None or when.year not in _SEEN_YEARS:
        raise ValueError("no time with its zone")
    return text


Moment = Annotated[str, AfterValidator(_moment)]
"""A time, ISO 8601 with its zone."""
Count = Annotated[int, Field(ge=0, lt=2**31)]
Views = tuple[Annotated[int, Field(ge=1, le=256)], ...]


class _Part(BaseModel):
    """A table of the file; what a newer version knows of it is kept."""

    model_config = ConfigDict(frozen=True, extra="allow")


class PlannedTotals(_Part):
    """The plan's totals, among what `search.plan.protocol.plan_table` writes down.

    Attributes:
        trials: Trials of a search; older versions wrote them down as runs.
        epochs: Their epochs, continued ones counted once.
        configurations: How many the first rungs try; this and what follows is 0 where nobody has written it down.
        full_budget_trials: Trials that end at the full budget.
        max_epochs: The full budget.
    """

    trials: Annotated[Count, Field(validation_alias=AliasChoices("trials", "runs"))] = 0
    epochs: Count = 0
    configurations: Count = 0
    full_budget_trials: Annotated[
        Count, Field(validation_alias=AliasChoices("full_budget_trials", "full_budget_runs"))
    ] = 0
    max_epochs: Count = 0


class Precision(_Part):
    """The arithmetic of a run.

    Attributes:
        name: For example "float32"; None until it is chosen.
        reason: Why that.
        deviation: Measured relative deviation of the backbone's features, or None.
    """

    name: str | None = None
    reason: str = ""
    deviation: Annotated[float, Field(allow_inf_nan=False)] | None = None


class OuterFold(_Part):
    """The place of an outer search in its nested run.

    Attributes:
        run: Name of the nested run.
        fold: Number of the outer fold, from 1.
        folds: How many there are.
    """

    run: str
    fold: Count
    folds: Count

    def __str__(self) -> str:
        # In one line, for the name may be out of a file that somebody else has made.
        return f"outer search {self.fold} of {self.folds} of the nested run {' '.join(self.run.split())}"


class ComputedOn(_Part):
    """A device that a part of a search was computed on.

    Attributes:
        device: In words.
        processor: Its host's processor.
        from_trial: Number of the first trial that ended on it; as many as there are trials where only what follows the
            search was done on it.
        since: When the run went on there, ISO 8601.
    """

    device: str
    processor: str = ""
    from_trial: Count
    since: Moment


class Manifest(_Part):
    """What a run was started with and how far it is.

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
            and its outer searches outer_split; SHA-256 (hex).
        objective: ``name`` and ``direction``.
        settings: What results depend on, by path.
        results_version: Of the code.
        views_per_class: Stored views of an image of each class; None until they are decided.
        views_of_searches: In a nested run the same by search; None for crops, whose searches decide for themselves.
        bank: Views and stored values in words; "" until they are decided, and in outer searches that share a bank.
        outer: In an outer search its place.
        expected: Part of the job to its seconds, as they were believed before the search; empty where nobody has
            written them down.
        ended_after: Number of trials of a search with a bound of time, once it has ended.
        cut_short: Whether that bound ended it before its plan was carried out.
        seeds: By purpose.
        plan: What was going to be trained.
        weights: Where they come from, in words.
        weights_verification: Whether they are genuine, in a sentence.
        precision: What it computes in.
        versions: Of Python and the packages.
        git: Commit of the program, or None.
        device: What it computes on, in words; the last one where that has changed.
        processor: Its processor; likewise.
        devices: Where either has changed all of them in their order, the first one included, else empty.
        threads: Of its operations, which bits may depend on; None where an older version has not written them down.
        onednn: Whether oneDNN computes on its CPU, which bits depend on; likewise.
        host: Its host.
        outputs: SHA-256 (hex) of each file in ``best/``, once complete.
        records: The same of config.toml, splits and trials.jsonl.
    """

    schema_version: Annotated[Literal[1, 2], Field(alias="schema")] = SCHEMA
    name: str
    status: Literal["running", "complete"]
    created: Moment
    finished: Moment | None = None
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
    bank: str = ""
    outer: OuterFold | None = None
    expected: dict[str, Annotated[float, Field(ge=0, le=1e10)]] = {}
    ended_after: Annotated[Count, Field(ge=1)] | None = None
    cut_short: bool = False
    seeds: dict[str, int]
    plan: PlannedTotals = PlannedTotals()
    weights: str = ""
    weights_verification: str = ""
    precision: Precision = Precision()
    versions: dict[str, str]
    git: str | None = None
    device: str = ""
    processor: str = ""
    devices: tuple[ComputedOn, ...] = ()
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    onednn: bool | None = None
    host: str = ""
    outputs: dict[str, str] = {}
    records: dict[str, str] = {}

    @field_validator("settings")
    @classmethod
    def _with_outer_folds(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if not 0 <= TypeAdapter(int).validate_python(settings.get(_OUTER_FOLDS, 0)) <= _MOST_OUTER_FOLDS:
            raise ValueError(f"{_OUTER_FOLDS} is no number of folds")
        return settings

    @property
    def searches(self) -> int:
        """Searches of the run: 1, of a nested one and its outer folds one more than those."""
        nested = self.protocol == "nested" and self.outer is None
        return 1 + int(self.settings.get(_OUTER_FOLDS, 0)) * nested

    def but(self, **changes: Any) -> Manifest:
        """The same with other values of some fields.

        Raises:
            ValueError: If one is not what the field holds.
        """
        return Manifest.model_validate(self.model_dump(by_alias=True, exclude_unset=True) | changes)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace a manifest, its copy first."""
    content = manifest.model_dump(mode="json", by_alias=True, exclude_unset=True) | {"schema": SCHEMA}
    text = json.dumps({**content, _CHECKSUM: _checksum(content)}, indent=2, allow_nan=False) + "\n"
    write_atomic(path.with_name(COPY), text)
    write_atomic(path, text)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, or its copy where it is missing or damaged.

    Raises:
        RunError: If neither can be read.
    """
    try:
        return _parsed(read_regular(path))
    except (OSError, ValueError) as damage:
        try:
            return _parsed(read_regular(path.with_name(COPY)))
        except (OSError, ValueError):
            found = f"{path}: {damage.strerror}" if isinstance(damage, OSError) else f"{path}, damaged: {damage}"
            raise RunError(
                expected="the folder of a run, with run.json",
                found=found,
                remedy="Check the name, restore the file, or search again with --fresh.",
            ) from None


def _parsed(text: bytes) -> Manifest:
    """The manifest of a text.

    Raises:
        ValueError: If it is not what was written.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        written = content.pop(_CHECKSUM, None)
        if content.get("schema") != 1 and written != _checksum(content):
            raise ValueError("the checksum does not fit")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    # A checksum is no proof of who wrote it: the types that other code relies on are checked as well.
    try:
        manifest = Manifest.model_validate(content)
        manifest.model_dump(mode="json")  # what can't be written again is not nested as settings are
        return manifest
    except ValidationError as error:
        raise ValueError(first_mistake(error)) from None


def first_mistake(error: ValidationError) -> str:
    """What is wrong with a damaged file, in a few words."""
    first = error.errors()[0]
    said = {"missing": "missing", "value_error": first["msg"].removeprefix("Value error, ")}
    return f"{'.'.join(map(str, first['loc']))}: {said.get(first['type'], 'not as a run writes it')}"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
