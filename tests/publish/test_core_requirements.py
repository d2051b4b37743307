"""What the core needs without Airflow: the groups in `pyproject.toml`, and the list that is made from them."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from publish.core_requirements import CORE_REQUIREMENTS
from publish.licences import needed_by
from publish.project import CONSTRAINTS, GROUPS, PROJECT, ROOT, read_requirements

PACKAGE = ROOT / "airflow_provider_sync"
AIRFLOW_ROOMS = {
    "airflow_support",
    "assets.py",
    "hooks",
    "notifications",
    "operators",
    "plugin",
    "sensors",
    "task_groups",
    "triggers",
}
# Airflow, what the demo needs, and the driver without wheels, in whose place PyMySQL is taken; a module of Python 3.14.
NOT_NEEDED = {"airflow", "airportsdata", "MySQLdb", "compression"}


def test_what_the_core_imports_is_in_its_groups() -> None:
    """Each library that a module of the core imports is in the group of the core, or is a driver."""
    named = {canonicalize_name(Requirement(line).name) for lines in GROUPS.values() for line in lines}
    # pydantic names the only version of its core that it takes.
    named.add("pydantic-core")
    of_module = packages_distributions()
    missing = set()
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in AIRFLOW_ROOMS:
            continue
        for module in _imported(path) - set(sys.stdlib_module_names) - NOT_NEEDED - {PACKAGE.name}:
            if not named & {canonicalize_name(name) for name in of_module.get(module, [module])}:
                missing.add(f"{module}, which {path.relative_to(ROOT)} imports")
    assert missing == set()


def _imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, except those that only a type checker imports."""
    found = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
        todo += ast.iter_child_nodes(node)
    return found


def test_the_group_says_the_same_as_the_package() -> None:
    """The package's requirements besides Airflow, and the drivers of its extras, have the same bounds in the core's group."""
    ours = {line for line in PROJECT["dependencies"] if not line.startswith("apache-airflow")}
    assert ours <= set(GROUPS["core"])
    extras = {line for lines in PROJECT["optional-dependencies"].values() for line in lines}
    assert set(GROUPS["drivers"]) <= extras


def test_the_list_is_complete() -> None:
    """The list has exactly the direct and indirect requirements of the groups, so pip adds none."""
    listed = read_requirements(CORE_REQUIREMENTS)
    here = {canonicalize_name(entry.name) for entry in listed if not entry.marker or entry.marker.evaluate()}
    assert here == needed_by(map(Requirement, [*GROUPS["core"], *GROUPS["drivers"]]))


def test_the_list_names_the_versions_that_are_tested() -> None:
    """Each entry is pinned to the version that the tests run with, which the groups allow."""
    pins = {canonicalize_name(entry.name): str(entry.specifier) for entry in read_requirements(CORE_REQUIREMENTS)}
    tested = {canonicalize_name(entry.name): str(entry.specifier) for entry in read_requirements(CONSTRAINTS)}
    assert pins == {name: tested[name] for name in pins}
    for entry in map(Requirement, [*GROUPS["core"], *GROUPS["drivers"]]):
        assert entry.specifier.contains(pins[canonicalize_name(entry.name)].removeprefix("==")), entry
