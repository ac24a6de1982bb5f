"""What a run needs of its surroundings, looked at one by one, with what to do about each lack."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search.errors import UserError

# Banks of all default depths at 448 px, checkpoints and the imported weights together stay below this.
COMFORTABLE_FREE_BYTES = 10 * 2**30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Args:
        subject: What.
        state: "ok", "note" (works, but worth knowing) or "lack" (a run on real data will not work).
        found: What is there.
        remedy: What to do about it, "" if nothing.
    """

    subject: str
    state: str
    found: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def examine(data: Path, weights: str, backbone: str, workspace: Path, cache: Path | None = None) -> tuple[Check, ...]:
    """Look at everything; nothing is changed, downloaded or built.

    Args:
        data: Where the images should be.
        weights: The `--weights` in use.
        backbone: The `--backbone` in use.
        workspace: Where runs are written.
        cache: Where weights are kept; the user's cache folder if None.
    """
    from search.bit_download import cache_directory

    cache = cache or cache_directory()
    return (
        *_versions(),
        _devices(),
        Check("weights cache", "ok", str(cache)),
        examine_weights(weights, backbone, cache),
        _data(data),
        _disk(workspace),
    )


def examine_weights(weights: str, backbone: str, cache: Path) -> Check:
    """Whether the weights are there and genuine, by the stored file's metadata."""
    from search.bit_family import architecture_of, weights_spec
    from search.bit_import import stored_path
    from search.bit_store import SUFFIX, stored_metadata

    if weights == "random":
        return Check("weights", "note", "random: nothing pretrained will be used", "Name BiT's with --weights tf-hub.")
    fetch = f"Run: mammo-search weights fetch --backbone {backbone}, or carry a file over and name it with --weights."
    try:
        path = Path(weights).expanduser()
        named = path.is_file() and path.suffix == SUFFIX
        stored = path if named else stored_path(weights_spec(backbone, weights), architecture_of(backbone), cache)
        if not stored.is_file():
            if path.exists():
                return Check("weights", "ok", f"{path}, not imported yet")
            return Check("weights", "lack", f"{weights} for {backbone} is not on this machine", fetch)
        metadata = stored_metadata(stored)
    except UserError as error:
        return Check("weights", "lack", error.found, error.remedy)
    found = f"{stored}; {metadata.get('verification') or 'not verified'}"
    if metadata.get("genuine") == "false":
        return Check("weights", "note", found, "If the published weights are meant, fetch them again.")
    return Check("weights", "ok", found)


def _versions() -> tuple[Check, ...]:
    from search.environment import versions

    return tuple(
        Check(name, "ok", version)
        if version
        else Check(name, "lack", "not installed", "Run: uv sync, or install mammo-search again.")
        for name, version in versions().items()
    )


def _devices() -> Check:
    from search.environment import device_description, start_tensorflow
    from search.precision import has_bfloat16_instructions

    start_tensorflow(deterministic=False)
    device = device_description()
    if device.startswith("CPU"):
        tiles = ", bfloat16" if has_bfloat16_instructions() else ""
        return Check("devices", "ok", f"{device}{tiles}; no GPU", "For NVIDIA: install mammo-search[gpu].")
    return Check("devices", "ok", device)


def _data(data: Path) -> Check:
    from mammo_data.errors import DataError
    from mammo_data.layouts import open_source

    try:
        source = open_source(data)
    except DataError as error:
        return Check("data", "lack", error.found, error.remedy)
    return Check("data", "ok", f"{len(source.image_ids)} images in {data}")


def _disk(workspace: Path) -> Check:
    existing = next(folder for folder in (workspace.absolute(), *workspace.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 2**30:.0f} GiB free at {existing}"
    if free < COMFORTABLE_FREE_BYTES:
        return Check("disk", "note", found, "Free some space: banks and checkpoints may need up to 10 GiB.")
    return Check("disk", "ok", found)
