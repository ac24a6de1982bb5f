"""The answer of a run in sentences that need no statistics, and what speaks for and against believing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reports.evaluation.baselines import RIVALS
from reports.page.run_summary import RunSummary
from reports.page.words import number, outer_convergence, primary_verdict, readings_text, value_of
from reports.page.worth import side_of, worth_verdict

State = Literal["pass", "warn", "fail", "open"]


@dataclass(frozen=True)
class Check:
    """One reason to believe an answer, or not to.

    Attributes:
        state: Whether it speaks for it ("pass"), asks for care ("warn"), against it ("fail"), or is not known.
        text: One or two sentences.
    """

    state: State
    text: str


def headline(run: RunSummary) -> str:
    """How many women with the worst finding were found, and at the price of how many false alarms."""
    metrics, point = run.metrics, _point(run.metrics)
    if value_of(metrics["primary_auc"]) is None:
        missing = "has" if not metrics["class_counts"][metrics["class_names"][-1]] else "is without"
        return f"No answer: none of these women {missing} {_finding(metrics)}."
    if point is None or not point["positives"] or not point["negatives"]:
        pairs = number(100 * (value_of(metrics["primary_auc"]) or 0), 0)
        return f"In {pairs} of 100 pairs the image with {_finding(metrics)} scores higher than the one without."
    ill, found = _counted(point["positives"], "woman", "women"), point["true_positives"]
    alarms, others = _counted(point["false_positives"], "false alarm"), _counted(point["negatives"], "other")
    was = "was" if found == 1 else "were"
    return f"Of {ill} with {_finding(metrics)}, {found} {was} found, with {alarms} among {others}."


def behind_it(run: RunSummary) -> str:
    """Who these women are, and what "found" means."""
    metrics, point = run.metrics, _point(run.metrics)
    nested, part = run.protocol == "nested", "crops" if run.mode == "roi" else "images"
    who = (
        "Each woman was left out of one whole search, and judged by the model that it found."
        if nested
        else "These women were set aside before the search, and looked at only after it."
    )
    if point is None:
        return who
    aim, finding = number(100 * point["target_specificity"], 0), _finding(metrics)
    given = " The crops were cut where a finding is known to be, an easier task than whole films." * (run.mode == "roi")
    return (
        f"{who} Found: at least one of her {part} scores above a threshold, which was chosen on other women so that "
        f"{aim}\u00a0% of {part} without {finding} stay below it.{given}"
    )


def auc_in_words(metrics: Mapping[str, Any]) -> str:
    """What the primary AUC is, with its own value; "" where it is not defined."""
    value = value_of(metrics["primary_auc"])
    if value is None:
        return ""
    return (
        f"AUC: of an image with {_finding(metrics)} and one without, the first has the higher score in "
        f"{number(100 * value, 0)} of 100 pairs; guessing gives 50, which is an AUC of 0.50. Interval: limits made "
        "like these hold the true value in 95 of 100 studies."
    )


def conclusions(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Baseline to whether the winner is better than it, as far as the data tell."""
    words = {1: "yes", 0: "can't be told", -1: "no, worse"}
    return {each["name"]: words[side_of(each["difference"]["primary_auc"])] for each in metrics.get("baselines", ())}


def checks(run: RunSummary) -> list[Check]:
    """What a reader has to know before believing the answer, the most important first."""
    found = [
        _precision(run),
        _worth(run.metrics),
        *_threshold(run),
        _reading(run),
        *_audit(run),
        _shuffled(run),
    ]
    if (convergence := run.metrics.get("convergence")) is not None:
        states: dict[bool | None, State] = {True: "pass", False: "warn", None: "open"}
        said = (convergence["sentence"], convergence.get("diagnosis"), outer_convergence(run.metrics))
        found.append(Check(states[convergence["converged"]], " ".join(filter(None, said))))
    return found


