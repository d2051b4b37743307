"""Everything up to and including `sync` works where Airflow is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

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
    "sync",
)

_IMPORT_ALL = """
import importlib, pkgutil, sys
import tests.without_airflow
for layer in sys.argv[1:]:
    module = importlib.import_module("airflow_provider_sync." + layer)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), module.__name__ + "."):
        importlib.import_module(found.name)
"""


def _python(*arguments: str, settings: Mapping[str, str] | None = None) -> None:
    # A run of its own, although a worker of another may have started it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment |= settings or {}
    command = [sys.executable, *arguments]
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-5000:]


def test_every_module_can_be_imported() -> None:
    """No module at or below `sync` imports Airflow, directly or through a library."""
    _python("-c", _IMPORT_ALL, *LAYERS)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_their_tests_pass() -> None:
    """A tenth of these layers' tests, some of every file, passes on SQLite without Airflow; all modules are imported above."""
    folders = [f"tests/{layer}" for layer in LAYERS if (PROJECT / "tests" / layer).is_dir()]
    other_engines = "not mariadb and not mysql and not postgresql"
    command = ["-m", "pytest", "-q", "-p", "tests.without_airflow", "-m", "not slow", "-k", other_engines, *folders]
    _python(*command, settings={"SYNC_TEST_ONE_IN": "10"})
