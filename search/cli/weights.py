"""mammo-search weights: get the backbone's weights on one machine, carry them, check them, see what a depth trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.help import Command, CommandGroup

if TYPE_CHECKING:
    from search.bit.weights import BitWeights

app = typer.Typer(cls=CommandGroup, help="Fetch and verify weights; see what each depth trains.", no_args_is_help=True)

Backbone = Annotated[str, typer.Option(help="bit-m-r50x1, bit-s-r50x1, bit-m-r101x1 or bit-s-r101x1.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@app.command(cls=Command)
def fetch(
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="Handle, address, archive, npz or folder.")
    ] = None,
    backbone: Backbone = "bit-m-r50x1",
    output: Annotated[Path | None, typer.Option(help="Also write a .safetensors file.")] = None,
    json: Json = False,
) -> None:
    """Download, prove and store weights.

    Later runs need no internet then; --output is for machines without any.

    Example: mammo-search weights fetch --output bit-m-r50x1.safetensors
    """
    from search.bit.family import backbone_source
    from search.bit.resolve import backbone_weights
    from search.bit.weights import require_stored_name, write_stored

    row = backbone_source(backbone)
    if output:
        require_stored_name(output)
    with _at_work(f"fetching {source or row.handle}"):
        weights = backbone_weights(row.name, source or "tf-hub")
        if output:
            write_stored(output, weights, row.architecture)
    _answer(weights, output, json=json)


@app.command(cls=Command)
def verify(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Stored file, npz, folder, archive or handle.")
    ] = None,
    backbone: Backbone = "bit-m-r50x1",
    json: Json = False,
) -> None:
    """Compare weights with the published ones, tensor by tensor.

    The exit code is 1 if they differ.

    Example: mammo-search weights verify bit-m-r50x1.safetensors
    """
    from search.bit.family import backbone_source
    from search.bit.resolve import backbone_weights

    row = backbone_source(backbone)
    with _at_work(f"verifying {file or row.handle}"):
        weights = backbone_weights(row.name, file or "tf-hub")
    _answer(weights, None, json=json)
    if weights.genuine is False:
        raise typer.Exit(1)


@app.command(cls=Command)
def depths(
    backbone: Annotated[str, typer.Option(help="bit-m-r50x1, bit-m-r101x1, …, bit-small.")] = "bit-m-r50x1",
    json: Json = False,
) -> None:
    """Show what each unfreeze depth trains: first unit, parameters.

    Example: mammo-search weights depths --backbone bit-m-r101x1
    """
    from search.bit.family import architecture_of
    from search.screen.output import show, show_json

    rows = architecture_of(backbone).depth_table()
    if json:
        show_json(
            [{"depth": row.depth, "from_unit": row.from_unit or None, "parameters": row.parameters} for row in rows]
        )
        return
    show(f"{'depth':>5}  {'trains from':13}  {'parameters':>10}")
    for row in rows:
        show(f"{row.depth:5}  {row.from_unit or 'head alone':13}  {row.parameters:10,}")


@app.command("list", cls=Command)
def list_family(json: Json = False) -> None:
    """List the released backbones: training data, size, licence, handle.

    With --json all that is known of them is listed.

    Example: mammo-search weights list
    """
    from search.bit.family import FAMILY
    from search.screen.output import show, show_json

    if json:
        show_json([source.as_json() for source in FAMILY.values()])
        return
    for source in FAMILY.values():
        row = source.as_json()
        show(f"{source.name:12}  {row['parameters']:10,} parameters  {source.licence}  {source.training_data}")
        show(f"{'':12}  {source.handle}")


@contextmanager
def _at_work(what: str) -> Iterator[None]:
    """Say on a terminal's stderr what takes its time; what native libraries write is dropped."""
    from search.machine.libraries import quiet_libraries
    from search.screen.output import messages

    with quiet_libraries() as terminal:
        console = messages(terminal)
        with console.status(what) if console.is_terminal else nullcontext():
            yield


def _answer(weights: BitWeights, output: Path | None, *, json: bool) -> None:
    from search.screen.output import show, show_json

    answer = {
        "provenance": weights.provenance,
        "fingerprint": weights.fingerprint,
        "genuine": weights.genuine,
        "verification": weights.verification,
        "file": str(output) if output else None,
    }
    if json:
        show_json(answer)
        return
    show(f"{weights.provenance}\nfingerprint {weights.fingerprint}\n{weights.verification}")
    if output:
        show(f"written to {output}")
