"""What the package requires: what is its own, and nothing that Airflow brings."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
AIRFLOW = ("apache-airflow-core", "apache-airflow-task-sdk")

# Only where Airflow 3.1 has its forms.
OPTIONAL = {"flask_appbuilder", "flask_babel", "wtforms"}


def required(names: tuple[str, ...]) -> set[str]:
    """Return the distributions that some installed ones require, and those that these require, and so on."""
    found: set[str] = set()
    todo = [(name, frozenset[str]()) for name in names]
    seen = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def imported() -> Iterator[tuple[str, Path]]:
    """Give the top-level modules that the package imports, with the file that does."""
    for path in (ROOT / "airflow_provider_sync").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            yield from ((name.partition(".")[0], path) for name in names)


@pytest.fixture(scope="module")
def brought() -> set[str]:
    """Give the distributions that Airflow brings."""
    return required(AIRFLOW)


def test_nothing_is_required_that_airflow_brings(brought: set[str]) -> None:
    """No requirement overlaps with Airflow's, because resolvers would choose an older Airflow for a newer library."""
    names = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert {name for name in names & brought if not name.startswith("apache-airflow")} == set()


def test_everything_imported_is_required_or_brought(brought: set[str]) -> None:
    """Every import of the package comes with Airflow, is a requirement or is in an extra."""
    extras = [line for name, lines in PROJECT["optional-dependencies"].items() if name not in {"dev", "bench"} for line in lines]
    ours = required(tuple(canonicalize_name(Requirement(line).name) for line in [*PROJECT["dependencies"], *extras]))
    of_module = packages_distributions()
    missing = {
        module: str(path.relative_to(ROOT))
        for module, path in imported()
        if module not in sys.stdlib_module_names | OPTIONAL | {"airflow_provider_sync", "airflow"}
        # What is not installed is an extra's that was left out.
        if module in of_module and not {canonicalize_name(name) for name in of_module[module]} & (brought | ours)
    }
    assert missing == {}
