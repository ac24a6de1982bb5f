"""Words for what a run found: numbers, intervals, durations, times, hyperparameters, and verdicts of one sentence.

One text of each, on the page and on the screen; a verdict makes no medical claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from reports.trials import TrialRecord, objective_sd

_NAMED_RUNS = 5
_SHORT_NAMES = {"unfreeze_depth": "depth", "head_width": "width", "learning_rate": "lr"}

HYPERPARAMETERS = {
    "unfreeze_depth": "blocks (residual units) at the end of the network that are trained; 0 is the head alone",
    "head_width": "units of the layer between the network and its answer",
    "dropout": "share of the head's units that are switched off by chance in training",
    "l2": "penalty on large weights",
    "learning_rate": "how far a training step goes at most",
}
"""What the hyperparameters of a search are, in a few words."""


def value_of(metric: Any) -> float | None:
    """The point estimate of an entry of metrics.json, with or without limits."""
    return metric.get("value") if isinstance(metric, Mapping) else metric


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign, or "not defined"."""
    return "not defined" if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """A difference with its sign, or "not defined"."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value >= 0 else text


def range_text(metric: Any, digits: int = 2) -> str:
    """The interval of an entry of metrics.json alone: "[0.71, 0.93]", or "no interval"."""
    lower = metric.get("lower") if isinstance(metric, Mapping) else None
    return "no interval" if lower is None else f"[{number(lower, digits)}, {number(metric['upper'], digits)}]"


def interval_text(metric: Any, digits: int = 3) -> str:
    """An entry of metrics.json with its interval: "0.584 [0.382, 0.762]", "0.584 no interval", "not defined"."""
    value = value_of(metric)
    return number(value, digits) + ("" if value is None else f" {range_text(metric, digits)}")


def intervals_made_how(metrics: Mapping[str, Any]) -> str:
    """A sentence about how the intervals of metrics.json were made; "" where an old file doesn't say."""
    how = metrics.get("intervals")
    if how is None:
        return ""
    if how["method"] != "jackknife":  # as versions before 2 wrote them
        return f"Intervals: 95 %, bootstrap over patients, {how['resamples']} resamples."
    dealt = ", within the classes that the split has dealt out" if how["strata"] else ""
    return (
        f"Intervals: 95 %, from leaving out one woman at a time with all her images{dealt}. Where no woman moves a "
        "figure: exact limits that count independent women. A figure without an interval has none that holds the truth "
        "often enough in small sets."
    )


def intervals_leave_out(metrics: Mapping[str, Any]) -> str:
    """What the intervals of metrics.json don't hold, with the spread over the final seeds where it has one."""
    scores = [value for value in metrics.get("final_seeds", {}).get("primary_auc", ()) if value is not None]
    spread = ""
    if len(scores) > 1:
        found = f"from {number(min(scores), 3)} to {number(max(scores), 3)}"
        spread = f" ({len(scores)} seeds gave an AUC of {metrics['primary_endpoint']} {found})"
    return (
        f"Intervals are over women alone: what another seed of the training{spread}, another split or another reader "
        "of the films would change is not in them."
    )


