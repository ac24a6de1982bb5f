"""mammo-search run: the whole job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def run(
    max_trials: Annotated[int | None, typer.Option(help="Bound on the runs; the best-spending plan is made.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Start no run later than this.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder or archive of the MIAS images.")] = None,
    info: Annotated[Path | None, typer.Option(help="Info.txt, where it does not lie with the images.")] = None,
    mode: Annotated[str | None, typer.Option(help="whole images, or roi: crops, the easier task.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Synthetic data and a small random backbone; offline.")] = False,
    config: Annotated[Path | None, typer.Option(help="Configuration; default: ./tuner_config.toml.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run; the default if any.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace a run of that name.")] = False,
    backbone: Annotated[str | None, typer.Option(help="bit-m-r50x1, bit-s-r50x1, bit-m-r101x1, …")] = None,
    weights: Annotated[str | None, typer.Option(help="tf-hub, random, a handle, a SavedModel folder or .npz.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the prepared images in pixels.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds a trial is cross-validated on.")] = None,
    split: Annotated[Path | None, typer.Option(help="Use this split.csv instead of drawing one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search; the split has its own.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search, retrain, evaluate and export.

    Example: mammo-search run --data all-mias.tar.gz --max-trials 40
    """
    from search.config_file import DEFAULT_FILE, load_config
    from search.demo import demo_config
    from search.errors import ConfigError
    from search.job import JobRequest, run_job
    from search.output import show, show_json
    from search.plan_text import describe_plan, plan_search, plan_table

    if resume and fresh:
        raise ConfigError(expected="--resume or --fresh", found="both", remedy="Leave one out.")
    flags: dict[str, Any] = {
        "search.max_trials": max_trials,
        "search.max_minutes": max_minutes,
        "data.path": data,
        "data.info": info,
        "data.mode": mode,
        "backbone.name": backbone,
        "backbone.weights": weights,
        "preparation.image_size": image_size,
        "search.folds": folds,
        "split.file": split,
        "search.seed": seed,
    }
    file = config or (DEFAULT_FILE if DEFAULT_FILE.is_file() and not demo else None)
    settings = load_config(
        file,
        {path: value for path, value in flags.items() if value is not None},
        base=demo_config() if demo else None,
    )
    if dry_run:
        plan = plan_search(settings.search)
        show_json(plan_table(plan)) if json else show(describe_plan(plan))
        return
    result = run_job(JobRequest(settings, name=name, resume=resume, fresh=fresh, demo=demo, argv=tuple(sys.argv[1:])))
    show_json(result.as_json()) if json else show(result.as_text())
