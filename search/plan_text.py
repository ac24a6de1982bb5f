"""The plan of a configuration, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search.config.schema import Config, SearchSection
from search.errors import ConfigError
from search.plan.hyperband import HyperbandPlan, plan_hyperband, plan_without_promotions
from search.plan.space import known_configurations

if TYPE_CHECKING:
    pass



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


def plan_search(search: SearchSection) -> HyperbandPlan:
    """The plan that a configuration asks for."""
    if search.tuner == "hyperband":
        return plan_hyperband(search.max_trials, max_epochs=search.max_epochs, factor=search.factor)
    return plan_without_promotions(search.max_trials, max_epochs=search.max_epochs)


def plan_table(plan: HyperbandPlan) -> dict[str, Any]:
    """The plan as a JSON-able dict: totals, and a row a rung."""
    return {
        "max_trials": plan.max_trials,
        "runs": plan.runs,
        "configurations": plan.configurations,
        "spare_configurations": plan.spares,
        "epochs": plan.epochs,
        "full_budget_runs": plan.full_budget_runs,
        "max_epochs": plan.max_epochs,
        "factor": plan.factor,
        "rungs": [
            {
                "bracket": bracket_position,
                "rung": rung_position,
                "runs": rung.runs,
                "initial_epoch": rung.initial_epoch,
                "epochs": rung.epochs,
            }
            for bracket_position, bracket in enumerate(plan.brackets)
            for rung_position, rung in enumerate(bracket.rungs)
        ],
    }


def describe_plan(plan: HyperbandPlan) -> str:
    """The plan as lines of text."""
    kind = f"Hyperband, factor {plan.factor}" if plan.factor > 1 else "No promotions"
    lines = [
        f"{kind}: {plan.runs} runs of at most {plan.max_trials}, "
        f"{plan.configurations} configurations, {plan.epochs} epochs, "
        f"{plan.full_budget_runs} runs at the full {plan.max_epochs} epochs"
    ]
    for position, bracket in enumerate(plan.brackets):
        rungs = " → ".join(f"{rung.runs} × {rung.epochs} epochs" for rung in bracket.rungs)
        lines.append(f"  bracket {position}: {rungs}")
    return "\n".join(lines)
