"""Importances: which hyperparameters moved the objective, as two methods see it and as shuffled scores would.

fANOVA (Hutter, Hoos & Leyton-Brown, ICML 2014) asks what share of the variance of the objective each hyperparameter
explains in a random forest; PED-ANOVA (Watanabe, Bansal & Hutter, IJCAI 2023) asks where the good trials lie in its
range. Both are optuna's. Departures: each hyperparameter is given on the scale it was drawn on (optuna's fANOVA would
weigh a learning rate of 1e-4 to 1e-1 linearly, nine tenths of it above 0.01); "good" is the best tenth, and at least
five trials, but no more than half of them.

A search has a dozen trials a budget, and both methods always answer with shares that add up to 1. So the same is asked
of scores shuffled between the trials: a share below the 95 % quantile of those is no evidence of anything.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reports.figures.style import ACCENT, CLASS_COLOURS, INK, NOTE, dress, legend, new_figure
from reports.page.report_figures import FEWEST_WEIGHED
from reports.search_plots.optuna_study import comparable_trials, quiet_optuna, study_at
from reports.search_plots.space import Dimension
from reports.trials import TrialRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FANOVA, PED_ANOVA = "fANOVA", "PED-ANOVA"
MOST_TRIALS = 120
"""Of more, so many spread evenly over the search are asked. The forest is fitted once for each shuffle, and its cost
grows faster than its trials: 12 s on two cores for 100, 32 s for 200, 80 s for 400."""

_TREES = 24
_GOOD_TRIALS = 5
_LETTERS = 54
"""In a line below the bars."""
_METHOD_COLOURS = (ACCENT, CLASS_COLOURS[1])


@dataclass(frozen=True)
class Importances:
    """Shares of one method.

    Attributes:
        shares: Hyperparameter to share, 0 to 1, adding up to 1.
        chance: Hyperparameter to the 95 % quantile of its share with shuffled scores.
    """

    shares: Mapping[str, float]
    chance: Mapping[str, float]


@dataclass(frozen=True)
class ImportanceComparison:
    """Two methods on the trials of one budget.

    Attributes:
        epochs: The budget.
        trials: How many trials there are.
        asked: How many of them were compared.
        methods: Name of the method to its shares.
        disagreement: Half the summed difference between the two methods' shares: 0 they agree, 1 nothing in common.
        same_first: Whether both put the same hyperparameter first.
    """

    epochs: int
    trials: int
    asked: int
    methods: Mapping[str, Importances]
    disagreement: float
    same_first: bool

    @property
    def order(self) -> tuple[str, ...]:
        """Hyperparameters by their mean share, the largest first."""
        means = {
            name: float(np.mean([method.shares[name] for method in self.methods.values()]))
            for name in next(iter(self.methods.values())).shares
        }
        return tuple(sorted(means, key=lambda name: (-means[name], name)))

    @property
    def above_chance(self) -> tuple[str, ...]:
        """Hyperparameters that both methods put above shuffled scores."""
        methods = self.methods.values()
        return tuple(name for name in self.order if all(one.shares[name] > one.chance[name] for one in methods))


def compare_importances(
    records: Sequence[TrialRecord], epochs: int, dimensions: Sequence[Dimension], *, shuffles: int = 40, seed: int = 0
) -> ImportanceComparison | None:
    """Ask both methods about the trials of one budget.

    Args:
        records: All trials.
        epochs: The budget; trials of others are left out.
        dimensions: The space.
        shuffles: How often the scores are shuffled, 1 or more.
        seed: Of the forest and of the shuffles.

    Returns:
        None where fewer than `FEWEST_WEIGHED` trials can be compared, all scores are the same, or no two values of any
        hyperparameter were tried.

    Raises:
        MissingOptunaError: If optuna is not installed.
    """
    trials = comparable_trials(records, epochs)
    asked = [trials[place] for place in np.linspace(0, len(trials) - 1, min(len(trials), MOST_TRIALS)).astype(int)]
    scores = np.array([record.objective for record in asked], dtype=np.float64)
    if len(scores) < FEWEST_WEIGHED or np.ptp(scores) == 0:
        return None
    true = _shares(asked, epochs, dimensions, scores, seed)
    if not next(iter(true.values())):
        return None
    rng = np.random.default_rng(seed)
    null = [_shares(asked, epochs, dimensions, rng.permutation(scores), seed) for _ in range(shuffles)]
    methods = {
        method: Importances(
            shares, {name: float(np.quantile([draw[method][name] for draw in null], 0.95)) for name in shares}
        )
        for method, shares in true.items()
    }
    one, other = true[FANOVA], true[PED_ANOVA]
    return ImportanceComparison(
        epochs=epochs,
        trials=len(trials),
        asked=len(asked),
        methods=methods,
        disagreement=sum(abs(one[name] - other[name]) for name in one) / 2,
        same_first=max(one, key=lambda name: one[name]) == max(other, key=lambda name: other[name]),
    )


def _shares(
    records: Sequence[TrialRecord], epochs: int, dimensions: Sequence[Dimension], scores: np.ndarray, seed: int
) -> dict[str, dict[str, float]]:
    """Method to hyperparameter to share."""
    study = study_at(records, epochs, dimensions, objectives=[float(score) for score in scores])
    with quiet_optuna() as optuna:
        good = min(0.5, max(0.1, _GOOD_TRIALS / len(scores)))
        evaluators = {
            FANOVA: optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=seed),
            PED_ANOVA: optuna.importance.PedAnovaImportanceEvaluator(target_quantile=good),
        }
        found = {}
        for method, evaluator in evaluators.items():
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
            found[method] = {name: share if math.isfinite(share) else 0.0 for name, share in sorted(shares.items())}
    return found


def draw_importance(comparisons: Sequence[ImportanceComparison]) -> Figure:
    """A panel a budget: bars of both methods, and a mark where 95 % of shuffled scores stay below.

    Args:
        comparisons: One or more, of different budgets.
    """
    from matplotlib.lines import Line2D

    rows = max(len(comparison.order) for comparison in comparisons)
    figure = new_figure(0.7 + (1.6 + 0.36 * rows) * len(comparisons))
    for axes, comparison in zip(np.atleast_1d(figure.subplots(len(comparisons))), comparisons, strict=True):
        names = comparison.order
        height = 0.8 / len(comparison.methods)
        for number, (method, found) in enumerate(comparison.methods.items()):
            places = np.arange(len(names)) + (number - (len(comparison.methods) - 1) / 2) * height
            shares, chance = ([side[name] for name in names] for side in (found.shares, found.chance))
            axes.barh(places, shares, height * 0.9, color=_METHOD_COLOURS[number], label=method)
            axes.vlines(chance, places - height / 2, places + height / 2, color=INK, linewidth=1.6)
        asked = f"{comparison.asked} of " if comparison.asked < comparison.trials else ""
        title = f"Importance: {asked}{comparison.trials:,} trials of {comparison.epochs} epochs"
        dress(axes, title=title, x="", y="", grid="x")
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"share of the importance\n{_words(comparison)}", fontsize=NOTE, color=INK, loc="left")
        axes.tick_params(axis="y", length=0)
    mark = Line2D(
        [], [], color=INK, marker="|", linestyle="", markersize=11, label="95 % of shuffled scores stay below"
    )
    legend(figure, [*axes.get_legend_handles_labels()[0], mark])
    return figure


def _words(comparison: ImportanceComparison) -> str:
    above, order = comparison.above_chance, comparison.order
    found = "No hyperparameter is beyond chance in both methods"
    if above:
        found = f"Beyond chance in both methods: {', '.join(name.replace('_', ' ') for name in above)}"
    first = f"first in both: {order[0].replace('_', ' ')}" if comparison.same_first else "nothing is first in both"
    difference = f"Disagreement {comparison.disagreement:.2f} of 1; {first}."
    return "\n".join(textwrap.fill(text, _LETTERS) for text in (f"{found}.", difference))