def _precision(run: RunSummary) -> Check:
    metrics, part = run.metrics, "crops" if run.mode == "roi" else "images"
    primary, verdict = metrics["primary_auc"], primary_verdict(metrics)
    lower = primary.get("lower") if isinstance(primary, Mapping) else None
    if lower is None:
        return Check("fail", verdict)
    worst = metrics["class_names"][-1]
    text = (
        f"How precise? The interval is {number(primary['upper'] - lower)} wide: there are {metrics['n']} {part}, "
        f"{metrics['class_counts'][worst]} of them {worst}. {verdict}"
    )
    return Check("pass" if lower > 0.5 else "fail" if primary["upper"] < 0.5 else "warn", text)


def _worth(metrics: Mapping[str, Any]) -> Check:
    verdict = worth_verdict(metrics)
    if not verdict:
        return Check("open", "Better than a baseline? This run has trained none.")
    rivals = [each for each in metrics["baselines"] if each["name"] in RIVALS]
    sides = [side_of(each["difference"]["primary_auc"]) for each in rivals]
    state: State = "fail" if min(sides) < 0 else "warn" if 0 in sides else "pass"
    said = verdict.replace("95 %", "95\u00a0%")
    return Check(state, f"Better than a baseline? {said}")


def _threshold(run: RunSummary) -> list[Check]:
    """Whether the threshold of the headline does on these images what it was chosen for; nothing without one."""
    metrics = run.metrics
    point = _first(metrics.get("operating_points", ()), metrics["primary_endpoint"])
    if point is None or value_of(point["specificity"]) is None:
        return []
    aim, got = point["target_specificity"], point["specificity"]
    part = "crops" if run.mode == "roi" else "images"
    upper = got["upper"] if isinstance(got, Mapping) else None
    text = (
        f"Does the threshold keep its aim? It was to leave {100 * aim:.0f}\u00a0% of {part} without "
        f"{_finding(metrics)} below it; here it leaves {100 * (value_of(got) or 0):.0f}\u00a0%."
    )
    return [Check("warn" if upper is not None and upper < aim else "pass", text)]


def _reading(run: RunSummary) -> Check:
    others = run.metrics.get("other_splits")
    elsewhere = bool(others and others["splits"])
    who = "Each outer fold's patients" if run.protocol == "nested" else "Held-out patients"
    text = f"{who} evaluated {readings_text(run.holdout_readings, others)}."
    if run.holdout_readings <= 1 and not elsewhere:
        return Check("pass", text)
    split = ", or to another split," if elsewhere else ""
    return Check("warn", f"{text} Each look that led to a change{split} makes the figures above more optimistic.")


def _audit(run: RunSummary) -> list[Check]:
    if run.audit is None:
        return [Check("open", "No audit was made.")]
    asked = [result for result in run.audit.values() if result.passed is not None]
    passed = sum(bool(result.passed) for result in asked)
    state: State = "pass" if passed == len(asked) else "fail"
    text = f"Audit for leaks and for shortcuts in the pixels: {passed} of {len(asked)} questions came out well."
    failed = [(question, result.detail) for question, result in run.audit.items() if result.passed is False]
    return [Check(state, text), *(Check("fail", f"{question} {detail}") for question, detail in failed)]


def _shuffled(run: RunSummary) -> Check:
    null = run.permutation
    if null is None:
        return Check("open", "No label-permutation check was made.")
    mean = number(null.null_mean)
    if null.null_is_chance:
        return Check(
            "pass", f"With labels shuffled between patients nothing is left to find: AUC {mean}, as by chance."
        )
    return Check("fail", f"With labels shuffled between patients the AUC is {mean}, not 0.50: look for a leak.")


def _point(metrics: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The operating point of the headline, figures a woman; None where a run has none."""
    return _first(metrics.get("by_patient", {}).get("operating_points", ()), metrics["primary_endpoint"])


def _first(points: Sequence[Mapping[str, Any]], endpoint: str) -> Mapping[str, Any] | None:
    """That with the lowest aim of an endpoint; a user's own points are none of them."""
    own = [point for point in points if point["endpoint"] == endpoint and "asked" not in point]
    return min(own, key=lambda point: float(point["target_specificity"]), default=None)


def _finding(metrics: Mapping[str, Any]) -> str:
    worst = str(metrics["class_names"][-1])
    return "cancer" if worst == "malignant" else f"the label {worst}"


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"
