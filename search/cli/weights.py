"""mammo-search weights: get the backbone's weights on one machine, carry them, check them, see what a depth trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.bit.family import FAMILY, architecture_of, backbone_source
from search.cli.completion import SOURCES, complete_word, one_of
from search.cli.settings import Json
from search.machine.libraries import quiet_libraries
from search.screen.output import bar, messages, show, show_json

if TYPE_CHECKING:
    from search.bit.weights import BitWeights

_NAMES, _FROM = complete_word("backbone.name"), one_of(*SOURCES)
Backbone = Annotated[str, typer.Option(help="bit-m-r50x1, bit-s-r50x1, bit-m-r101x1, …", autocompletion=_NAMES)]


def fetch_weights(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="auto, tf-hub, npz, …, address or file.", autocompletion=_FROM)
    ] = "auto",
    backbone: Backbone = "bit-m-r50x1",
    output: Annotated[Path | None, typer.Option(help="Also write a .safetensors file.")] = None,
    json: Json = False,
) -> None:
    """Download, verify and store weights.

    auto tries each source until one gives the published tensors. Later runs
    need no internet then; --output is for machines without any.

    Example: mammo-search weights fetch --output bit-m-r50x1.safetensors
    """
    from search.bit.weights import require_stored_name, write_stored

    if output:
        require_stored_name(output)
    weights = _weights(backbone, source, "fetching")
    if output:
        write_stored(output, weights, backbone_source(backbone).architecture)
    _answer(weights, output, json=json)


def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="File, folder, archive, address or a source.")] = "auto",
    backbone: Backbone = "bit-m-r50x1",
    json: Json = False,
) -> None:
    """Compare weights with the published ones, tensor by tensor.

    The exit code is 1 if they differ.

    Example: mammo-search weights verify bit-m-r50x1.safetensors
    """
    weights = _weights(backbone, file, "verifying")
    _answer(weights, None, json=json)
    if weights.genuine is False:
        raise typer.Exit(1)


def depths(
    backbone: Backbone = "bit-m-r50x1",
    json: Json = False,
) -> None:
    """Show what each unfreeze depth trains: first unit, parameters.

    Example: mammo-search weights depths --backbone bit-m-r101x1
    """
    rows = architecture_of(backbone).depth_table()
    if json:
        show_json(
            [{"depth": row.depth, "from_unit": row.from_unit or None, "parameters": row.parameters} for row in rows]
        )
        return
    show(f"{'depth':>5}  {'trains from':13}  {'parameters':>10}")
    for row in rows:
        show(f"{row.depth:5}  {row.from_unit or 'head alone':13}  {row.parameters:10,}")


def list_weights(json: Json = False) -> None:
    """List the released backbones: training data, size, licence, sources.

    With --json all that is known of them is listed.

    Example: mammo-search weights list
    """
    rows = [source.as_json() for source in FAMILY.values()]
    if json:
        show_json(rows)
        return
    for row in rows:
        show(f"{row['name']:12}  {row['parameters']:10,} parameters  {row['licence']}  {row['training_data']}")
        for source, place in FAMILY[row["name"]].places.items():
            show(f"{'':12}  {source:6}  {place}")


def _weights(backbone: str, source: str, doing: str) -> BitWeights:
    """Weights of a backbone; a terminal's stderr shows meanwhile how far a download is."""
    from search.bit.resolve import backbone_weights

    row = backbone_source(backbone)
    with quiet_libraries() as terminal:
        console = messages(terminal)
        with bar(f"{doing} {source}", size=True, console=console) as moved:
            return backbone_weights(
                row.name, source, progress=moved, say=lambda line: console.print(line, markup=False, soft_wrap=True)
            )


def _answer(weights: BitWeights, output: Path | None, *, json: bool) -> None:
    if json:
        names = ("provenance", "fingerprint", "genuine", "verification")
        show_json({name: getattr(weights, name) for name in names} | {"file": str(output) if output else None})
        return
    show(f"{weights.provenance}\nfingerprint {weights.fingerprint}\n{weights.verification}")
    if output:
        show(f"written to {output}")
