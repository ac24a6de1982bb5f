"""mammo-search data audit: the leak audit alone, before a search is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def audit(
    data: Annotated[Path | None, typer.Option(help="Folder or archive of the images.")] = None,
    mode: Annotated[str | None, typer.Option(help="whole images, or roi: crops.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Synthetic data and a small random backbone; offline.")] = False,
    config: Annotated[Path | None, typer.Option(help="Configuration; default: ./tuner_config.toml.")] = None,
    weights: Annotated[str | None, typer.Option(help="tf-hub, random, a handle, a SavedModel folder or .npz.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the prepared images in pixels.")] = None,
    split: Annotated[
        Path | None, typer.Option(help="Audit this split.csv instead of the one a run would draw.")
    ] = None,
    permutation: Annotated[
        bool, typer.Option("--permutation/--no-permutation", help="Shuffle labels too; needs the backbone.")
    ] = True,
    output: Annotated[Path | None, typer.Option(help="Also write audit.json here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print audit.json instead of text.")] = False,
) -> None:
    """Ask whether anything leaks between the sides of a split, and what trifles give the label away.

    Exit code 3 where a patient or an image is on two sides; a warning of the shortcut probe is no error.

    Example: mammo-search data audit --data all-mias.tar.gz --no-permutation
    """
    from search.audit_job import audit_data
    from search.config_file import DEFAULT_FILE, load_config
    from search.demo import demo_config
    from search.output import show, show_json

    flags: dict[str, Any] = {
        "data.path": data,
        "data.mode": mode,
        "backbone.weights": weights,
        "preparation.image_size": image_size,
        "split.file": split,
    }
    settings = load_config(
        config or (DEFAULT_FILE if DEFAULT_FILE.is_file() and not demo else None),
        {path: value for path, value in flags.items() if value is not None},
        base=demo_config() if demo else None,
    )
    found = audit_data(settings, demo=demo, permutation=permutation, output=output)
    show_json(found.as_dict()) if json else show(found.as_text())
    if found.leaks:
        raise typer.Exit(3)
