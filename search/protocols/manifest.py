"""What run.json says of a run, and whether a run may go on with what it was started with."""

from __future__ import annotations

import datetime
import platform
from typing import TYPE_CHECKING, Any

from search.machine.device import processor_name
from search.machine.libraries import git_commit, versions
from search.plan.protocol import plan_table
from search.protocols.job import Job
from search.run_folder.directory import RunDirectory
from search.run_folder.lifecycle import RESULTS_VERSION, result_settings
from search.run_folder.manifest import SCHEMA

if TYPE_CHECKING:
    from search.cohort import JobData


def run_manifest(job: Job, data: JobData, directory: RunDirectory) -> dict[str, Any]:
    """The manifest of a run that begins; its schema is in `search.run_folder.manifest`.

    Args:
        job: What was asked for, plan and backbone.
        data: What the search is given, and the split.
        directory: The run's folder.
    """
    from reports.trials import OBJECTIVE_CURVE
    from search.plan.protocol import plan_fingerprint

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
        "objective": {"name": OBJECTIVE_CURVE, "direction": "max"},
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
