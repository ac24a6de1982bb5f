"""Was the search worth it, and was there enough of what it used: sentences whose every figure is in metrics.json.

What is compared was fixed before any figure was known: the winner with the linear probe and with the fixed
configuration, by the primary endpoint; better is what has an interval of the difference that leaves out 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.evaluation.baselines import RIVALS
from reports.page.words import number, signed, value_of

_SAME = 0.0005
"""Smaller differences read as none at three digits."""


def worth_verdict(metrics: Mapping[str, Any]) -> str:
    """What the held-out differences say; "" where metrics.json has none."""
    rivals = {each["name"]: each["difference"]["primary_auc"] for each in metrics.get("baselines", ())}
    rivals = {name: found for name, found in rivals.items() if name in RIVALS}
    if not rivals:
        return ""
    count = metrics["n_patients"]
    nested = metrics.get("protocol") == "nested"
    whom = f"On all {count} women, each left out once," if nested else f"On the {count} held-out women"
    found = " and ".join(_difference(name, difference) for name, difference in rivals.items())
    return f"{whom} the winner's AUC of {metrics['primary_endpoint']} is {found}: {_conclusion(rivals)}."


def _difference(name: str, found: Mapping[str, Any]) -> str:
    value = value_of(found)
    if value is None:
        return f"not to be compared with the {name}'s, as one of them is not defined"
    size = f"{number(abs(value), 3)} {'higher' if value > 0 else 'lower'} than"
    text = f"{size if abs(value) >= _SAME else 'equal to'} the {name}'s"
    if found["lower"] is None:
        return f"{text} (no interval)"
    return f"{text} (95 % interval {number(found['lower'], 3)} to {number(found['upper'], 3)})"


def _conclusion(rivals: Mapping[str, Mapping[str, Any]]) -> str:
    sides = {name: side_of(found) for name, found in rivals.items()}
    better, worse, apart = ([f"the {name}" for name, side in sides.items() if side == at] for at in (1, -1, 0))
    if worse:
        return f"no, {' and '.join(worse)} did better"
    if not apart:
        return "yes"
    if not better:
        return "the data can't tell them apart"
    return f"better than {' and '.join(better)}, and the data can't tell it from {' and '.join(apart)}"


def side_of(difference: Mapping[str, Any]) -> int:
    """1 where the interval of a difference lies above 0, −1 where below it, 0 where it does neither."""
    if difference["lower"] is None:
        return 0
    return int(difference["lower"] > 0) - int(difference["upper"] < 0)


def enough_words(metrics: Mapping[str, Any]) -> list[str]:
    """A sentence on the number of trials and one on the number of women, each where metrics.json has its curve."""
    curves = metrics.get("enough", {})
    trials, patients = curves.get("by_trials", ()), curves.get("by_patients", ())
    found = []
    if trials:
        shown = {at: trials[at - 1]["macro_ovr_auc"] for at in sorted({1, -(-len(trials) // 2), len(trials)})}
        scores = _listed([f"{number(value_of(score), 3)} after {at}" for at, score in shown.items()])
        found.append(
            f"Enough trials? Corrected for the choice, the best of the full-budget trials had an out-of-fold macro AUC "
            f"of {scores}."
        )
    if patients:
        scores = _listed(
            [f"{number(value_of(point['macro_ovr_auc']), 3)} with {point['patients']:.0f}" for point in patients]
        )
        before, after = (value_of(point["macro_ovr_auc"]) for point in (patients[-2:][0], patients[-1]))
        last = "" if before is None or after is None else f"; the last step gave {signed(after - before, 3)}"
        found.append(f"Enough women? The linear probe's was {scores} of them in training{last}.")
    return found


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
