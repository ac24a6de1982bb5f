"""The search in TensorBoard: curves of every trial and fold, and an HParams table with the lineage.

Layout, one TensorBoard run a directory:

    DIR/                         the HParams experiment: which hyperparameters and metrics there are
    DIR/trial_0003/              one session: hyperparameters, lineage, status; mean curves over the folds, objective,
                                 best epoch, seconds; the curves of each fold under tags like val_macro_auc/fold_1
    DIR/final/                   the exported model: figures as images, a summary as text

Folds are tags and not runs of their own, for TensorBoard's pages of images, texts and scalars come up empty where there
are more than 40 runs, and the default search has 38. Steps are epochs, from 1. Event files have a fixed name and are
replaced whole, so that writing twice does not show every point twice. Only TensorBoard's own protos and record writer
are used; TensorFlow is not imported.
"""

from __future__ import annotations

import io
import math
import statistics
import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.errors import ReportError
from reports.files import write_atomically
from reports.trials import TrialRecord

EVENT_FILE = "events.out.tfevents.0000000000.mammo-search"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Channels by a PNG file's colour type (ISO/IEC 15948, table 11.1)."""

LINEAGE = {
    "lineage/status": "completed or failed",
    "lineage/configuration": "Number of the configuration; trials of a promotion share it",
    "lineage/bracket": "Bracket in the order of the plan, from 0",
    "lineage/rung": "Rung in the bracket, from 0",
    "lineage/epochs": "Epochs trained when the trial ended",
    "lineage/initial_epoch": "Epochs already trained by the parent",
    "lineage/parent": "The trial that this one continues",
}

METRICS = {
    "objective": "Objective: mean over the folds at the end of the trial (selected, optimistic)",
    "best_epoch": "Best epoch of the mean curve",
    "backbone_learning_rate": "Peak learning rate of the unfrozen backbone",
    "seconds": "Wall time of the trial in seconds",
    "val_macro_auc": "Validation macro one-vs-rest AUC, mean over the folds",
    "val_balanced_accuracy": "Validation balanced accuracy, mean over the folds",
    "val_loss": "Validation loss, mean over the folds",
    "loss": "Training loss, mean over the folds",
}


def write_trials(
    records: Sequence[TrialRecord], directory: Path, *, class_names: Sequence[str], note: str = ""
) -> None:
    """Writes the whole search, replacing what an earlier call wrote.

    Args:
        records: Trials in any order.
        directory: TensorBoard's ``--logdir``.
        class_names: Ordered class names; they stand in the experiment's description. Empty where not known.
        note: What "the search was", if there is something to say, for the same place.
    """
    _write_experiment({"": records}, directory, class_names=class_names, note=note)
    for record in records:
        _write_trial(record, directory)


def write_searches(searches: Mapping[str, Sequence[TrialRecord]], directory: Path) -> None:
    """Writes several searches into one folder, each below its name, with one HParams table for all.

    Args:
        searches: Name to trials.
        directory: TensorBoard's ``--logdir``, empty.
    """
    _write_experiment(searches, directory, class_names=())
    for name, records in searches.items():
        for record in records:
            _write_trial(record, directory / name, search=name)


def _write_experiment(
    searches: Mapping[str, Sequence[TrialRecord]], directory: Path, *, class_names: Sequence[str], note: str = ""
) -> None:
    """Writes the HParams configuration: columns, their types and the values or ranges that occur, for its filters."""
    from tensorboard.plugins.hparams import api_pb2, metadata

    values: dict[str, list[Any]] = {}
    for search, trials in searches.items():
        for record in trials:
            for name, value in _session_values(record, search).items():
                values.setdefault(name, []).append(value)
    records = [record for trials in searches.values() for record in trials]
    experiment = api_pb2.Experiment(
        description=f"mammo-search: {len(records)} trials"
        f"{'; classes ' if class_names else ''}{', '.join(class_names)}. "
        f"{f'The search was {note}. ' if note else ''}"
        "Objectives are cross-validated, selected and therefore optimistic.",
        hparam_infos=[_hparam_info(name, column) for name, column in values.items()],
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=tag),
                display_name=tag,
                description=text,
                dataset_type=api_pb2.DATASET_TRAINING if tag == "loss" else api_pb2.DATASET_VALIDATION,
            )
            for tag, text in METRICS.items()
        ],
        time_created_secs=min((_seconds(record.started) for record in records), default=0.0),
    )
    _write_events(
        directory, [_plugin_event(metadata.EXPERIMENT_TAG, experiment.time_created_secs, experiment=experiment)]
    )


