"""Options that commands share, and from a command's options to the configuration.

What they mean is said by `search.config.reading.resolve`.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.completion import SOURCES, complete_run, complete_setting, complete_word, one_of
from search.config.reading import resolve
from search.config.schema import Config
from search.errors import ConfigError


def run_argument(help: str, metavar: str = "RUN") -> Any:
    """An argument that names a run."""
    return typer.Argument(metavar=metavar, help=help, show_default=False, autocompletion=complete_run)


RunArgument = Annotated[str | None, run_argument("Name of a run, or its folder; default: the newest.")]
"""The RUN of a command that takes the newest run where none is named."""
Data = Annotated[Path | None, typer.Option(help="Folder or archive of the images.")]
Info = Annotated[Path | None, typer.Option(help="Info.txt, if it is elsewhere.")]
_MODES, _PROTOCOLS, _NAMES = map(complete_word, ("data.mode", "split.protocol", "backbone.name"))
_SOURCES = one_of(*SOURCES, "random")
Mode = Annotated[str | None, typer.Option(help="whole, or roi: crops, an easier task.", autocompletion=_MODES)]
Demo = Annotated[bool, typer.Option("--demo", help="Synthetic films, small network; offline.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file [./tuner_config.toml].")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Another setting: space.dropout.max=0.6", autocompletion=complete_setting
    ),
]
Backbone = Annotated[str | None, typer.Option(help="bit-m-r50x1, bit-s-r50x1, …", autocompletion=_NAMES)]
Weights = Annotated[str | None, typer.Option(help="auto, tf-hub, npz, …, random or a file.", autocompletion=_SOURCES)]
ImageSize = Annotated[int | None, typer.Option(help="Side of prepared images in pixels.")]
SplitFile = Annotated[Path | None, typer.Option(help="Use this split.csv instead of drawing.")]
Threshold = Annotated[float | None, typer.Option(help="Your own point: this probability.")]
AtSensitivity = Annotated[float | None, typer.Option(help="Your own point: this sensitivity.")]
AtSpecificity = Annotated[float | None, typer.Option(help="Your own point: this specificity.")]
Protocol = Annotated[
    str | None, typer.Option(help="holdout, or nested: tests on everybody.", autocompletion=_PROTOCOLS)
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def resolve_settings(given: Mapping[str, Any]) -> Config:
    """The configuration of a command.

    Args:
        given: The command's parameters by name (`typer.Context.params`): those that are settings, None or False where
            they were not given; ``assignments``, what --set was given; ``config``, the file; ``demo``.

    Raises:
        ConfigError: If anything is wrong with them; each line names the option or the line of the file.
    """
    assignments = dict(parse_assignment(text) for text in given.get("assignments") or ())
    return resolve(given, assignments, file=given.get("config"), demo=bool(given.get("demo")), spelled=_flag)


def _flag(parameter: str) -> str:
    """A parameter's option, which is named like it."""
    return "--" + parameter.replace("_", "-")


def parse_assignment(text: str) -> tuple[str, Any]:
    """Path and value of ``path=value``.

    The value is read as TOML; what is no TOML is taken as it stands, so that text needs no quotes.

    Raises:
        ConfigError: If it is no assignment to a setting.
    """
    path, sign, written = (part.strip() for part in text.partition("="))
    if not (path and sign and written) or not all(path.split(".")):
        raise ConfigError(
            expected="--set KEY=VALUE", found=repr(text), remedy="For example: --set space.dropout.max=0.6"
        )
    if "." not in path:
        raise ConfigError(
            expected="the path of a setting, as --set search.max_trials=40",
            found=repr(text),
            remedy="Put its section before it; `mammo-search init --all` writes a file with all of them.",
        )
    try:
        table = tomllib.loads(f"value = {written}")
    except tomllib.TOMLDecodeError:
        return path, written
    if len(table) > 1 or isinstance(table["value"], datetime.date | datetime.time):
        return path, written
    return path, table["value"]
