"""The search in TensorBoard: curves of every trial and fold, and an HParams table, best first.

Layout, one TensorBoard run a directory:

    DIR/trial 03, 30 epochs, depth 1, …/   a trial: objective and means over folds as curves/val_macro_auc, those
                                           of a fold as folds/val_macro_auc/fold_1; its row of the table
    DIR/final/                             the exported model: figures as images, held-out metrics, a summary as text

A trial has the same number in every table and log. In the name of its run the first of its hyperparameters follow, for
the page of curves shows nothing but names, some 16 letters of them in a line. That page opens the first two groups of
tags by name, curves and figures, and the first curve is the objective. Folds are tags and not runs of their own, for
the pages of images and texts come up empty where there are more than 40 runs, and the default search has 38. What
describes the whole table lies in the best trial's run: a run of its own would be one without curves.

TensorBoard can be told neither an order of rows nor how to show a number. It sorts rows by name and shows every number
to five digits. So the name of a row has spaces before it, which a browser doesn't show, the more the better the trial
is; and a whole number is text, with spaces before it that make 64 stand before 128.

Steps are epochs, from 1. Event files have a fixed name and are replaced whole, so that writing twice doesn't show
every point twice. Only TensorBoard's own protos and record writer are used; TensorFlow is not imported.
"""

from __future__ import annotations

import contextlib
import io
import math
import statistics
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from reports.errors import ReportError
from reports.files import write_atomically
from reports.page.words import hyperparameter_text, reading_order, short_name, value_of
from reports.trials import TrialRecord, standing

EVENT_FILE = "events.out.tfevents.0000000000.mammo-search"
FINAL = "final"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Channels by a PNG file's colour type (ISO/IEC 15948, table 11.1)."""

FACTS = {
    "best_epoch": "Best epoch of the mean curve",
    "status": "completed or failed",
    "configuration": "Number of the configuration; trials of a promotion share it",
    "bracket": "Bracket in the order of the plan, from 0",
    "rung": "Rung in the bracket, from 0",
    "initial_epoch": "Epochs already trained by the parent",
    "parent": "The trial that this one continues",
    "backbone_learning_rate": "Peak learning rate of the unfrozen backbone",
}
"""What the table has of a trial beside its hyperparameters and its epochs."""

BUDGET = "budget"
"""The epochs' name among the columns, which stand in the order of their names: before those of hyperparameters."""

METRICS = {
    "curves/objective": "Objective: mean over the folds at the end of the trial (selected, optimistic)",
    "curves/val_balanced_accuracy": "Validation balanced accuracy, mean over the folds",
    "curves/val_loss": "Validation loss, mean over the folds",
    "curves/train_loss": "Training loss, mean over the folds",
    "seconds": "Wall time of the trial in seconds",
    "curves/val_macro_auc": "Validation macro one-vs-rest AUC, mean over the folds",
}
"""In the table's order; the first five are shown."""

_MOST_COLUMNS = 5  # of hyperparameters; TensorBoard shows that many, whatever it is told

_MOST_NAMED = 3  # hyperparameters in a name

_LONGEST_NAME = 200  # bytes of a folder's name may be 255


@dataclass(frozen=True)
class _Row:
    """A trial under its name, which has the search's before it, and what the table has of it."""

    record: TrialRecord
    name: str
    values: dict[str, Any]

    @property
    def folder(self) -> str:
        """The name of its run."""
        values = self.record.hyperparameters
        # Text and unknown names are left out: what others have written must not lead to another folder.
        shown = [
            name
            for name in reading_order(values)
            if name.isascii() and name.isidentifier() and not isinstance(values[name], str)
        ]
        parts = [
            self.name,
            f"{self.record.epochs} epochs",
            *(f"{short_name(name)} {hyperparameter_text(values[name])}" for name in shown[:_MOST_NAMED]),
        ]
        return ", ".join(parts)[:_LONGEST_NAME]


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
    write_searches({"": records}, directory, class_names=class_names, note=note)


def write_searches(
    searches: Mapping[str, Sequence[TrialRecord]], directory: Path, *, class_names: Sequence[str] = (), note: str = ""
) -> None:
    """Writes several searches into one folder, with one HParams table for all, replacing what an earlier call wrote.

    Args:
        searches: Name to trials; it stands before their names, as a folder.
        directory: TensorBoard's ``--logdir``.
        class_names: As for one search.
        note: As for one search.
    """
    rows = [row for search, records in searches.items() for row in _rows(search, records)]
    rows.sort(key=lambda row: standing(row.record))
    shown = _whole_numbers_as_text([row.values for row in rows])
    for place, (row, values) in enumerate(zip(rows, shown, strict=True)):
        events = _trial_events(row, values, spaces=len(rows) - 1 - place)
        if place == 0:
            events.insert(0, _experiment_event(rows, shown, class_names=class_names, note=note))
        _write_events(directory / row.folder, events)
    _delete_others(directory, {directory / row.folder for row in rows})


def _rows(search: str, records: Sequence[TrialRecord]) -> list[_Row]:
    digits = max(2, *(len(str(record.trial)) for record in records)) if records else 2
    before = f"{search}/" if search else ""

    def named(trial: int) -> str:
        return f"{before}trial {trial:0{digits}d}"

    rows = []
    for record in records:
        facts = {name: getattr(record, name) for name in FACTS}
        facts["parent"] = "none" if record.parent is None else named(record.parent)
        known = {f"trial/{name}": value for name, value in facts.items() if value is not None}
        rows.append(_Row(record, named(record.trial), {BUDGET: record.epochs, **record.hyperparameters, **known}))
    return rows


