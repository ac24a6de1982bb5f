"""What the figures of a report say, in one sentence each, without a medical claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def value_of(metric: Any) -> float | None:
    """The point estimate of an entry of metrics.json, with or without limits."""
    return metric.get("value") if isinstance(metric, Mapping) else metric


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
    calibration = metrics.get("calibration")
    if calibration is None:
        return ""
    before, after = (value_of(calibration[side]["log_loss"]) for side in ("uncorrected", "corrected"))
    if before is None or after is None:
        return ""
    if after <= before:
        return "On the held-out patients it lowers the log loss."
    return (
        "On the held-out patients it does not lower the log loss: what fits the fold models does not fit the exported "
        "one, which is trained on all development patients."
    )
