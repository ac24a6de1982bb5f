"""Plan of a configuration and of its protocol, in words and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from reports.trials import TrialRecord
from search.config.schema import Config, SearchSection
from search.errors import ConfigError, RunError
from search.plan.hyperband import HyperbandPlan, plan_hyperband, plan_without_promotions
from search.plan.space import Configuration, draw_configurations, known_configurations


def searches(config: Config) -> int:
    """Searches that the configured protocol makes."""
    return config.split.outer_folds + 1 if config.split.protocol == "nested" else 1


def search_shares(config: Config) -> list[float]:
    """The part of all images that each search of the configured protocol reads."""
    folds, split = config.split.outer_folds, config.split
    if split.protocol == "nested":
        return [*([(folds - 1) / folds] * folds), 1.0]
    return [1 - split.test_fraction]


def protocol_table(plan: HyperbandPlan, config: Config) -> dict[str, Any]:
    """`plan_table` of a search, and for the nested protocol an entry ``nested``: outer_folds, and totals."""
    table = plan_table(plan)
    if config.split.protocol == "nested":
        count = searches(config)
        totals = {"trials": count * plan.trials, "epochs": count * plan.epochs}
        table["nested"] = {"outer_folds": config.split.outer_folds, "searches": count, **totals}
    return table


def describe_protocol(plan: HyperbandPlan, config: Config) -> str:
    """The plan as lines of text, with the searches of the nested protocol."""
    text = describe_plan(plan)
    if config.split.protocol != "nested":
        return text
    count = searches(config)
    return (
        f"Nested: {count} searches of this plan, one for each of {config.split.outer_folds} outer folds on the other "
        f"folds' patients and one on all for the model: {count * plan.trials} trials, {count * plan.epochs} epochs\n"
        f"{text}"
    )


def planned_configurations(config: Config, plan: HyperbandPlan) -> dict[int, Configuration]:
    """The configurations that the plan will try, by number; none where they follow from scores."""
    if config.search.tuner == "bayesian":
        return {}
    drawn = draw_configurations(config.space, plan.configurations + plan.spares, seed=config.search.seed)
    return dict(enumerate(drawn))


def plan_run(config: Config) -> HyperbandPlan:
    """The plan that a run is going to carry out; each known configuration has a place in it.

    Raises:
        ConfigError: If there are more known configurations than the plan tries: the rest would wait as spares, or never
            be tried, without a word.
    """
    plan, known = plan_search(config.search), len(set(known_configurations(config.space)))
    if known > plan.configurations:
        raise ConfigError(
            expected=f"at most {plan.configurations} different configurations in space.known, as this plan tries",
            found=f"{known}",
            remedy="Raise --max-trials, or leave some out.",
        )
    return plan


def require_planned(records: Iterable[TrialRecord], plan: HyperbandPlan, config: Config) -> None:
    """Make sure that the trials of a run that goes on are the plan's: the search is rebuilt from them.

    Raises:
        RunError: If one is none of the plan's.
    """
    drawn = planned_configurations(config, plan)
    rungs = {(b, r): rung for b, bracket in enumerate(plan.brackets) for r, rung in enumerate(bracket.rungs)}
    for record in records:
        rung, planned = rungs.get((record.bracket, record.rung)), drawn.get(record.configuration)
        is_at_rung = rung is not None and (rung.initial_epoch, rung.epochs) == (record.initial_epoch, record.epochs)
        if not is_at_rung or (drawn and (planned is None or asdict(planned) != record.hyperparameters)):
            raise RunError(
                expected="trials of the run's plan in trials.jsonl",
                found=f"trial {record.trial}, which is none of it",
                remedy="Delete that line and all after it: these trials are then trained again.",
            )


def plan_fingerprint(plan: HyperbandPlan, config: Config) -> str:
    """SHA-256 (hex) of what a search is going to do: the plan, and the configurations that are drawn for it."""
    drawn = draw_configurations(config.space, plan.configurations + plan.spares, seed=config.search.seed)
    parts = [config.search.tuner, asdict(plan), [asdict(configuration) for configuration in drawn]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def plan_search(search: SearchSection) -> HyperbandPlan:
    """The plan that a configuration asks for."""
    if search.tuner == "hyperband":
        return plan_hyperband(search.max_trials, max_epochs=search.max_epochs, factor=search.factor)
    return plan_without_promotions(search.max_trials, max_epochs=search.max_epochs)


def plan_table(plan: HyperbandPlan) -> dict[str, Any]:
    """The plan as a JSON-able dict: totals, and a row a rung."""
    return {
        "max_trials": plan.max_trials,
        "trials": plan.trials,
        "configurations": plan.configurations,
        "spare_configurations": plan.spares,
        "epochs": plan.epochs,
        "full_budget_trials": plan.full_budget_trials,
        "max_epochs": plan.max_epochs,
        "factor": plan.factor,
        "rungs": [
            {"bracket": number, "rung": position, **asdict(rung)}
            for number, bracket in enumerate(plan.brackets)
            for position, rung in enumerate(bracket.rungs)
        ],
    }


def describe_plan(plan: HyperbandPlan) -> str:
    """The plan as lines of text."""
    kind = f"Hyperband, factor {plan.factor}" if plan.factor > 1 else "No promotions"
    lines = [
        f"{kind}: {_counted(plan.trials, 'trial')} of at most {plan.max_trials}, "
        f"{_counted(plan.configurations, 'configuration')}, {_counted(plan.epochs, 'epoch')}, "
        f"{_counted(plan.full_budget_trials, 'trial')} at the full {_counted(plan.max_epochs, 'epoch')}"
    ]
    for position, bracket in enumerate(plan.brackets):
        rungs = " → ".join(f"{rung.trials} × {_counted(rung.epochs, 'epoch')}" for rung in bracket.rungs)
        lines.append(f"  bracket {position}: {rungs}")
    return "\n".join(lines)
