"""The recipe for a new engine is what the contract asks for."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.registry import ENGINES
from tests.docs.pages import PROJECT

PAGE = (PROJECT / "docs" / "contributing" / "add-an-engine.md").read_text()
CONTRACT = PROJECT / "airflow_provider_sync" / "databases" / "contract"
FILES = sorted(path.name for path in CONTRACT.glob("*.py") if path.name not in ("__init__.py", "component.py"))
PACKAGES = sorted(
    {entry.load().__module__.rsplit(".", 2)[1] for entry in ENGINES if entry.backend != "duckdb" or find_spec("duckdb")}
)


def component_in(module: str) -> type[DatabaseComponent]:
    """Return the component that a module of the contract or of an engine defines."""
    found = import_module(f"airflow_provider_sync.databases.{module}")
    (component,) = [
        value
        for value in vars(found).values()
        if inspect.isclass(value) and issubclass(value, DatabaseComponent) and value.__module__ == found.__name__
    ]
    return component


@pytest.mark.parametrize("file", FILES)
def test_each_component_is_in_the_recipe(file: str) -> None:
    """The recipe lists each file of the contract, its class, and exactly the methods that an engine has to write."""
    component = component_in(f"contract.{Path(file).stem}")
    row = re.search(rf"^\| `databases/contract/{file}` \| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    assert row
    assert row[1] == component.__name__
    assert set(re.findall(r"`(\w+)`", row[2])) == component.__abstractmethods__


def test_the_database_is_in_the_recipe() -> None:
    """The recipe lists exactly the abstract methods of a database, and its components."""
    rows = re.findall(r"^\| (?:connections|locks|errors|components) \| (.*?) \|", PAGE, re.MULTILINE)
    components = {name for name, kind in Database.__annotations__.items() if kind.startswith("component[")}
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == Database.__abstractmethods__ | components


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("file", FILES)
def test_engines_have_the_files_of_the_contract(package: str, file: str) -> None:
    """An engine's component is in a file with the contract's name, unless the contract's own class is enough."""
    stem = Path(file).stem
    contract = component_in(f"contract.{stem}")
    if contract.__abstractmethods__ or (CONTRACT.parent / package / file).exists():
        assert issubclass(component_in(f"{package}.{stem}"), contract)
