"""The hyperparameter search, from the plan over the trials to the exported model.

These are the names for use from outside; each is imported when it is first asked for, so that this package alone loads
neither TensorFlow nor numpy. What is not named here may change without notice.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search.text import VERSION as __version__

if TYPE_CHECKING:
    from search.config.reading import load_config as load_config
    from search.config.schema import Config as Config
    from search.errors import UserError as UserError
    from search.export.metadata import find_model as find_model
    from search.export.model import ExportedModel as ExportedModel
    from search.hypermodel import MammoHyperModel as MammoHyperModel
    from search.job import Job as Job
    from search.plan.hyperband import HyperbandPlan as HyperbandPlan
    from search.plan.hyperband import plan_hyperband as plan_hyperband
    from search.predict.evaluate import evaluate_model as evaluate_model
    from search.predict.films import predict_files as predict_files
    from search.protocols.run import run_job as run_job
    from search.run_folder.lookup import find_run as find_run
    from search.run_folder.trial_log import read_records as read_records

_HOMES = {
    "config.reading": "load_config",
    "config.schema": "Config",
    "errors": "UserError",
    "export.metadata": "find_model",
    "export.model": "ExportedModel",
    "hypermodel": "MammoHyperModel",
    "plan.hyperband": "HyperbandPlan plan_hyperband",
    "predict.evaluate": "evaluate_model",
    "predict.films": "predict_files",
    "job": "Job",
    "protocols.run": "run_job",
    "run_folder.lookup": "find_run",
    "run_folder.trial_log": "read_records",
}
"""Module to its names."""

_HOME = {name: f"search.{module}" for module, names in _HOMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
