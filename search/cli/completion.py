"""Offers of the shell behind the Tab key: names of runs, paths of settings, and the words that a setting may be.

Each Tab starts a new process, so nothing here imports more than it needs, and whatever goes wrong offers nothing: a
shell shows no errors while it completes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, get_args

from pydantic import BaseModel

from search.bit.family import DEFAULT_BACKBONE, FAMILY
from search.config.schema import Config
from search.errors import UserError
from search.run_folder.lookup import all_runs

Offer = Callable[[str], list[str]]
"""From what was typed to what may be meant."""
SOURCES = ("auto", *FAMILY[DEFAULT_BACKBONE].places)
"""Words that stand for a source of weights; a shell offers files where none of them is meant."""
_KEPT = "_MAMMO_SEARCH_KEPT"
"""Variable with what bash keeps before the part of a word that it completes: a setting's path and its "="."""


def join_broken_words(variables: MutableMapping[str, str]) -> None:
    """Puts words together again that bash has broken at "=", and of the last one completes the last part alone.

    Args:
        variables: The environment; nothing is changed where bash asks for no completion.
    """
    words, place = variables.get("COMP_WORDS", "").split("\n"), variables.get("COMP_CWORD", "")
    if not place.isdigit() or int(place) >= len(words):
        return
    joined: list[str] = []
    for before, word in zip(["", *words], words[: int(place) + 1], strict=False):
        if joined and word and "=" in (before, word):
            joined[-1] += word
        else:
            joined.append(word)
    if joined[-1] != words[int(place)]:
        option, sign, text = joined[-1].partition("=") if joined[-1].startswith("-") else ("", "", joined[-1])
        kept, between, last = text.rpartition("=")
        joined[-1], variables[_KEPT] = option + sign + last, kept + between
    variables["COMP_WORDS"], variables["COMP_CWORD"] = "\n".join(joined), str(len(joined) - 1)


def complete_name(incomplete: str) -> list[str]:
    """Names of the runs that begin with what was typed, the one last worked on first."""
    try:
        return [run.name for run in all_runs() if run.name.startswith(incomplete)]
    except (UserError, OSError):
        return []


def complete_run(incomplete: str) -> list[str]:
    """`complete_name`, and outer searches as well once it is clear of which run."""
    names = complete_name(incomplete)
    meant = names if len(names) == 1 else [incomplete.partition("/")[0]]
    try:
        outer = [search.name for run in all_runs() if run.name in meant for search in run.outer_searches]
    except (UserError, OSError):
        return names
    return names + [name for name in outer if name.startswith(incomplete)]


def complete_setting(incomplete: str) -> list[str]:
    """Paths of settings that begin with what was typed, each with its "="; behind that the words that it may be."""
    kept = os.environ.get(_KEPT, "")
    path, sign, value = (kept + incomplete).partition("=")
    if sign:
        before = "" if kept else f"{path}="
        return [before + word for word in complete_word(path)(value)]
    paths = [f"{path}=" for path in _setting_paths(Config(), "") if path.startswith(incomplete)]
    # Behind a single offer a shell puts a space, and the value would be a word of its own.
    hints = (complete_word(paths[0][:-1])("") or ["VALUE"]) if len(paths) == 1 else []
    return paths + [paths[0] + hint for hint in hints]


def complete_word(path: str) -> Offer:
    """Offers the words that a setting may be; none where it is no choice."""
    annotation: Any = Config
    for part in path.split("."):
        is_table = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        field = annotation.model_fields.get(part) if is_table else None
        annotation = field and field.annotation
    words = ("true", "false") if annotation is bool else get_args(annotation)
    return one_of(*(word for word in words if isinstance(word, str)))


def one_of(*words: str) -> Offer:
    """Offers some words."""

    def offer(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offer


def _setting_paths(model: BaseModel, prefix: str) -> Iterator[str]:
    for name, value in model:
        if isinstance(value, BaseModel):
            yield from _setting_paths(value, f"{prefix}{name}.")
        elif prefix:
            yield prefix + name
