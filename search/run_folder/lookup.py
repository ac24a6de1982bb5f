"""The lookup of the run that a command means: a name in the folder of runs, a path, or nothing for the newest one.

The folder of runs is ``output.runs`` of ./tuner_config.toml, or ``runs``. Only that setting of the file is read, so
that a mistake elsewhere in it does not keep anybody from looking at finished runs.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path

from search.errors import ConfigError, RunError
from search.run_folder.directory import RunDirectory, require_plain_folder
from search.run_folder.manifest import COPY

DEFAULT_RUNS = Path("runs")
_CONFIG_FILE = Path("tuner_config.toml")
_LISTED = 8


def runs_folder() -> Path:
    """Where the runs of the current folder are.

    Raises:
        ConfigError: If ./tuner_config.toml is no TOML, or its output.runs no text.
    """
    return _output_setting("runs") or DEFAULT_RUNS


def cache_folder() -> Path | None:
    """Where the current folder's settings say that prepared images are kept; None where they don't.

    Raises:
        ConfigError: If ./tuner_config.toml is no TOML, or its output.cache no text.
    """
    return _output_setting("cache")


def _output_setting(name: str) -> Path | None:
    try:
        output = tomllib.loads(_CONFIG_FILE.read_text(encoding="utf-8-sig")).get("output", {})
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(expected="a TOML file", found=f"{_CONFIG_FILE}: {error}", remedy="Mend that line.") from None
    folder = output.get(name, "") if isinstance(output, dict) else None
    if not isinstance(folder, str):
        raise ConfigError(
            expected=f"a folder as output.{name}",
            found=f"{_CONFIG_FILE}: {folder!r}",
            remedy=f'Write {name} = "{name}".',
        )
    return Path(folder) if folder else None


def all_runs(runs: Path | None = None) -> tuple[RunDirectory, ...]:
    """All runs of a folder, the one last worked on first.

    Args:
        runs: The folder of runs; by default `runs_folder`.

    Returns:
        Folders with a run.json, or its copy; none where there is no such folder.
    """
    folder = runs or runs_folder()
    if not folder.is_dir():
        return ()
    found = [run for path in folder.iterdir() if (run := RunDirectory(path)).has_manifest]
    return tuple(sorted(found, key=lambda run: (-_last_touched(run), run.name)))


def find_run(run: str | None = None, runs: Path | None = None, *, starting: bool = False) -> RunDirectory:
    """The run that a user named.

    Args:
        run: A name in the folder of runs, the path of a run's folder or of its run.json; None for the run that was
            last worked on.
        runs: The folder of runs; by default `runs_folder`.
        starting: Whether one that is at work and has not written its run.json yet will do, too.

    Raises:
        RunError: If there is no such run; the line names the nearest one. Or if there are links in its folder.
    """
    folder = runs or runs_folder()
    if run is None:
        known = all_runs(folder)
        if not known:
            raise RunError(expected=f"a run in {folder}", found="none", remedy="Begin one: mammo-search run --demo.")
        require_plain_folder(known[0].path)
        return known[0]
    named = Path(run).parent if Path(run).name in ("run.json", COPY) else Path(run)
    for path in (folder / run, named):
        if RunDirectory(path).has_manifest or (starting and RunDirectory(path).is_in_use):
            require_plain_folder(path)
            return RunDirectory(path, within=_nested_run_of(path))
    names = [known.name for known in all_runs(folder)]
    close = difflib.get_close_matches(run, names, n=1, cutoff=0.4)
    if close:
        remedy = f"Did you mean {close[0]!r}?"
    elif names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        remedy = f"There {'is' if len(names) == 1 else 'are'} {', '.join(names[:_LISTED])}{more}."
    else:
        remedy = "There is none yet; begin one: mammo-search run --demo."
    raise RunError(expected=f"a run in {folder}/, or the folder of one", found=repr(run), remedy=remedy)


def _nested_run_of(path: Path) -> str | None:
    """The name of the nested run that a folder is an outer search of."""
    home = path.absolute().parent
    return home.name if path.name.startswith("outer-") and RunDirectory(home).has_manifest else None


def _last_touched(run: RunDirectory) -> float:
    """When a search last wrote into the folder; reading commands write none of these files, but `report` run.json."""
    files = (run.trials_file, run.log_file, *run.path.glob("outer-*/trials.jsonl"))
    times = [file.stat().st_mtime for file in files if file.is_file()]
    return max(times) if times else run.path.stat().st_mtime
