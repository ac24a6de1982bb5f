"""What a protocol makes of a search's plan: how many searches, and how long the nested one would take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reports.trial_record import TrialRecord
from search.config.schema import Config
from search.plan.hyperband import HyperbandPlan
from search.plan.space import Configuration, draw_configurations
from search.plan_text import describe_plan, plan_table

if TYPE_CHECKING:
    from reports.trial_record import TrialRecord



def searches(config: Config) -> int:
    """Searches that the configured protocol makes."""
    return config.split.outer_folds + 1 if config.split.protocol == "nested" else 1


def protocol_table(plan: HyperbandPlan, config: Config) -> dict[str, Any]:
    """`plan_table` of a search, and for the nested protocol an entry ``nested``: outer_folds, and totals."""
    table = plan_table(plan)
    if config.split.protocol == "nested":
        count = searches(config)
        table["nested"] = {
            "outer_folds": config.split.outer_folds,
            "searches": count,
            "runs": count * plan.runs,
            "epochs": count * plan.epochs,
        }
    return table


def describe_protocol(plan: HyperbandPlan, config: Config) -> str:
    """The plan as lines of text, with the searches of the nested protocol."""
    text = describe_plan(plan)
    if config.split.protocol != "nested":
        return text
    count = searches(config)
    return (
        f"Nested: {count} searches of this plan, one for each of {config.split.outer_folds} outer folds on the other "
        f"folds' patients and one on all for the model: {count * plan.runs} runs, {count * plan.epochs} epochs\n{text}"
    )


def nested_seconds(
    records: Iterable[TrialRecord], config: Config, *, other_seconds: float = 0.0, outer_folds: int | None = None
) -> float:
    """How long the nested protocol would take, from a hold-out run on the same machine.

    A search takes as long as it has images to show, so that of an outer fold takes (1 - 1/K) / (1 - test_fraction) of
    the measured one and the last 1 / (1 - test_fraction); together K / (1 - test_fraction), for K outer folds. With a
    fixed `search.steps_per_epoch` each takes as long as the measured one. Boundary banks are not counted: a nested run
    on whole images makes one set of them, as a hold-out run does.

    Args:
        records: The runs of the hold-out search.
        config: Its configuration.
        other_seconds: What retraining, evaluation and report took; counted for every search.
        outer_folds: Instead of the configured ones.

    Returns:
        Seconds.
    """
    folds = outer_folds or config.split.outer_folds
    measured = sum(record.seconds for record in records)
    if config.search.steps_per_epoch is not None:
        return measured * (folds + 1) + other_seconds * (folds + 1)
    return measured * folds / (1 - config.split.test_fraction) + other_seconds * (folds + 1)


def planned_configurations(config: Config, plan: HyperbandPlan) -> dict[int, Configuration]:
    """The configurations that the plan will try, by number; none where they follow from scores."""
    if config.search.tuner == "bayesian":
        return {}
    drawn = draw_configurations(config.space, plan.configurations + plan.spares, seed=config.search.seed)
    return dict(enumerate(drawn))