def _write_trial(record: TrialRecord, directory: Path, *, search: str = "") -> None:
    """Writes one trial's session and curves; a failed one has a session with its status and no curves."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    start = _seconds(record.started)
    end = start + record.seconds
    session = plugin_data_pb2.SessionStartInfo(group_name=_session_name(record.trial, search), start_time_secs=start)
    for name, value in _session_values(record, search).items():
        kind = "string_value" if isinstance(value, str) else "number_value"
        setattr(session.hparams[name], kind, value)
    status = api_pb2.STATUS_SUCCESS if record.status == "completed" else api_pb2.STATUS_FAILURE
    events = [_plugin_event(metadata.SESSION_START_INFO_TAG, start, session_start_info=session)]
    for tag, folds in record.curves.items():
        events += _curve_events(tag, [statistics.fmean(column) for column in zip(*folds, strict=True)], start, end)
        for number, fold in enumerate(folds, start=1):
            events += _curve_events(f"{tag}/fold_{number}", fold, start, end)
    for tag in ("objective", "best_epoch", "backbone_learning_rate", "seconds"):
        if (result := getattr(record, tag)) is not None:
            events.append(_scalar_event(tag, float(result), record.epochs, end))
    finish = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=end)
    events.append(_plugin_event(metadata.SESSION_END_INFO_TAG, end, session_end_info=finish))
    _write_events(directory / f"trial_{record.trial:04d}", events)


def write_final(figures: Mapping[str, Path], text: str, directory: Path, *, created: str = "") -> None:
    """Writes the figures and a summary of the exported model.

    Args:
        figures: Name to PNG file, for example from `reports.figures.write_figures`.
        text: Markdown, for example the model card.
        directory: TensorBoard's ``--logdir``.
        created: When the model was evaluated, ISO 8601 with time zone.

    Raises:
        ReportError: If a figure is no PNG file.
    """
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.text.summary_v2 import text_pb

    when = _seconds(created)
    events = [event_pb2.Event(wall_time=when, step=0, summary=text_pb("summary", text))]
    for name, path in figures.items():
        content = path.read_bytes()
        if not content.startswith(PNG_SIGNATURE):
            raise ReportError(expected=f"a PNG file as {path}", found="other content", remedy="Draw the figure again.")
        width, height = struct.unpack(">II", content[16:24])
        channels = PNG_CHANNELS.get(content[25], 4)
        image = summary_pb2.Summary.Image(width=width, height=height, colorspace=channels, encoded_image_string=content)
        value = summary_pb2.Summary.Value(tag=name, image=image)
        events.append(event_pb2.Event(wall_time=when, step=0, summary=summary_pb2.Summary(value=[value])))
    _write_events(directory / "final", events)


def _session_values(record: TrialRecord, search: str) -> dict[str, int | float | str]:
    lineage = {name: getattr(record, name.removeprefix("lineage/")) for name in LINEAGE}
    parent = "none" if record.parent is None else _session_name(record.parent, search)
    return {**record.hyperparameters, **lineage, "lineage/parent": parent}


def _session_name(trial: int, search: str) -> str:
    """With zeros in front, for TensorBoard sorts its table as text; sessions of one name it takes for repetitions."""
    return f"{search} trial {trial:03d}".lstrip()


def _hparam_info(name: str, column: Sequence[Any]) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    info = api_pb2.HParamInfo(name=name, display_name=name, description=LINEAGE.get(name, ""))
    # TensorBoard puts these first, and shows the first five columns by itself: what was searched, not the lineage.
    info.differs = name not in LINEAGE
    if all(isinstance(value, int | float) for value in column):
        info.type = api_pb2.DATA_TYPE_FLOAT64
        distinct = sorted({float(value) for value in column})
        # A short list of values is a better filter than a range; a continuous hyperparameter has no short list.
        if len(distinct) <= 6:
            info.domain_discrete.extend(distinct)
        else:
            info.domain_interval.min_value, info.domain_interval.max_value = distinct[0], distinct[-1]
    else:
        info.type = api_pb2.DATA_TYPE_STRING
        info.domain_discrete.extend(sorted({str(value) for value in column}))
    return info


def _curve_events(tag: str, curve: Iterable[float], start: float, end: float) -> list[Any]:
    points = list(curve)
    return [
        _scalar_event(tag, value, epoch, start + (end - start) * epoch / len(points))
        for epoch, value in enumerate(points, start=1)
        # TensorBoard draws NaN as a gap but its HParams table reads it as a value.
        if math.isfinite(value)
    ]


def _scalar_event(tag: str, value: float, step: int, wall_time: float) -> Any:
    from tensorboard.compat.proto import event_pb2
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    return event_pb2.Event(wall_time=wall_time, step=step, summary=scalar_pb(tag, value))


def _plugin_event(tag: str, wall_time: float, **content: Any) -> Any:
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**content))
    value = summary_pb2.Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
    return event_pb2.Event(wall_time=wall_time, summary=summary_pb2.Summary(value=[value]))


def _write_events(directory: Path, events: Sequence[Any]) -> None:
    from tensorboard.compat.proto import event_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    stream = io.BytesIO()
    writer = RecordWriter(stream)
    first = events[0].wall_time if events else 0.0
    for event in [event_pb2.Event(wall_time=first, file_version="brain.Event:2"), *events]:
        writer.write(event.SerializeToString())
    write_atomically(directory / EVENT_FILE, stream.getvalue())


def _seconds(started: str) -> float:
    return datetime.fromisoformat(started).timestamp() if started else 0.0
