"""A user's own operating point of a model: a threshold, or what it is to reach on the out-of-fold scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reports.decisions.operating_curve import OperatingCurve
from reports.decisions.operating_points import OperatingThreshold
from search.errors import ConfigError, RunError
from search.export.metadata import ModelFile, ModelMetadata, find_model

_AIMS: dict[str, Callable[[OperatingCurve, float], float | None]] = {
    "sensitivity": OperatingCurve.at_sensitivity,
    "specificity": OperatingCurve.at_specificity,
}


def find_model_at(
    name: str, threshold: float | None, at_sensitivity: float | None, at_specificity: float | None
) -> ModelFile:
    """The model that a user named, with the point that was asked for beside its own; at most one of the three.

    Args:
        name: As `search.export.metadata.find_model` takes it.
        threshold: Of the primary endpoint's printed probability, above 0 and below 1.
        at_sensitivity: The highest threshold whose out-of-fold sensitivity is at least this, above 0, at most 1.
        at_specificity: The lowest threshold whose out-of-fold specificity is at least this, above 0, at most 1.

    Raises:
        ConfigError: If more than one is given, or one that nothing can reach.
        RunError: If there is no such model, or its file does not hold what a point for a target is taken from.
    """
    options = {"threshold": threshold, "sensitivity": at_sensitivity, "specificity": at_specificity}
    given = {aim: value for aim, value in options.items() if value is not None}
    if len(given) > 1:
        raise ConfigError(
            expected="one of --threshold, --at-sensitivity and --at-specificity",
            found=" and ".join(map(_option, given)),
            remedy="Leave the others out.",
        )
    for aim, value in given.items():
        if not (0 < value < 1 or (value == 1 and aim != "threshold")):
            raise ConfigError(
                expected=f"{_option(aim)} above 0 and {'below' if aim == 'threshold' else 'at most'} 1",
                found=f"{value:g}",
                remedy="Give a share, 0.95 for example.",
            )
    file = find_model(name)
    for aim, value in given.items():
        own = _own_point(file.metadata, aim, value)
        file = replace(file, metadata=replace(file.metadata, own=own))
    return file


def _own_point(metadata: ModelMetadata, aim: str, value: float) -> OperatingThreshold:
    worst = metadata.class_names[-1]
    asked, specificity = f"{aim} {value:g}", value if aim == "specificity" else None
    threshold: float | None = value
    if aim in _AIMS:
        curve, members = metadata.read.operating_curve, metadata.members
        if curve is None and members is not None:
            raise RunError(
                expected="a model with out-of-fold scores",
                found=f"{metadata.read.model or 'one'}, a mean of {members.kind} without any",
                remedy="Give a probability with --threshold, or name the run for its own model.",
            )
        if curve is None:
            raise RunError(
                expected="a model file with the out-of-fold operating curve, as this version writes it",
                found=f"{metadata.read.model or 'one'} without it (schema {metadata.read.schema_version})",
                remedy=f"Give a probability with --threshold, or search again for {_option(aim)}.",
            )
        threshold = _AIMS[aim](curve, value)
        if threshold is None:
            # Of sensitivities the lowest threshold has the largest, 1; of specificities the highest one.
            raise ConfigError(
                expected=f"a {aim} that some threshold reaches out of fold, at most {max(curve.specificities):.3f}",
                found=f"{_option(aim)} {value:g}",
                remedy="Ask for less.",
            )
    return OperatingThreshold(f"{worst} versus rest", (worst,), specificity, threshold, asked=asked)


def _option(aim: str) -> str:
    return "--threshold" if aim == "threshold" else f"--at-{aim}"
