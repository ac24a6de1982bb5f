"""`mammo-search run` as a call, for a notebook: prepare, search, report."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.config.reading import SETTINGS, resolve
from search.config.schema import Config
from search.config.writing import toml_value
from search.errors import ConfigError
from search.final.final_model import FinalModel
from search.job import Job
from search.machine.environment import settle_environment
from search.machine.libraries import loaded_before
from search.machine.places import gpus
from search.protocols.run import is_done, run_job
from search.screen.output import complain
from search.screen.progress import Detail


def run(
    *,
    demo: bool = False,
    data: Path | str | None = None,
    info: Path | str | None = None,
    max_trials: int | None = None,
    max_minutes: float | None = None,
    mode: str | None = None,
    protocol: str | None = None,
    backbone: str | None = None,
    weights: Path | str | None = None,
    image_size: int | None = None,
    folds: int | None = None,
    split: Path | str | None = None,
    seed: int | None = None,
    embed_images: bool = False,
    set: Mapping[str, Any] | None = None,
    config: Path | str | None = None,
    name: str | None = None,
    fresh: bool = False,
    accept_device: bool = False,
    device: str = "auto",
    workers: int | None = None,
    ray_address: str | None = None,
    detail: Detail = "normal",
) -> FinalModel:
    """The result of a whole run: search, retrain, evaluate and export.

    The keywords are the flags of ``mammo-search run``, and the run is the same: a terminal shows it and goes on with
    it. Called again it goes on where it was interrupted, and gives what it has found where it is complete.

    TensorFlow computes deterministically from then on, in this process as a whole: call ``tf.random.set_seed`` before
    random operations of your own.

    Args:
        demo: Synthetic films and a small backbone, offline.
        data: Folder or archive of the images.
        info: Info.txt, if it lies elsewhere.
        max_trials: Bound on the trials; all are planned first.
        max_minutes: Start no trial later than this.
        mode: "whole" images, or "roi": crops (easier).
        protocol: "holdout", or "nested": everybody, longer.
        backbone: "bit-m-r50x1", …
        weights: "auto", "tf-hub", "npz", …, "random" or a file.
        image_size: Side of prepared images in pixels.
        folds: Folds a trial is validated on.
        split: A split.csv to use; none is drawn.
        seed: Of the search.
        embed_images: Show images in the report.
        set: Any other setting by its path, as ``{"space.dropout.max": 0.5}``.
        config: A file of settings; by default ./tuner_config.toml where it is.
        name: Of the run.
        fresh: Replace a run of that name.
        accept_device: Go on with it on another GPU.
        device: "auto", "cpu", "gpu" or "gpu:0,2".
        workers: Processes that train, a GPU each.
        ray_address: They work on this Ray cluster.
        detail: "quiet", "normal", or "verbose": a line an epoch, and the log.

    Raises:
        DataError: If the images can't be used.
        UserError: If a setting, the weights or the run's folder are not as they have to be.
    """
    given, assignments = locals(), dict(set or {})
    resolved = resolve(given, assignments, file=Path(config) if config is not None else None, demo=demo)
    # What a notebook draws stays its own.
    if (said := settle_environment(figures=None)) is not None:
        complain(said)
    job = Job(
        resolved,
        name=name,
        fresh=fresh,
        accept_device=accept_device,
        workers=workers,
        device=device,
        ray_address=ray_address,
        demo=demo,
        argv=_as_typed(given, assignments, resolved),
        detail=detail,
    )
    if is_done(job):
        return run_job(replace(job, detail="quiet"))
    if "tensorflow" in sys.modules:
        _require_device(job)
    if loaded_before():
        complain("TensorFlow was loaded before: device and memory stay as it has them; last digits may differ")
    return run_job(job)


def _as_typed(given: Mapping[str, Any], assignments: Mapping[str, Any], config: Config) -> tuple[str, ...]:
    """The words of a command line that asks for the same."""
    words = ["run"]
    for name in (*SETTINGS, "demo", "config", "name", "fresh", "accept_device", "device", "workers", "ray_address"):
        said = given[name]
        if said is None or said is False or (name, said) == ("device", "auto"):
            continue
        words += ["--" + name.replace("_", "-"), *([] if said is True else [str(said)])]
    settings = config.model_dump(mode="json")
    for path in assignments:
        value: Any = settings
        for key in path.split("."):
            value = value[key]
        if value is not None:
            words += ["--set", f"{path}={toml_value(value)}"]
    return tuple(words)


def _require_device(job: Job) -> None:
    """Refuse another device than the one that TensorFlow has chosen before it could be told.

    Raises:
        ConfigError: If one is asked for.
    """
    wanted = job.places[0].environment
    if job.device != "auto" and gpus() and any(os.environ.get(name) != wanted[name] for name in wanted):
        raise ConfigError(
            expected=f"device {job.device} before anything loads TensorFlow",
            found="TensorFlow loaded",
            remedy="Restart the kernel and call search.run first, or leave device out.",
        )
