"""READMEs of the repository, and what stands in them: examples, command lines, links."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

FRONT_PAGE = ROOT / "README.md"
READMES = (
    FRONT_PAGE,
    *sorted(
        path for folder in ("mammo_data", "reports", "search", "tests") for path in (ROOT / folder).rglob("README.md")
    ),
)


def examples(readme: Path, language: str) -> list[str]:
    """Blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def shown_commands(readme: Path) -> list[str]:
    """Command lines of the program in shell blocks."""
    return re.findall(r"mammo-search [^#\n]+", "".join(examples(readme, "sh")))


def named_commands(readme: Path) -> list[str]:
    """The same between backticks, where the name of a command may stand without its arguments."""
    return re.findall(r"`(mammo-search [a-z][^`]+)`", readme.read_text(encoding="utf-8"))


def links(readme: Path) -> list[str]:
    """Targets of links and pictures that lie in the repository."""
    text = re.sub(r"^```.*?^```$", "", readme.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
