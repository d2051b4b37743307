"""What Airflow learns about the provider."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module, metadata, resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseNotifier, Connection
from airflow.providers_manager import ProvidersManager

from airflow_provider_sync.config import PROTOCOLS
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.provider_info import get_provider_info

PROJECT = Path(__file__).parents[1]


def test_schema() -> None:
    """The provider's metadata fits the schema of the installed Airflow."""
    schema = json.loads(resources.files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_airflow_loads_it() -> None:
    """The installed Airflow finds the provider by its entry point, and its hook by the connection type."""
    assert ProvidersManager().providers["airflow-provider-sync"].data["name"] == "Sync"
    hook = Connection(conn_id="any", conn_type="sync").get_hook()
    assert type(hook) is SyncServerHook
    assert hook.sync_conn_id == "any"


def test_package_name() -> None:
    """The metadata has the name of the installed package."""
    entry_points = metadata.entry_points(group="apache_airflow_provider", name="provider_info")
    (ours,) = [point for point in entry_points if point.value.startswith("airflow_provider_sync.")]
    assert ours.dist is not None
    assert ours.dist.name == get_provider_info()["package-name"]
    assert ours.load()() == get_provider_info()


@pytest.mark.parametrize("group", ["hooks", "operators", "sensors", "triggers"])
def test_modules_exist(group: str) -> None:
    """Every module in the metadata can be imported, and no module for users is missing."""
    (integration,) = get_provider_info()[group]
    for module in integration["python-modules"]:
        import_module(module)
    shared = {"__init__", "difference", "file_operator", "history_link", "last_digest", "polls", "source_watch", "step_operator"}
    shared |= {"sync_operator", "table_operator"}
    files = {path.stem for path in (PROJECT / "airflow_provider_sync" / group).glob("*.py")} - shared
    assert files == {module.rpartition(".")[2] for module in integration["python-modules"]}


def test_classes_exist() -> None:
    """Airflow finds the notifier and the transfer modules by their names."""
    info = get_provider_info()
    for name in info["notifications"]:
        module, _, class_name = name.rpartition(".")
        assert issubclass(getattr(import_module(module), class_name), BaseNotifier)
        assert name in ProvidersManager().notification
    for transfer in info["transfers"]:
        import_module(transfer["python-module"])


def test_the_plugin() -> None:
    """The metadata names the plugin that Airflow loads by its entry point."""
    (plugin,) = get_provider_info()["plugins"]
    (ours,) = (point for point in metadata.entry_points(group="airflow.plugins") if point.name == plugin["name"])
    assert f"{ours.value.replace(':', '.')}" == plugin["plugin-class"]
    assert ours.load().name == plugin["name"]


def test_documents_exist() -> None:
    """The logo and every how-to guide in the metadata exist."""
    info = get_provider_info()
    paths = [entry["how-to-guide"] for entry in info["transfers"]]
    for integration in info["integrations"]:
        paths += [integration["logo"], *integration["how-to-guide"]]
    assert [path for path in paths if not (PROJECT / path.removeprefix("/")).is_file()] == []


def test_integrations_of_others() -> None:
    """The targets of transfers have the names that their providers use."""
    known = {
        integration["integration-name"]
        for provider in ProvidersManager().providers.values()
        for integration in provider.data.get("integrations", [])
    }
    targets = {entry["target-integration-name"] for entry in get_provider_info()["transfers"]}
    # Google's provider is not needed, and MySQL's cannot be installed everywhere.
    assert targets - known <= {"Google Cloud Storage (GCS)", "MySQL"}


def test_imports_nothing_of_airflow() -> None:
    """Importing the metadata imports neither Airflow nor anything else that is slow."""
    program = "import sys, airflow_provider_sync.provider_info; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"airflow", "sqlalchemy", "requests", "msgspec"} & set(loaded)


def test_form() -> None:
    """The connection form has the fields that the hook reads, and the protocols of the client."""
    described: dict[str, Any] = get_provider_info()["connection-types"][0]
    assert set(described["conn-fields"]) == {"timeout", "verify", "headers", "protocol", "retries", "time_zone"}
    assert tuple(described["conn-fields"]["protocol"]["schema"]["enum"]) == PROTOCOLS


def test_imports_of_dag_files() -> None:
    """Imports of DAG files load neither the server half nor other unneeded modules."""
    modules = ("operators.table_sync", "operators.file_sync", "sensors.table_changed", "sensors.files_changed")
    imports = "; ".join(f"import airflow_provider_sync.{module}" for module in modules)
    program = f"import sys, airflow.sdk; before = set(sys.modules); {imports}; print(*(set(sys.modules) - before))"
    command = [sys.executable, "-W", "ignore", "-c", program]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert not {"fastapi", "uvicorn", "pandas", "numpy", "s3fs", "MySQLdb", "psycopg", "psycopg2"} & loaded
    assert not any(name.startswith("airflow_provider_sync.server") for name in loaded)
