"""mammo-search evaluate: an exported model on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.cli.settings import AtSensitivity, AtSpecificity, Info, Json, Threshold, run_argument
from search.errors import ConfigError
from search.machine.libraries import quiet_libraries, start_tensorflow
from search.screen.output import messages, show, show_json


def evaluate(
    model: Annotated[str, run_argument("A run, or a .keras file with its .json beside it.", "MODEL")],
    data: Annotated[Path | None, typer.Option(help="Labelled images [the held-out patients].")] = None,
    info: Info = None,
    leave_out_known: Annotated[
        bool, typer.Option("--leave-out-known", help="Leave out the model's own patients.")
    ] = False,
    predictions: Annotated[Path | None, typer.Option(help="Also write the probabilities, as CSV.")] = None,
    threshold: Threshold = None,
    at_sensitivity: AtSensitivity = None,
    at_specificity: AtSpecificity = None,
    json: Json = False,
) -> None:
    """Evaluate a model on labelled images.

    Each reading of the held-out patients is logged, and counted unless this very model has read them before.
    Patients of the model's development are refused.

    Example: mammo-search evaluate demo --data my-films/
    """
    from search.predict.own_point import find_model_at

    if data is None and (info is not None or leave_out_known):
        raise ConfigError(
            expected="--data with --info or --leave-out-known", found="no --data", remedy="Add it, or leave them out."
        )
    file = find_model_at(model, threshold, at_sensitivity, at_specificity)
    if data is None:
        file.require_held_out_patients()
    else:
        file.metadata.require_whole_images()
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
