"""What run.json says of a run, and whether a run may go on with what it was started with."""

from __future__ import annotations

import datetime
import platform
from typing import TYPE_CHECKING, Any

from search.config.schema import Config
from search.config.writing import to_toml
from search.errors import RunError
from search.files.atomic import replacing, write_atomic
from search.machine.libraries import git_commit, processor_name, versions
from search.plan_text import plan_table
from search.protocols.stages import Job
from search.run_folder.directory import RunDirectory
from search.run_folder.lifecycle import RESULTS_VERSION, changes, result_settings
from search.run_folder.manifest import SCHEMA

if TYPE_CHECKING:
    from mammo_data.preparation.prepared import PreparedSet
    from mammo_data.splits import Split
    from search.cohort import JobData

_SHOWN = 5
_COMPUTED_WITH = ("tensorflow", "keras", "keras-tuner", "numpy")  # NumPy draws views, orders and configurations


def run_manifest(job: Job, data: JobData, directory: RunDirectory) -> dict[str, Any]:
    """The manifest of a run that begins; its schema is in `search.run_folder.manifest`.

    Args:
        job: What was asked for, plan and backbone.
        data: What the search is given, and the split.
        directory: The run's folder.
    """
    from search.trials.cross_validation import OBJECTIVE
    from search.tuner.search import plan_fingerprint

    config = job.config
    return {
        "schema": SCHEMA,
        "name": directory.name,
        "status": "running",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "argv": list(job.request.argv),
        "demo": job.request.demo,
        "mode": config.data.mode,
        "protocol": config.split.protocol,
        "endpoint": f"AUC of {data.films.table.class_names[-1]} versus rest, held-out patients",
        "fingerprints": {
            "prepared": data.prepared.fingerprint,
            "cases": data.prepared.table.fingerprint,
            "split": data.split.fingerprint,
            "weights": job.backbone.weights.fingerprint,
            "plan": plan_fingerprint(job.plan, config),
        },
        "objective": {"name": OBJECTIVE, "direction": "max"},
        "settings": result_settings(config),
        "results_version": RESULTS_VERSION,
        "views_per_class": None,
        "seeds": {
            "search": config.search.seed,
            "split": data.split.seed,
            "weights": config.backbone.weights_seed,
        },
        "plan": plan_table(job.plan),
        "weights": job.backbone.weights.provenance,
        "weights_verification": job.backbone.weights.verification,
        "precision": {
            "name": job.backbone.precision.name,
            "reason": job.backbone.precision.reason,
            "deviation": job.backbone.precision.deviation,
        },
        "versions": versions(),
        "git": git_commit(),
        "device": job.backbone.device,
        "processor": processor_name(),
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
