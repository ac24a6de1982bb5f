"""The manifest of a run that begins: what is known of it before TensorFlow starts, and the rest."""

from __future__ import annotations

import datetime
import platform
from dataclasses import asdict

from mammo_data import CaseTable, Split
from reports.trials import OBJECTIVE_CURVE
from search.bit.resolve import Backbone
from search.cohort import Cohort
from search.job import Job
from search.machine.libraries import arithmetic_here, git_commit, processor_name, versions
from search.plan.protocol import plan_fingerprint, plan_table
from search.run_folder.lifecycle import RESULTS_VERSION, result_settings
from search.run_folder.manifest import Manifest, PlannedTotals, Precision

_OBJECTIVE = {"name": OBJECTIVE_CURVE, "direction": "max"}


def planned_manifest(job: Job, films: CaseTable, split: Split, outer: Split | None = None) -> Manifest:
    """What follows from the configuration, the patients and the machine.

    Args:
        job: What was asked for.
        films: All cases.
        split: Of the search.
        outer: The outer folds of a nested run.
    """
    config = job.config
    on = "mean over outer folds" if outer else "held-out patients"
    fingerprints = {"split": split.fingerprint, "plan": plan_fingerprint(job.plan, config)}
    return Manifest(
        name=job.directory.name,
        status="running",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        argv=job.argv,
        demo=job.demo,
        mode=config.data.mode,
        protocol=config.split.protocol,
        endpoint=f"AUC of {films.class_names[-1]} versus rest, {on}",
        fingerprints=fingerprints | ({"outer_split": outer.fingerprint} if outer else {}),
        objective=_OBJECTIVE,
        settings=result_settings(config),
        results_version=RESULTS_VERSION,
        views_per_class=None,
        seeds={"search": config.search.seed, "split": split.seed, "weights": config.backbone.weights_seed},
        plan=PlannedTotals(**plan_table(job.plan)),
        versions=versions(),
        git=git_commit(),
        processor=processor_name(),
        host=platform.node(),
    )


def run_manifest(job: Job, backbone: Backbone, cohort: Cohort, outer: Split | None = None) -> Manifest:
    """The whole manifest of a run that begins.

    Args:
        job: What was asked for.
        backbone: The pretrained network.
        cohort: Who the search is about.
        outer: The outer folds of a nested run.
    """
    planned = planned_manifest(job, cohort.films.table, cohort.split, outer)
    weights, precision, prepared = backbone.weights, backbone.precision, cohort.prepared
    seen = {"prepared": prepared.fingerprint, "cases": prepared.table.fingerprint, "weights": weights.fingerprint}
    return planned.but(
        fingerprints=planned.fingerprints | seen,
        weights=weights.provenance,
        weights_verification=weights.verification,
        precision=Precision(name=precision.name, reason=precision.reason, deviation=precision.deviation),
        device=backbone.device,
        **asdict(arithmetic_here()),
    )
