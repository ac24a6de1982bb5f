"""The life of a run: it begins, goes on with what it was started with, and is complete.

A run may only be resumed with what it was started with; what doesn't change results is left out of the comparison:
budgets of disk and time, and where things lie, for the data, the split and the weights have fingerprints.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mammo_data import CaseTable, Split
from search.config.reading import load_config
from search.config.schema import Config
from search.config.writing import to_toml
from search.errors import RunError
from search.files.atomic import replacing, write_atomic
from search.run_folder.directory import RunDirectory
from search.run_folder.manifest import ComputedOn, Manifest
from search.run_folder.trial_log import read_records
from search.text import printable

RESULTS_VERSION = 5
"""Raise it with every change to the code that changes the results of a search; of its plan a run has a fingerprint."""
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
    flat = dict(_flat(config.model_dump(mode="json", exclude=_FREE_SECTIONS)))
    return {path: value for path, value in flat.items() if path not in _FREE_SETTINGS}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each difference as "path old → new", sorted by path."""
    paths = sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    return [f"{path} {_short(before.get(path))} → {_short(now.get(path))}" for path in paths]


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _short(value: Any) -> str:
    text = str(value)
    # Both ends: long lists often differ at one of them only.
    return f"{text[:16]}…{text[-16:]}" if len(text) > 40 else text


def require_unchanged(directory: RunDirectory, manifest: Manifest, *, accept_device: bool = False) -> None:
    """Refuse to go on with a run that was started with something else, or to take a complete one for its result.

    Args:
        directory: The folder of a run that has begun.
        manifest: What it would begin with now; what is not known yet is left out of it, and not compared.
        accept_device: Whether another GPU may go on with what one began. A CPU may not, nor the other way round: other
            libraries compute there, and the plan's time and the precision were chosen for the other kind.

    Raises:
        RunError: If something that results depend on has changed.
    """
    before, now = directory.read_manifest(), manifest
    is_another_gpu = _is_gpu(before.device) and _is_gpu(now.device) and before.device != now.device
    if is_another_gpu and accept_device:
        before = before.but(device=now.device)
    if is_complete := before.status == "complete":  # nothing is computed any more
        now = now.but(versions=before.versions, results_version=before.results_version)
    changed = changes(before.settings, now.settings)
    # What is there is what was asked for, whatever would compute it now.
    for conditions in (_made_of,) if before.status == "complete" else (_made_of, _computed_with):
        for known, recorded in zip(conditions(now), conditions(before), strict=True):
            changed += changes({name: recorded.get(name) for name in known}, known)
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise RunError(
            expected=f"what {directory.path} was started with{', for it is complete' if is_complete else ''}",
            found=f"changes: {', '.join(changed[:_SHOWN])}{more}",
            remedy="Go on with --accept-device (digits may differ, and the report says so), or use --fresh or "
            "another --name."
            if is_another_gpu and not accept_device and len(changed) == 1
            else "Read its report, replace it with --fresh, or choose another --name."
            if is_complete
            else "Undo them to resume, or use --fresh or another --name.",
        )


def begin_or_resume(
    directory: RunDirectory,
    manifest: Manifest,
    config: Config,
    split: Split,
    films: CaseTable,
    *,
    accept_device: bool = False,
) -> Manifest:
    """Write down what a run is made of.

    Args:
        directory: The run's folder.
        manifest: What it would begin with.
        config: Its configuration.
        split: Its split.
        films: The cases of all whole images: split.csv lists them in either mode, so that a search on whole images can
            take the split of one on crops.
        accept_device: Whether another GPU may go on with the run.

    Returns:
        The manifest that stands: the given one, or that of the run that goes on.

    Raises:
        RunError: If something that results depend on has changed since the run began.
    """
    if directory.has_manifest:
        require_unchanged(directory, manifest, accept_device=accept_device)
        manifest = _on_another_device(directory, manifest)
    directory.path.mkdir(parents=True, exist_ok=True)
    # First: a folder with a manifest is a run that can be resumed, and the other two are made anew whenever it is.
    directory.write_manifest(manifest)
    write_atomic(directory.config_file, to_toml(config))
    with replacing(directory.split_file) as temporary:
        split.write_csv(temporary, films)
    return manifest


def _on_another_device(directory: RunDirectory, now: Manifest) -> Manifest:
    """The manifest of a run that goes on, with the device that it goes on with."""
    before = directory.read_manifest()
    same = before.device == now.device if _is_gpu(now.device) else before.processor in ("", now.processor)
    if not before.device or same:
        return before
    trials = len(read_records(directory.trials_file)) if directory.trials_file.is_file() else 0
    first = ComputedOn(device=before.device, processor=before.processor, from_trial=0, since=before.created)
    this = ComputedOn(device=now.device, processor=now.processor, from_trial=trials, since=now.created)
    devices = (*(before.devices or (first,)), this)
    return before.but(device=now.device, processor=now.processor, devices=devices)


_OTHER_DIGITS = "results may differ from those of one device, in their last digits"


def devices_in_words(manifest: Manifest) -> str:
    """What a run was computed on; where that has changed, which trials on what, and what that means."""
    if not manifest.devices:
        return manifest.device
    used = manifest.devices
    # Of two CPUs the number of cores says nothing, of two GPUs the processor.
    names = [printable(each.device if _is_gpu(each.device) else f"CPU ({each.processor})") for each in used]
    places = [
        f"from trial {each.from_trial} on" if each.from_trial < manifest.plan.trials else "after the search"
        for each in used[1:]
    ]
    later = ", ".join(f"{place} {name}" for place, name in zip(places, names[1:], strict=True))
    return f"{names[0]}, {later}; {_OTHER_DIGITS}"


def _is_gpu(device: str) -> bool:
    return bool(device) and not device.startswith("CPU")


def complete(directory: RunDirectory) -> None:
    """Write down that a run has ended well, with the checksums of what it leaves.

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
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    directory.update_manifest(status="complete", finished=finished, **directory.checksums())


def checked_config(directory: RunDirectory) -> Path:
    """config.toml of a run, after making sure that it is what the run was started with.

    Raises:
        UserError: If it is missing, or has changed since.
    """
    directory.check_output(directory.config_file)
    recorded = directory.read_manifest().settings
    # A newer version of the program may have settings that the run did not know.
    settings = result_settings(load_config(directory.config_file))
    changed = changes(recorded, {path: value for path, value in settings.items() if path in recorded})
    if changed:
        raise RunError(
            expected=f"{directory.config_file} as the run wrote it",
            found=f"changes: {', '.join(changed)}",
            remedy="Restore it, or resume the run, which writes it again.",
        )
    return directory.config_file


def _made_of(manifest: Manifest) -> tuple[dict[str, Any], ...]:
    """Beside the settings what a run has to go on with, as far as it is known, in the order in which it is told."""
    return manifest.fingerprints, manifest.objective


def _computed_with(manifest: Manifest) -> tuple[dict[str, Any], ...]:
    """What follows: another library or kind of device gives other bits."""
    computed_with: dict[str, Any] = {}
    if manifest.precision.name is not None:
        computed_with["precision"] = manifest.precision.name
    if manifest.device:
        # Cores don't count: on any number of them a run goes on with as many threads as it began with.
        computed_with["device"] = manifest.device if _is_gpu(manifest.device) else "CPU"
    computed_with |= {package: manifest.versions.get(package) for package in _COMPUTED_WITH}
    return {"results_version": manifest.results_version}, computed_with
