"""mammo-search weights: get the backbone's weights on one machine, carry them, check them, see what a depth trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from search.bit_weights import BitWeights

app = typer.Typer(help="Fetch and verify the backbone's weights; see what each depth trains.", no_args_is_help=True)

Backbone = Annotated[str, typer.Option(help="bit-m-r50x1, bit-s-r50x1, bit-m-r101x1 or bit-s-r101x1.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


@app.command()
def fetch(
    source: Annotated[str | None, typer.Argument(help="Handle, address, archive, npz or folder.")] = None,
    backbone: Backbone = "bit-m-r50x1",
    output: Annotated[Path | None, typer.Option(help="Also write a .safetensors file to carry elsewhere.")] = None,
    json: Json = False,
) -> None:
    """Download, prove and store weights; later runs and other machines need no internet.

    Example: mammo-search weights fetch --output bit-m-r50x1.safetensors
    """
    from search.bit_family import backbone_source
    from search.bit_store import write_stored
    from search.bit_weights import backbone_weights
    from search.environment import start_tensorflow

    row = backbone_source(backbone)
    start_tensorflow(deterministic=False)
    weights = backbone_weights(row.name, source or "tf-hub")
    if output:
        write_stored(output, weights, row.architecture)
    _answer(weights, output, json=json)


@app.command()
def verify(
    file: Annotated[str | None, typer.Argument(help="Stored file, npz, folder, archive or handle.")] = None,
    backbone: Backbone = "bit-m-r50x1",
    json: Json = False,
) -> None:
    """Compare weights with the published BiT-M-R50x1, tensor by tensor; exit code 1 if they differ.

    Example: mammo-search weights verify bit-m-r50x1.safetensors
    """
    from search.bit_family import backbone_source
    from search.bit_weights import backbone_weights
    from search.environment import start_tensorflow

    row = backbone_source(backbone)
    start_tensorflow(deterministic=False)
    weights = backbone_weights(row.name, file or "tf-hub")
    _answer(weights, None, json=json)
    if weights.genuine is False:
        raise typer.Exit(1)


@app.command()
def depths(
    backbone: Annotated[str, typer.Option(help="bit-m-r50x1, bit-m-r101x1, …, bit-small.")] = "bit-m-r50x1",
    json: Json = False,
) -> None:
    """Show what each unfreeze depth trains: the first unit, and how many parameters of the backbone.

    Example: mammo-search weights depths --backbone bit-m-r101x1
    """
    from search.bit_family import architecture_of
    from search.output import show, show_json

    rows = architecture_of(backbone).depth_table()
    if json:
        show_json(
            [{"depth": row.depth, "from_unit": row.from_unit or None, "parameters": row.parameters} for row in rows]
        )
        return
    show(f"{'depth':>5}  {'trains from':13}  {'parameters':>10}")
    for row in rows:
        show(f"{row.depth:5}  {row.from_unit or 'head alone':13}  {row.parameters:10,}")


def _answer(weights: BitWeights, output: Path | None, *, json: bool) -> None:
    from search.output import show, show_json

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