def _whole_numbers_as_text(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    widths = {
        name: max(len(str(value)) for value in column)
        for name, column in columns.items()
        if all(isinstance(value, int) for value in column)
    }
    return [
        {name: f"{value:>{widths[name]}}" if name in widths else value for name, value in row.items()} for row in rows
    ]


def _experiment_event(
    rows: Sequence[_Row], shown: Sequence[Mapping[str, Any]], *, class_names: Sequence[str], note: str
) -> Any:
    """The HParams configuration: columns, their types and the values or ranges that occur, for its filters."""
    from tensorboard.plugins.hparams import api_pb2, metadata

    columns: dict[str, list[Any]] = {}
    for values in shown:
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    searched = {name for row in rows for name in row.record.hyperparameters if len(set(columns[name])) > 1}
    first = {BUDGET, *reading_order(searched)[: _MOST_COLUMNS - 1]}
    created = min(_seconds(row.record.started) for row in rows)
    experiment = api_pb2.Experiment(
        description=f"mammo-search: {len(rows)} trials"
        f"{'; classes ' if class_names else ''}{', '.join(class_names)}. "
        f"{f'The search was {note}. ' if note else ''}"
        "Objectives are cross-validated, selected and therefore optimistic.",
        hparam_infos=[_hparam_info(name, column, first=name in first) for name, column in columns.items()],
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=tag),
                display_name=tag.removeprefix("curves/"),
                description=text,
                dataset_type=api_pb2.DATASET_TRAINING if tag == "curves/train_loss" else api_pb2.DATASET_VALIDATION,
            )
            for tag, text in METRICS.items()
        ],
        time_created_secs=created,
    )
    return _plugin_event(metadata.EXPERIMENT_TAG, created, experiment=experiment)


def _trial_events(row: _Row, values: Mapping[str, Any], *, spaces: int) -> list[Any]:
    """A trial's session and curves; a failed one has a session with its status and no curves."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    record = row.record
    start = _seconds(record.started)
    end = start + record.seconds
    session = plugin_data_pb2.SessionStartInfo(group_name=" " * spaces + row.name, start_time_secs=start)
    for name, value in values.items():
        kind = "string_value" if isinstance(value, str) else "number_value"
        setattr(session.hparams[name], kind, value)
    status = api_pb2.STATUS_SUCCESS if record.status == "completed" else api_pb2.STATUS_FAILURE
    events = [_plugin_event(metadata.SESSION_START_INFO_TAG, start, session_start_info=session)]
    for curve, folds in record.curves.items():
        tag = "train_loss" if curve == "loss" else curve
        events += _curve_events(
            f"curves/{tag}", [statistics.fmean(column) for column in zip(*folds, strict=True)], start, end
        )
        for number, fold in enumerate(folds, start=1):
            events += _curve_events(f"folds/{tag}/fold_{number}", fold, start, end)
    for tag, result in (("curves/objective", record.objective), ("seconds", record.seconds)):
        if result is not None:
            events.append(_scalar_event(tag, result, record.epochs, end))
    finish = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=end)
    events.append(_plugin_event(metadata.SESSION_END_INFO_TAG, end, session_end_info=finish))
    return events


def _delete_others(directory: Path, written: set[Path]) -> None:
    """Delete the runs of trials that an earlier call, or an earlier version, has written and this one has not."""
    for path in list(directory.rglob(EVENT_FILE)):
        if path.parent not in written and path.parent.name != FINAL:
            path.unlink()
            with contextlib.suppress(OSError):  # there is something else in it
                path.parent.rmdir()


def write_final(
    figures: Mapping[str, Path],
    text: str,
    directory: Path,
    *,
    metrics: Mapping[str, Any] | None = None,
    created: str = "",
) -> None:
    """Writes metrics, figures and a summary of the exported model.

    Args:
        figures: Name to PNG file, for example from `reports.figures.write_figures`.
        text: Markdown, for example the model card.
        directory: TensorBoard's ``--logdir``.
        metrics: Name to an entry of metrics.json; one that is not defined is left out.
        created: When the model was evaluated, ISO 8601 with time zone.

    Raises:
        ReportError: If a figure is no PNG file.
    """
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.plugins.text.summary_v2 import text_pb

    when = _seconds(created)
    events = [event_pb2.Event(wall_time=when, step=0, summary=text_pb("summary", text))]
    for name, metric in (metrics or {}).items():
        if (value := value_of(metric)) is not None:
            events.append(_scalar_event(f"held_out/{name}", value, 0, when))
    for name, path in figures.items():
        content = path.read_bytes()
        if not content.startswith(PNG_SIGNATURE):
            raise ReportError(expected=f"a PNG file as {path}", found="other content", remedy="Draw the figure again.")
        width, height = struct.unpack(">II", content[16:24])
        channels = PNG_CHANNELS.get(content[25], 4)
        image = summary_pb2.Summary.Image(width=width, height=height, colorspace=channels, encoded_image_string=content)
        picture = summary_pb2.Summary.Value(tag=f"figures/{name}", image=image)
        events.append(event_pb2.Event(wall_time=when, step=0, summary=summary_pb2.Summary(value=[picture])))
    _write_events(directory / FINAL, events)


def _hparam_info(name: str, column: Sequence[Any], *, first: bool) -> Any:
    from tensorboard.plugins.hparams import api_pb2

    fact = name.removeprefix("trial/")
    text = "Epochs trained: objectives compare between equal ones only" if name == BUDGET else FACTS.get(fact, "")
    info = api_pb2.HParamInfo(name=name, display_name="epochs" if name == BUDGET else fact, description=text)
    info.differs = first  # what TensorBoard calls so it puts first
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