def metric_titles(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The metrics that a screen shows, in its order: name in metrics.json to what a reader calls it.

    Args:
        metrics: The content of metrics.json.
    """
    return {
        "primary_auc": f"{metrics['primary_endpoint']}, AUC",
        "abnormal_auc": f"abnormal versus {metrics['class_names'][0]}, AUC",
        "macro_ovr_auc": "macro one-vs-rest AUC",
        "balanced_accuracy": "balanced accuracy",
        "brier": "Brier score",
        "log_loss": "log loss",
        "classwise_ece": "class-wise calibration error",
        "calibration_intercept": f"calibration in the large, {metrics['class_names'][-1]}",
        "calibration_slope": f"calibration slope, {metrics['class_names'][-1]}",
    }


def duration(seconds: float) -> str:
    """A time span in at most two units, for example "1 min 20 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    hours, rest = divmod(whole, 3600)
    if hours < 24:
        return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def rounded(seconds: float) -> str:
    """A duration that says no more than is known: to ten seconds, beyond five minutes to half a one, and so on."""
    if seconds < 20:
        return duration(max(1.0, seconds))
    step = 10 if seconds < 300 else 30 if seconds < 600 else 60 if seconds < 3600 else 600
    return duration(max(step, round(seconds / step) * step))


def short_duration(seconds: float) -> str:
    """A time span in one unit and at most six characters, for tables: "0.8 s", "12 s", "18 min", "3.1 h"."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def moment(text: str) -> str:
    """An ISO 8601 time as "1 March 2030, 14:05 UTC"; other text as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()


def hyperparameter_text(value: float | str | None) -> str:
    """A hyperparameter in as few characters as tell it apart; a float to three digits."""
    if value is None:
        return "–"
    return f"{value:.3g}".replace("e-0", "e-") if isinstance(value, float) else str(value)


def short_name(hyperparameter: str) -> str:
    """What a hyperparameter is called where there is little room."""
    return _SHORT_NAMES.get(hyperparameter, hyperparameter)


def reading_order(hyperparameters: Iterable[str]) -> list[str]:
    """Names of hyperparameters in the order of every table: depth, width and learning rate first."""
    order = list(_SHORT_NAMES)
    return sorted(hyperparameters, key=lambda name: (order.index(name) if name in order else len(order), name))


def epochs_text(initial_epoch: int, epochs: int) -> str:
    """The epochs that a trial trains: "4" from the beginning, "4-10" where it goes on."""
    return f"{initial_epoch}-{epochs}" if initial_epoch else str(epochs)


def objective_text(record: TrialRecord) -> str:
    """A trial's objective with the standard deviation over the folds: "0.584 ±0.031"; "" without an objective."""
    if record.objective is None:
        return ""
    deviation = objective_sd(record)
    return f"{record.objective:.3f}" + (f" ±{deviation:.3f}" if deviation is not None else "")


def readings_text(times: int, others: Mapping[str, Any] | None) -> str:
    """How often held-out patients were read: "once under this split; …".

    Args:
        times: Readings under this split, this one included.
        others: ``other_splits`` of metrics.json: under how many other splits the same data set was read, by which runs,
            and how many readings do not say of which data set; None where an older version has not written it down.
    """
    text = "once" if times == 1 else f"{times} times"
    if others and (count := others["splits"]):
        runs = list(others["runs"])
        named = ", ".join(runs[:_NAMED_RUNS]) + (f" and {len(runs) - _NAMED_RUNS} more" if runs[_NAMED_RUNS:] else "")
        text += f" under this split; the same data set was read under {count} other split{'s' if count > 1 else ''}"
        text += f" (run{'s' if runs[1:] else ''} {named})"
    if others and (unknown := others["unknown"]):
        text += f"; {unknown} older reading{'s' if unknown > 1 else ''} under other splits may be of the same data set"
    return text


def primary_verdict(metrics: Mapping[str, Any]) -> str:
    """What the interval of the primary endpoint says."""
    ranks = "models rank" if metrics.get("protocol") == "nested" else "model ranks"
    primary = metrics["primary_auc"]
    lower = primary.get("lower") if isinstance(primary, Mapping) else None
    if value_of(primary) is None:
        return "The primary endpoint is not defined on these patients, so this run answers nothing about it."
    if lower is None:
        return "The value has no interval, so this run does not tell it from chance."
    if lower > 0.5:
        return f"The interval lies above 0.5: on these patients the {ranks} better than chance."
    if primary["upper"] < 0.5:
        return f"The interval lies below 0.5: on these patients the {ranks} worse than chance. Look for a mistake."
    return f"The interval contains 0.5: this run does not show that the {ranks} better than chance."


def localisation_verdict(metrics: Mapping[str, Any]) -> str:
    """What the pointing game says."""
    game = metrics.get("localisation")
    if game is None:
        return ""
    lower = game["all"]["map_over_random"]["lower"]
    if lower is not None and lower > 0:
        return "The interval of the difference lies above 0: the map points at lesions more often than chance."
    return "The interval of the difference contains 0 or lies below it: these images do not show that it looks there."


def calibration_verdict(metrics: Mapping[str, Any]) -> str:
    """Whether the correction has helped those it was not made on."""
    calibration = metrics.get("calibration") or {}
    before, after = (value_of(calibration.get(side, {}).get("log_loss")) for side in ("uncorrected", "corrected"))
    if before is None or after is None:
        return ""
    if after <= before:
        return "On the held-out patients it lowers the log loss."
    return (
        "On the held-out patients it does not lower the log loss: what fits the fold models does not fit the exported "
        "one, which is trained on all development patients."
    )


def outer_convergence(metrics: Mapping[str, Any]) -> str:
    """Of how many outer searches of a nested run the winner has converged; "" of another run."""
    counts = metrics.get("convergence", {}).get("outer_searches")
    if counts is None:
        return ""
    untold = f" (it can't be told of {counts['not_told']})" if counts["not_told"] else ""
    return f"The winners of {counts['converged']} of {sum(counts.values())} outer searches have converged{untold}."
