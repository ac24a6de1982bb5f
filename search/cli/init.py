"""mammo-search init: a configuration file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.completion import complete_run
from search.config.reading import load_config
from search.config.schema import Config
from search.config.writing import NAME, commented_toml
from search.errors import ConfigError
from search.files.atomic import write_atomic
from search.run_folder.lookup import find_run
from search.screen.output import show


def init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, or the folder to write it into.")] = Path(
        "tuner_config.toml"
    ),
    advanced: Annotated[bool, typer.Option("--all", help="Every setting, advanced ones too.")] = False,
    run: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Take a run's settings.", autocompletion=complete_run),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write tuner_config.toml, with what each setting does.

    Without --all it has what people change. `mammo-search run` reads it from the
    current folder by itself.

    Example: mammo-search init --from demo again.toml
    """
    config, heading = Config(), ""
    if run is not None:
        from search.run_folder.lifecycle import checked_config

        directory = find_run(run)
        config, manifest = load_config(checked_config(directory)), directory.read_manifest()
        if manifest.outer is not None:
            heading = f"# Settings of {manifest.outer}; with them mammo-search run does all of its searches.\n"
        if manifest.demo:
            # Its films are drawn, not read from data.path.
            heading += "# Settings of a demonstration: mammo-search run --demo --config FILE takes them.\n"
    file = path / NAME if path.is_dir() else path
    if file.exists() and not force:
        raise ConfigError(
            expected="a file that is not there yet", found=str(file), remedy="Replace it with --force, or name another."
        )
    if not file.parent.is_dir():
        raise ConfigError(
            expected="an existing folder", found=str(file.parent), remedy="Make it, or name another file."
        )
    try:
        write_atomic(file, heading + commented_toml(config, advanced=advanced))
    except OSError as error:
        raise ConfigError(
            expected="a file that can be written", found=f"{file}: {error.strerror}", remedy="Name another file."
        ) from None
    show(str(file))
