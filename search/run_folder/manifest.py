"""run.json, the manifest of a run: its schema, its checksum, and a second copy of it.

Schema 2: ``schema``, ``name``, ``status`` ("running", "complete"), ``created`` and ``finished`` (ISO 8601), ``argv``,
``demo``, ``mode`` ("whole", "roi"), ``protocol`` ("holdout", "nested"), ``endpoint``, ``objective`` (``name``,
``direction``), ``fingerprints`` (of cases, prepared images, split, weights, plan with the drawn configurations, and in
a nested run outer_split; SHA-256 hex), ``settings`` (what results depend on, by path), ``results_version``,
``views_per_class``, ``ended_after`` (number of runs of a search with a bound of time, once it has ended),
``cut_short`` (true where that bound ended it before its plan was carried out), ``seeds``,
``plan`` (see `plan_text.plan_table`), ``weights``, ``weights_verification`` (a sentence), ``precision`` (``name``,
``reason`` and the measured relative ``deviation`` of the backbone's features), ``versions``, ``git``, ``device``,
``processor``, ``host``, ``outputs`` and ``records`` (SHA-256 hex of each file in ``best/``, and of config.toml, splits
and trials.jsonl, once complete) and ``checksum`` (SHA-256 hex of all the rest as JSON with sorted keys).
``.run.json.copy`` is the same, written first, and read where ``run.json`` is damaged: the previous generation, or the
next one. A nested run has ``views_of_searches`` as well (views of each class by search;
null for crops, whose searches decide for themselves), an outer search of one ``outer`` (``run``, ``fold`` from 1,
``folds``). Schema 1 is the same without ``outputs``, ``checksum`` and copy.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import RunError
from search.files.atomic import write_atomic

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 2
COPY = ".run.json.copy"
_CHECKSUM = "checksum"


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Replace a manifest, its copy first."""
    content = {**{key: value for key, value in manifest.items() if key != _CHECKSUM}, "schema": SCHEMA}
    content = json.loads(json.dumps(content, allow_nan=False))  # as it will be read: keys are text there
    text = json.dumps({**content, _CHECKSUM: _checksum(content)}, indent=2, allow_nan=False) + "\n"
    write_atomic(path.with_name(COPY), text)
    write_atomic(path, text)


def read_manifest(path: Path) -> dict[str, Any]:
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


def _parsed(text: bytes) -> dict[str, Any]:
    """The manifest of a text.

    Raises:
        ValueError: If it is not what was written.
    """
    try:
        manifest = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(manifest, dict):
        raise ValueError("no JSON object")
    if manifest.get("schema") != 1:
        content = {key: value for key, value in manifest.items() if key != _CHECKSUM}
        if manifest.get(_CHECKSUM) != _checksum(content):
            raise ValueError("the checksum does not fit")
    # A checksum is no proof of who wrote it: the types that other code relies on are checked as well.
    from pydantic import ValidationError

    try:
        _schema().validate_python(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return manifest


@cache
def _schema() -> TypeAdapter[Any]:
    from typing import Annotated, Literal, NotRequired

    from pydantic import Field, TypeAdapter
    from typing_extensions import TypedDict  # pydantic can't read typing's before Python 3.12

    class Manifest(TypedDict):
        schema: Literal[1, 2]
        name: str
        status: Literal["running", "complete"]
        created: str
        finished: NotRequired[str]
        argv: list[str]
        demo: bool
        mode: NotRequired[Literal["whole", "roi"]]
        protocol: NotRequired[Literal["holdout", "nested"]]
        fingerprints: dict[str, str]
        settings: dict[str, Any]
        results_version: int
        views_per_class: list[Annotated[int, Field(ge=1, le=256)]] | None
        ended_after: NotRequired[Annotated[int, Field(ge=1)]]
        cut_short: NotRequired[bool]
        views_of_searches: NotRequired[dict[str, list[Annotated[int, Field(ge=1, le=256)]]] | None]
        seeds: dict[str, int]
        versions: dict[str, str]
        processor: NotRequired[str]
        outputs: NotRequired[dict[str, str]]
        records: NotRequired[dict[str, str]]

    return TypeAdapter(Manifest)


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _not_a_manifest(path: Path, found: str) -> RunError:
    return RunError(
        expected="the folder of a run, with run.json",
        found=found,
        remedy="Check the name, restore the file, or search again with --fresh.",
    )
