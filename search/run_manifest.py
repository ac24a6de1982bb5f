"""What run.json says of a run, and whether a run may go on with what it was started with."""

from __future__ import annotations

import datetime
import platform
from typing import TYPE_CHECKING, Any

from search.atomic_file import replacing, write_atomic
from search.config import Config
from search.config_toml import to_toml
from search.environment import git_commit, versions
from search.errors import RunError
from search.hyperband_plan import HyperbandPlan
from search.job_request import JobRequest
from search.manifest import SCHEMA
from search.plan_text import plan_table
from search.run_directory import RunDirectory
from search.run_settings import RESULTS_VERSION, changes, result_settings

if TYPE_CHECKING:
    from mammo_data.prepared import PreparedSet
    from mammo_data.splits import Split
    from search.job_data import JobData
    from search.job_stations import Backbone


def run_manifest(
    request: JobRequest, plan: HyperbandPlan, data: JobData, backbone: Backbone, *, name: str
) -> dict[str, Any]:
    """The manifest of a run that begins; its schema is in `search.manifest`.

    Args:
        request: What was asked for.
        plan: Of its search.
        data: What the search is given, and the split.
        backbone: The pretrained network, and what it is computed on.
        name: Name of the run.
    """
    return {
        "schema": SCHEMA,
        "name": name,
        "status": "running",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "argv": list(request.argv),
        "demo": request.demo,
        "mode": request.config.data.mode,
        "endpoint": f"AUC of {data.films.table.class_names[-1]} versus rest, held-out patients",
        "fingerprints": {
            "prepared": data.prepared.fingerprint,
            "cases": data.prepared.table.fingerprint,
            "split": data.split.fingerprint,
            "weights": backbone.weights.fingerprint,
        },
        "settings": result_settings(request.config),
        "results_version": RESULTS_VERSION,
        "views_per_class": None,
        "seeds": {
            "search": request.config.search.seed,
            "split": data.split.seed,
            "weights": request.config.backbone.weights_seed,
        },
        "plan": plan_table(plan),
        "weights": backbone.weights.provenance,
        "weights_verification": backbone.weights.verification,
        "precision": {
            "name": backbone.precision.name,
            "reason": backbone.precision.reason,
            "deviation": backbone.precision.deviation,
        },
        "versions": versions(),
        "git": git_commit(),
        "device": backbone.device,
        "host": platform.node(),
    }


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


def _resumed(directory: RunDirectory, manifest: dict[str, Any]) -> dict[str, Any]:
    before = directory.read_manifest()
    compared = ("settings", "fingerprints")
    changed = [line for part in compared for line in changes(before.get(part, {}), manifest[part])]
    changed += changes(*({"results_version": each.get("results_version")} for each in (before, manifest)))
    changed += changes(*({"precision": each.get("precision", {}).get("name")} for each in (before, manifest)))
    if changed:
        raise RunError(
            expected=f"what {directory.path} was started with",
            found=f"changes: {', '.join(changed)}",
            remedy="Undo them to resume, or use --fresh or another --name.",
        )
    return before
