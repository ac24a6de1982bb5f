"""mammo-search evaluate: an exported model on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.settings import Info, Json, run_argument
from search.errors import ConfigError
from search.machine.libraries import quiet_libraries, start_tensorflow
from search.screen.output import messages, show, show_json


def evaluate(
    model: Annotated[str, run_argument("A run, or a .keras file with its .json beside it.", "MODEL")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled images of others.", show_default="the run's held-out patients")
    ] = None,
    info: Info = None,
    leave_out_known: Annotated[
        bool, typer.Option("--leave-out-known", help="Leave out the model's own patients.")
    ] = False,
    predictions: Annotated[Path | None, typer.Option(help="Also write the probabilities.")] = None,
    json: Json = False,
) -> None:
    """Evaluate a model on labelled images.

    With patient-bootstrap intervals; calibration and thresholds stay as they are. Reading the held-out patients
    again is logged, and counted unless this very model has read them before. A set with patients of the model's
    development is refused.

    Example: mammo-search evaluate demo --data my-films/
    """
    from search.export.metadata import find_model

    if data is None and (info is not None or leave_out_known):
        raise ConfigError(
            expected="--data with --info or --leave-out-known", found="no --data", remedy="Add it, or leave them out."
        )
    file = find_model(model)
    with quiet_libraries() as terminal:
        start_tensorflow(deterministic=True)
        from search.predict.evaluate import evaluate_model

        found = evaluate_model(
            file,
            messages(terminal),
            data=data,
            info=info,
            leave_out_known=leave_out_known,
            predictions_file=predictions,
        )
    show_json(found.as_json()) if json else show(found.as_text())
