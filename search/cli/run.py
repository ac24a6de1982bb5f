"""mammo-search run: the whole job.

What to type after a run.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.completion import complete_run
from search.cli.settings import SetOption, resolve_settings
from search.run_folder.directory import RunDirectory
from search.text import program


def run(
    max_trials: Annotated[int | None, typer.Option(help="Bound on the runs; the best plan is made.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Start no run later than this.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder or archive of the images.")] = None,
    info: Annotated[Path | None, typer.Option(help="Info.txt, if it lies elsewhere.")] = None,
    mode: Annotated[str | None, typer.Option(help="whole images, or roi: crops (easier).")] = None,
    protocol: Annotated[str | None, typer.Option(help="holdout, or nested: everybody, longer.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Synthetic data, small backbone; offline.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings [./tuner_config.toml].")] = None,
    assignments: SetOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.", autocompletion=complete_run)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Insist on an unfinished run.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace a run of that name.")] = False,
    backbone: Annotated[str | None, typer.Option(help="bit-m-r50x1, bit-s-r50x1, bit-m-r101x1, …")] = None,
    weights: Annotated[str | None, typer.Option(help="tf-hub, random, a handle or a file.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of prepared images in pixels.")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds a trial is validated on.")] = None,
    split: Annotated[Path | None, typer.Option(help="Use this split.csv; draw none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.")] = None,
    embed_images: Annotated[bool, typer.Option("--embed-images", help="Show images in the report.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The answer and errors only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="A line an epoch, and the log.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search, retrain, evaluate and export; typed again, it goes on.

    Example: mammo-search run --data all-mias.tar.gz --max-trials 40
    """
    from search.cohort import demo_config, require_no_data
    from search.errors import ConfigError
    from search.job import Job
    from search.plan.protocol import describe_protocol, protocol_table
    from search.protocols.run import dry_run as expected
    from search.protocols.run import run_job
    from search.screen.output import messages, show, show_json

    if resume and fresh:
        raise ConfigError(expected="--resume or --fresh", found="both", remedy="Leave one out.")
    if quiet and verbose:
        raise ConfigError(expected="--quiet or --verbose", found="both", remedy="Leave one out.")
    if demo:
        require_no_data(data, info)
    flags: dict[str, tuple[str, Any]] = {
        "--max-trials": ("search.max_trials", max_trials),
        "--max-minutes": ("search.max_minutes", max_minutes),
        "--data": ("data.path", data),
        "--info": ("data.info", info),
        "--mode": ("data.mode", mode),
        "--protocol": ("split.protocol", protocol),
        "--backbone": ("backbone.name", backbone),
        "--weights": ("backbone.weights", weights),
        "--image-size": ("preparation.image_size", image_size),
        "--folds": ("search.folds", folds),
        "--split": ("split.file", split),
        "--seed": ("search.seed", seed),
        "--embed-images": ("report.embed_images", embed_images or None),
    }
    settings = resolve_settings(flags, assignments, file=config, base=demo_config() if demo else None)
    job = Job(
        settings,
        name=name,
        resume=resume,
        fresh=fresh,
        demo=demo,
        argv=tuple(sys.argv[1:]),
        detail="quiet" if quiet else "verbose" if verbose else "normal",
    )
    if dry_run:
        text, cost = expected(job)
        if json:
            show_json(protocol_table(job.plan, settings) | {"expected": cost.as_dict() if cost else None})
        else:
            show(f"{describe_protocol(job.plan, settings)}\n{text}")
        return
    result = run_job(job)
    if quiet or json:
        show_json(result.as_json()) if json else show(result.as_text(), hanging=20)
        return
    console = messages()
    console.print()
    show(result.as_text(), hanging=20)
    console.print(next_commands(result.directory, width=console.width), highlight=False, soft_wrap=True, markup=False)


def next_commands(directory: RunDirectory, *, width: int) -> str:
    """Where everything is, and the three commands that come next, as they can be typed here.

    Args:
        directory: The folder of a complete run.
        width: Columns to fill; a command is never broken, what it does is left out where there is no room.
    """
    from search.errors import UserError
    from search.run_folder.lookup import find_run

    try:
        # By its name where that finds it; a run elsewhere is named by its folder.
        found = find_run(directory.name).path.resolve() == directory.path.resolve()
    except UserError:
        found = False
    run = shlex.quote(directory.name if found else str(directory.path))
    name = program()
    commands = {
        f"{name} trials {run}": "all runs of the search, best first",
        f"{name} tensorboard {run}": "curves of every run and fold",
    }
    if _of_crops(directory):
        # New images have nobody who marks the places to crop.
        commands[f"{name} export {run} --format savedmodel"] = "the model for another program"
    else:
        commands[f"{name} predict {shlex.quote(str(directory.model_file))} IMAGE"] = "probabilities of new images"
    widest = max(len(command) for command in commands)
    longest = max(len(what) for what in commands.values())
    room = 2 + widest + 3 + longest <= width
    lines = [f"everything          {directory.path}", "", "next:"]
    lines += [f"  {command:<{widest}}   {what}" if room else f"  {command}" for command, what in commands.items()]
    return "\n".join(lines)


def _of_crops(directory: RunDirectory) -> bool:
    return directory.manifest_file.is_file() and directory.read_manifest().mode == "roi"
