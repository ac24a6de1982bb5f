"""What the figures of a report say, in one sentence each, without a medical claim.

The codes of MIAS in words (``Info.txt`` of the database), for whoever does not know them by heart.

Names of the columns in each cell of a table, for screens too narrow for a table.

A phone shows a row of a table of class ``cards`` as a block of "name value" pairs (see ``report.css``), and style
sheets can take the name from an attribute of the cell only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

ABNORMALITIES = {
    "CALC": "calcification",
    "CIRC": "circumscribed mass",
    "SPIC": "spiculated mass",
    "ARCH": "architectural distortion",
    "ASYM": "asymmetry",
    "MISC": "other, ill-defined mass",
}
TISSUES = {"F": "fatty", "G": "fatty-glandular", "D": "dense-glandular"}
_TABLE = re.compile(r'<table class="[^"]*\bcards\b.*?</table>', re.DOTALL)
_BODY = re.compile(r"(?<=<tbody>).*?(?=</tbody>)", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
_HEAD = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
_CELL = re.compile(r"<(t[dh])\b")


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


def abnormality(code: str) -> str:
    """A kind of finding in words; what is no code of MIAS stays as it is."""
    return ABNORMALITIES.get(code, code)


def tissue(code: str) -> str:
    """A background tissue in words with its code, for other data sets use the same letters in another sense."""
    return f"{TISSUES[code]} ({code})" if code in TISSUES else code


def slice_title(group: str, level: str) -> str:
    """A subgroup's name, for example "tissue: fatty (F)".

    Args:
        group: "tissue", "abnormality", "radius" or "other breast".
        level: Value within the group.
    """
    words = {"tissue": tissue, "abnormality": abnormality}.get(group, str)(level)
    return "both breasts of affected women" if group == "other breast" else f"{group}: {words}"


def with_column_names(html: str) -> str:
    """Gives each cell of the tables of class ``cards`` the name of its column as ``data-column``.

    Args:
        html: A document whose tables have one row of heads, and neither nested tables nor spanning cells.
    """
    return _TABLE.sub(lambda table: _labelled(table.group()), html)


def _labelled(table: str) -> str:
    head, _, _ = table.partition("</thead>")
    names = [re.sub(r"<[^>]*>", "", text).strip().replace('"', "&quot;") for text in _HEAD.findall(head)]
    return _BODY.sub(lambda body: _ROW.sub(lambda row: _row(row.group(), names), body.group()), table)


def _row(row: str, names: Sequence[str]) -> str:
    columns = iter(names)
    return _CELL.sub(lambda cell: f'<{cell.group(1)} data-column="{next(columns)}"', row)
