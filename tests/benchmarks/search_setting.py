"""What both sides of `bench_search` search on: films, plan and space."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDS = 5
SEED = 1


@dataclass(frozen=True)
class Setting:
    """Size of a comparison.

    Attributes:
        side: Side of the prepared images in pixels.
        patients: Patients of the synthetic films, two films each.
        max_trials: Bound on the runs.
        max_epochs: Full budget of a configuration.
        views: Stored views of an image of the most frequent class.
        most_views: Of the rarest.
        precision: A key of `search.bit.precision.POLICIES`.
        films: Folder or archive of real films; "": synthetic ones.
    """

    side: int
    patients: int
    max_trials: int
    max_epochs: int
    views: int
    most_views: int
    precision: str = "float32"
    films: str = ""

    def config(self, depths: tuple[int, ...]) -> Any:
        """The search's configuration; "search.max_trials" and the space are what both sides share."""
        from search.config.reading import load_config

        return load_config(
            None,
            {
                "preparation.image_size": self.side,
                "backbone.weights": "random",
                "space.unfreeze_depth": list(depths),
                "augmentation.views": self.views,
                "augmentation.most_views": self.most_views,
                "search.max_trials": self.max_trials,
                "search.max_epochs": self.max_epochs,
                "search.precision": self.precision,
            },
        )

    @property
    def policies(self) -> tuple[str, str]:
        """Keras's dtype policies of trunk and tail."""
        from search.bit.precision import POLICIES

        return POLICIES[self.precision]


SMALL = Setting(side=96, patients=40, max_trials=5, max_epochs=3, views=2, most_views=4)
FULL = Setting(side=224, patients=161, max_trials=40, max_epochs=30, views=4, most_views=16)
PLAN_OF_40 = {"trials": 38, "configurations": 28, "epochs": 420}
"""The plan of `FULL`. It is pinned: figures of another plan could not be compared with earlier ones."""
MIAS = Path(os.environ.get("MAMMO_SEARCH_MIAS", Path(__file__).parents[3] / "shared" / "mias"))
"""Where the tests look for the real films."""


def prepared_films(setting: Setting, cache: Path) -> tuple[Any, Any]:
    """Films, prepared, and the split of their patients."""
    from mammo_data.phantom.dataset import write_phantom
    from mammo_data.preparation.prepared import prepare
    from mammo_data.sources.open import open_source
    from mammo_data.splits import patient_split

    folder = Path(setting.films) if setting.films else cache / "films"
    if not folder.exists():
        write_phantom(folder, patients=setting.patients, seed=SEED, image_size=256)
    films = prepare(open_source(folder), setting.config((0,)).preparation.settings(), cache / "prepared")
    return films, patient_split(films.table, folds=FOLDS, seed=SEED)


def planned(setting: Setting, depths: tuple[int, ...], one_run_a_depth: int | None) -> tuple[Any, tuple[Any, ...]]:
    """The plan of a search and its configurations, the same for both sides.

    Args:
        setting: Gives both.
        depths: Unfreeze depths of the space.
        one_run_a_depth: Instead of the setting's plan, one run at each depth over so many epochs.
    """
    from search.plan.hyperband import plan_without_promotions
    from search.plan.protocol import plan_search
    from search.plan.space import draw_configurations

    config = setting.config(depths)
    plan = plan_search(config.search)
    found = {name: getattr(plan, name) for name in PLAN_OF_40}
    if setting.max_trials == 40 and found != PLAN_OF_40:
        raise SystemExit(f"the plan of 40 is pinned: expected {PLAN_OF_40}, found {found}")
    if one_run_a_depth is None:
        return plan, draw_configurations(config.space, plan.configurations + plan.spares, seed=SEED)
    of_depth = {each.unfreeze_depth: each for each in draw_configurations(config.space, 100, seed=SEED)}
    return plan_without_promotions(len(depths), max_epochs=one_run_a_depth), tuple(of_depth[each] for each in depths)
