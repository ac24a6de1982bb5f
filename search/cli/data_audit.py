"""mammo-search data audit: the leak audit alone, before a search is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from search.cli.settings import SetOption, resolve_settings


def audit(
    data: Annotated[Path | None, typer.Option(help="Folder or archive of the images.")] = None,
    info: Annotated[Path | None, typer.Option(help="Info.txt, if it lies elsewhere.")] = None,
    mode: Annotated[str | None, typer.Option(help="whole images, or roi: crops.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Synthetic data, small backbone; offline.")] = False,
    config: Annotated[Path | None, typer.Option(help="Settings [./tuner_config.toml].")] = None,
    assignments: SetOption = None,
    weights: Annotated[str | None, typer.Option(help="tf-hub, random, a handle or a file.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of prepared images in pixels.")] = None,
    split: Annotated[Path | None, typer.Option(help="Use this split.csv; draw none.")] = None,
    no_permutation: Annotated[bool, typer.Option("--no-permutation", help="Don't shuffle labels.")] = False,
    output: Annotated[Path | None, typer.Option(help="Also write audit.json here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answers as JSON.")] = False,
) -> None:
    """Ask what leaks between the sides of a split.

    The exit code is 3 if anything leaks.

    Example: mammo-search data audit --data all-mias.tar.gz --no-permutation
    """
    from search.demo import demo_config, require_no_data
    from search.protocols.audit_only import audit_data
    from search.screen.output import show, show_json

    if demo:
        require_no_data(data, info)
    flags: dict[str, tuple[str, Any]] = {
        "--data": ("data.path", data),
        "--info": ("data.info", info),
        "--mode": ("data.mode", mode),
        "--weights": ("backbone.weights", weights),
        "--image-size": ("preparation.image_size", image_size),
        "--split": ("split.file", split),
    }
    settings = resolve_settings(flags, assignments, file=config, base=demo_config() if demo else None)
    found = audit_data(settings, demo=demo, permutation=not no_permutation, output=output)
    show_json(found.as_dict()) if json else show(found.as_text())
    if found.leaks:
        raise typer.Exit(3)
