"""Everything up to and including `sync`, and every command but the demo, works where Airflow is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.cli.site import Site, reports

PROJECT = Path(__file__).parent.parent
LAYERS = (
    "exceptions",
    "config",
    "report",
    "report_table",
    "text_table",
    "protocol",
    "databases",
    "merge",
    "files",
    "client",
    "server",
    "history",
    "logs",
    "sync",
)

_IMPORT_ALL = """
import importlib, pkgutil, sys
import tests.without_airflow
for layer in sys.argv[1:]:
    module = importlib.import_module("airflow_provider_sync." + layer)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), module.__name__ + "."):
        if not found.name.startswith("airflow_provider_sync.cli.demo.dags"):
            importlib.import_module(found.name)
"""

_COMMAND = """
import sys
import tests.without_airflow
from airflow_provider_sync.cli.main import main
sys.exit(main())
"""


def _python(*arguments: str, code: int = 0, settings: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Run Python, and return what it printed, and what it said on standard error."""
    # A run of its own, although a worker of another may have started it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment |= settings or {}
    command = [sys.executable, *arguments]
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stdout[-5000:] + result.stderr[-5000:]
    return result.stdout, result.stderr


def test_every_module_can_be_imported() -> None:
    """No module of `sync` and no command imports Airflow at its top, directly or through a library."""
    _python("-c", _IMPORT_ALL, *LAYERS, "cli")


def test_the_demo_says_that_it_needs_airflow(tmp_path: Path) -> None:
    """`airflow-sync demo` ends at once, names the package to install and creates no folder."""
    _, said = _python("-c", _COMMAND, "demo", "--keep", str(tmp_path / "demo"), code=2)
    assert said.startswith(
        "airflow-sync: The demo runs a DAG, and needs Airflow, which is not installed here."
        " Run: pip install 'airflow-provider-sync[demo]'"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_names_a_connection_of_airflow_fails_and_says_so(tmp_path: Path) -> None:
    """Syncs with an Airflow connection fail and say what to write instead; the others run."""
    site = Site(tmp_path)
    with RunningServer(ServerConfig.from_dict(site.server_settings)) as server:
        tables = {"orders": {"connection": "airflow://warehouse"}, "customers": {}}
        directories = {"images": {"path": "s3://store@bucket/images"}}
        site.configure(server.url, tables=tables, directories=directories)
        printed, said = _python("-c", _COMMAND, "run", "--json", "--config", str(site.config), code=3)
    found = reports(printed)
    assert found["orders"]["error"] == (
        "The connection airflow://warehouse needs Airflow, which is not installed here."
        " Write the URL of the database in its place."
    )
    assert found["images"]["error"] == (
        "The connection 'store' of a directory needs Airflow, which is not installed here."
        " Leave it out, and set the keys in the environment."
    )
    assert "Traceback" not in said
    assert (len(site.rows("orders")), len(site.rows("customers")), site.files()) == (0, 3, [])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_their_tests_pass() -> None:
    """The first test of each file about client, server, syncs, files and histories passes on SQLite without Airflow."""
    folders = [f"tests/{layer}" for layer in ("client", "server", "sync", "files", "history")]
    other_engines = "not mariadb and not mysql and not postgresql and not duckdb"
    command = ["-m", "pytest", "-q", "-p", "tests.without_airflow", "-m", "not slow", "-k", other_engines, *folders]
    _python(*command, settings={"SYNC_TEST_ONE_IN": "1000"})
