"""What a mean of several models needs, asked before TensorFlow starts: a finished run, several models, the films."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mammo_data import DataError, load_cases
from search.cohort import finished_config, job_source
from search.config.schema import Config
from search.errors import RunError
from search.export.metadata import MemberKind, finished_model, members_file, metadata_file, read_metadata
from search.run_folder.directory import RunDirectory


@dataclass(frozen=True)
class MembersRequest:
    """A mean that can be made.

    Attributes:
        run: The run's folder, complete.
        kind: "seeds" or "folds".
        config: The run's configuration, as `finished_config` gives it.
        count: How many members it has.
        is_made: Whether an earlier export has left it in the run's ``best/``; nothing is trained then.
    """

    run: RunDirectory
    kind: MemberKind
    config: Config
    count: int
    is_made: bool


def usual_model(run: RunDirectory) -> Literal["single", "seeds"]:
    """What `export` writes where nobody asks: the mean of the seeds, where a run has retrained several.

    A rule that was written down before, over 20 sets of new women, chose it (tests/benchmarks/README.md). A nested run
    retrains its last winner once.

    Raises:
        RunError: If the run is not complete or has changed.
    """
    finished_model(run)
    manifest = run.read_manifest()
    seeds = finished_config(run).retrain.seeds if manifest.protocol == "holdout" else 1
    return "seeds" if seeds > 1 else "single"


def request_members(run: RunDirectory, kind: MemberKind) -> MembersRequest:
    """See whether a mean of a run's models can be made.

    Args:
        run: The run's folder.
        kind: "seeds": as many models as the run's ``retrain.seeds``; "folds": as many as its trials used folds.

    Raises:
        RunError: If the run is not complete or has changed, has one such model alone, or its films are gone.
        ConfigError: If its config.toml is no longer valid.
    """
    finished_model(run)
    config = finished_config(run)
    if kind == "seeds":
        count, setting, what = config.retrain.seeds, "retrain.seeds", "one seed was trained"
    else:
        count, setting, what = config.search.folds or config.split.folds, "search.folds", "one fold was used"
    if count < 2:
        raise RunError(
            expected=f"a run with several {kind}",
            found=f"{run.name}, where {what}: nothing to average",
            remedy=f"Export --model single, or search again with --set {setting}=3.",
        )
    request = MembersRequest(run, kind, config, count, _is_made(run, kind, count))
    if not request.is_made:
        try:
            load_cases(job_source(config, demo=run.read_manifest().demo))
        except DataError as error:
            raise films_gone(run, error) from None
    return request


def films_gone(run: RunDirectory, error: DataError | RunError) -> RunError:
    """The line about films that a run's models can't be trained on again."""
    return RunError(
        expected=f"the films that {run.name} was made with, for its models are trained again on them",
        found=error.found,
        remedy=f"Restore them where data.path of {run.config_file} says, or export --model single.",
    )


def _is_made(run: RunDirectory, kind: MemberKind, count: int) -> bool:
    file = members_file(run, kind)
    if not (file.is_file() and metadata_file(file).is_file()):
        return False
    try:
        metadata = read_metadata(file)
    except RunError:
        return False  # damaged: it is made again
    members, manifest = metadata.members, run.read_manifest()
    return (
        members is not None
        and (members.kind, members.count) == (kind, count)
        and metadata.content.get("fingerprints") == manifest.fingerprints
        and metadata.content.get("run", {}).get("created") == manifest.created
    )
