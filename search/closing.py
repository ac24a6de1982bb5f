"""What to type after a run."""

from __future__ import annotations

import shlex

from search.program_name import program
from search.run_folder.directory import RunDirectory


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
    return directory.manifest_file.is_file() and directory.read_manifest().get("mode") == "roi"
