"""mammo-search run: the whole job, and what to type after it."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from search.cli import settings
from search.cli.completion import complete_name, one_of
from search.cli.settings import Assignments, ConfigFile, Demo, ImageSize, Info, Json, Mode, SplitFile, Weights
from search.errors import ConfigError, UserError
from search.run_folder.directory import RunDirectory
from search.run_folder.lookup import find_run
from search.screen.output import messages, show, show_json
from search.text import program

_DEVICES = one_of("auto", "cpu", "gpu")


def run(
    context: typer.Context,
    max_trials: Annotated[int | None, typer.Option(help="At most so many trials; planned first.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Start no trial after so many minutes.")] = None,
    data: settings.Data = None,
    info: Info = None,
    mode: Mode = None,
    protocol: settings.Protocol = None,
    demo: Demo = False,
    config: ConfigFile = None,
    assignments: Assignments = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.", autocompletion=complete_name)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with a run; begin none.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete a run of that name first.")] = False,
    accept_device: Annotated[bool, typer.Option("--accept-device", help="Go on, though on another GPU.")] = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu, gpu or gpu:0,2 [auto].", show_default=False, autocompletion=_DEVICES)
    ] = "auto",
    workers: Annotated[int | None, typer.Option(help="Training processes, a GPU each.")] = None,
    ray_address: Annotated[str | None, typer.Option(help="A Ray cluster for the workers.")] = None,
    backbone: settings.Backbone = None,
    weights: Weights = None,
    image_size: ImageSize = None,
    folds: Annotated[int | None, typer.Option(help="Folds that each trial is validated on.")] = None,
    split: SplitFile = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search.")] = None,
    embed_images: Annotated[bool, typer.Option("--embed-images", help="Put held-out images into the report.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the answer, and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also a line an epoch, and the log.")] = False,
    json: Json = False,
) -> None:
    """Search, retrain, evaluate and export; typed again, it goes on.

    Example: mammo-search run --data all-mias.tar.gz --max-trials 40
    """
    from search.job import Job
    from search.plan.protocol import describe_protocol, protocol_table
    from search.protocols import run as gate

    for options, both in (("--resume or --fresh", resume and fresh), ("--quiet or --verbose", quiet and verbose)):
        if both:
            raise ConfigError(expected=options, found="both", remedy="Leave one out.")
    resolved = settings.resolve_settings(context.params)
    job = Job(
        resolved,
        name=name,
        resume=resume,
        fresh=fresh,
        accept_device=accept_device,
        device=device,
        workers=workers,
        ray_address=ray_address,
        demo=demo,
        argv=tuple(sys.argv[1:]),
        detail="quiet" if quiet else "verbose" if verbose else "normal",
    )
    if dry_run:
        text, cost = gate.dry_run(job)
        if json:
            show_json(protocol_table(job.plan, resolved) | {"expected": cost.as_dict() if cost else None})
        else:
            show(f"{describe_protocol(job.plan, resolved)}\n{text}")
        return
    result = gate.run_job(job)
    if json:
        show_json(result.as_json())
        return
    console = messages()
    if not quiet:
        console.print()
    show(result.as_text(), hanging=20)
    if not quiet:
        after = next_commands(result.directory, width=console.width)
        console.print(after, highlight=False, soft_wrap=True, markup=False)


def next_commands(directory: RunDirectory, *, width: int) -> str:
    """Where everything is, and the three commands that come next, as they can be typed here.

    Args:
        directory: The folder of a complete run.
        width: Columns to fill; a command is never broken, what it does is left out where there is no room.
    """
    try:
        # By its name where that finds it; a run elsewhere is named by its folder.
        found = find_run(directory.name).path.resolve() == directory.path.resolve()
    except UserError:
        found = False
    run, name = shlex.quote(directory.name if found else str(directory.path)), program()
    commands = {
        f"{name} trials {run}": "all trials of the search, best first",
        f"{name} tensorboard {run}": "curves of every trial and fold",
    }
    if directory.has_manifest and directory.read_manifest().mode == "roi":
        # New images have nobody who marks the places to crop.
        commands[f"{name} export {run} --format savedmodel"] = "the model for another program"
    else:
        commands[f"{name} predict {shlex.quote(str(directory.model_file))} IMAGE"] = "probabilities of new images"
    widest = max(map(len, commands))
    room = 2 + widest + 3 + max(map(len, commands.values())) <= width
    lines = [f"  {command:<{widest}}   {what}" if room else f"  {command}" for command, what in commands.items()]
    return "\n".join([f"everything          {directory.path}", "", "next:", *lines])
