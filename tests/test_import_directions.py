"""Imports point one way: search → mammo_data, reports; those two know neither each other nor search."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {"mammo_data": {"mammo_data"}, "reports": {"reports"}, "search": {"search", "mammo_data", "reports"}}


def imported_packages(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    forbidden = (set(MAY_IMPORT) | {"tests"}) - MAY_IMPORT[package]
    wrong = {str(file.relative_to(ROOT)): imported_packages(file) & forbidden for file in files}
    assert not {file: found for file, found in wrong.items() if found}


def test_reports_know_nothing_of_keras():
    engines = {"keras", "tensorflow", "keras_tuner"}
    assert not [file for file in (ROOT / "reports").rglob("*.py") if imported_packages(file) & engines]
