"""Options that commands share, and from a command's options to the configuration.

The defaults, the file over them, options and --set over the file.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.completion import SOURCES, complete_run, complete_setting, complete_word, one_of
from search.config.reading import DEFAULT_FILE, load_config
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

_SETTINGS = {
    "max_trials": "search.max_trials",
    "max_minutes": "search.max_minutes",
    "data": "data.path",
    "info": "data.info",
    "mode": "data.mode",
    "protocol": "split.protocol",
    "backbone": "backbone.name",
    "weights": "backbone.weights",
    "image_size": "preparation.image_size",
    "folds": "search.folds",
    "split": "split.file",
    "seed": "search.seed",
    "embed_images": "report.embed_images",
}
"""A parameter of a command to the setting that it is; its option is named like it."""


def resolve_settings(given: Mapping[str, Any]) -> Config:
    """The configuration of a command.

    Args:
        given: The command's parameters by name (`typer.Context.params`): those that are settings, None or False where
            they were not given; ``assignments``, what --set was given; ``config``, the file, by default
            ./tuner_config.toml where it is; ``demo``, whether the demonstration's settings stand in place of the
            defaults, and of ./tuner_config.toml.

    Raises:
        ConfigError: If anything is wrong with them; each line names the option or the line of the file.
    """
    base = None
    if given.get("demo"):
        from search.cohort import demo_config, require_no_data

        require_no_data(given["data"], given["info"])
        base = demo_config()
    named = {name: given.get(name) for name in _SETTINGS}
    # A flag that was not given is False; 0 is a value.
    options = {_SETTINGS[name]: name for name, value in named.items() if value is not None and value is not False}
    values: dict[str, Any] = {path: named[name] for path, name in options.items()}
    origins = {path: "--" + name.replace("_", "-") for path, name in options.items()}
    for assignment in given.get("assignments") or ():
        path, value = parse_assignment(assignment)
        if path in options:
            raise ConfigError(
                expected=f"one value for {path}", found=f"{origins[path]} and --set {path}", remedy="Leave one out."
            )
        values[path], origins[path] = value, "--set"
    file = given.get("config")
    if file is None and base is None and DEFAULT_FILE.is_file():
        file = DEFAULT_FILE
    return load_config(file, values, base=base, origins=origins)


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
