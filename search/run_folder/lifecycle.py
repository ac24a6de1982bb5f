"""Which settings make a run what it is, and what has changed between two configurations.

A run may only be resumed with what it was started with; what doesn't change results is left out of the comparison:
budgets of disk and time, and where things lie, for the data, the split and the weights have fingerprints.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.config.schema import Config
from search.config.writing import to_toml
from search.errors import RunError
from search.files.atomic import replacing, write_atomic
from search.run_folder.directory import RunDirectory

if TYPE_CHECKING:
    from mammo_data.preparation.prepared import PreparedSet
    from mammo_data.splits import Split


RESULTS_VERSION = 1
"""Raise it with every change to the code that changes the results of a search."""
_FREE_SECTIONS = {"output", "cache", "report"}
_FREE_SETTINGS = {
    "search.max_minutes",
    "split.file",
    "data.path",
    "data.info",
    "data.accept_problems",
    "backbone.weights",
}
_SHOWN = 5
_COMPUTED_WITH = ("tensorflow", "keras", "keras-tuner", "numpy")  # NumPy draws views, orders and configurations


def result_settings(config: Config) -> dict[str, Any]:
    """The settings that results depend on, by dotted path, as JSON values."""
    flat: dict[str, Any] = {}
    for section, settings in config.model_dump(mode="json").items():
        if section not in _FREE_SECTIONS:
            flat |= _flat(section, settings)
    return {path: value for path, value in flat.items() if path not in _FREE_SETTINGS}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each difference as "path old → new", sorted by path."""
    paths = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    return [f"{path} {_short(before.get(path))} → {_short(now.get(path))}" for path in paths]


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    result: dict[str, Any] = {}
    for key, item in value.items():
        result |= _flat(f"{prefix}.{key}", item)
    return result


def _short(value: Any) -> str:
    text = str(value)
    # Both ends: long lists often differ at one of them only.
    return f"{text[:16]}…{text[-16:]}" if len(text) > 40 else text


def begin_or_resume(
    directory: RunDirectory, manifest: dict[str, Any], config: Config, split: Split, films: PreparedSet
) -> dict[str, Any]:
    """Write down what a run is made of.

    Args:
        directory: The run's folder.
        manifest: What it would begin with.
        config: Its configuration.
        split: Its split.
        films: All images whole: split.csv lists them in either mode, so that a search on whole images can take the
            split of one on crops.

    Returns:
        The manifest that stands: the given one, or that of the run that goes on.

    Raises:
        RunError: If something that results depend on has changed since the run began.
    """
    if directory.manifest_file.is_file():
        manifest = _resumed(directory, manifest)
    directory.path.mkdir(parents=True, exist_ok=True)
    # First: a folder with a manifest is a run that can be resumed, and the other two are made anew whenever it is.
    directory.write_manifest(manifest)
    write_atomic(directory.config_file, to_toml(config))
    with replacing(directory.split_file) as temporary:
        split.write_csv(temporary, films.table)
    return manifest


def complete(directory: RunDirectory, manifest: dict[str, Any]) -> None:
    """Write down that a run has ended well, with the checksums of what it leaves.

    Args:
        directory: The run's folder.
        manifest: As it was while the run was at work.

    Raises:
        RunError: If something that every run leaves is not there: the folder has been taken away in the meantime, and
            writing has made a new one.
    """
    in_best = [directory.best / name for name in ("predictions.csv", "metrics.json")]
    in_best += [directory.model_file, directory.audit_file, directory.report_file]
    left = [directory.config_file, directory.split_file, directory.trials_file, *in_best]
    missing = [path for path in left if not path.is_file()]
    if missing:
        raise RunError(
            expected=f"what the run has written in {directory.path}",
            found=f"no {missing[0].relative_to(directory.path)}",
            remedy="Bring the folder back, and the same command goes on; or begin anew.",
        )
    directory.write_manifest(
        {
            **manifest,
            "status": "complete",
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "outputs": directory.output_checksums(),
            "records": directory.record_checksums(),
        }
    )


def _resumed(directory: RunDirectory, manifest: dict[str, Any]) -> dict[str, Any]:
    before = directory.read_manifest()
    compared = ("settings", "fingerprints", "objective")
    changed = [line for part in compared for line in changes(before.get(part, {}), manifest[part])]
    changed += changes(*({"results_version": each.get("results_version")} for each in (before, manifest)))
    changed += changes(_arithmetic(before), _arithmetic(manifest))
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise RunError(
            expected=f"what {directory.path} was started with",
            found=f"changes: {', '.join(changed[:_SHOWN])}{more}",
            remedy="Undo them to resume, or use --fresh or another --name.",
        )
    return before


def _arithmetic(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the numbers are computed with: another library or kind of device gives other bits."""
    versions, device = manifest.get("versions", {}), str(manifest.get("device", ""))
    return {
        "precision": manifest.get("precision", {}).get("name"),
        # Cores don't count: with op determinism the bits don't depend on the number of threads.
        "device": "CPU" if device.startswith("CPU") else device,
        **{package: versions.get(package) for package in _COMPUTED_WITH},
    }
