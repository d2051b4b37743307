"""The core as it is installed without Airflow: from the wheel and `core-requirements.txt`, into an empty environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from publish.core_requirements import CORE_REQUIREMENTS
from publish.project import PYTHONS
from tests.cli.site import Site
from tests.installing import SECONDS, UV, build_wheel, call, find_python, need_registry
from tests.publish.core_program import sync

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the wheel."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


def test_pip_installs_the_core_as_documented(wheel: Path, tmp_path: Path) -> None:
    """The command of the guide installs a working core without Airflow, and all drivers that have wheels."""
    call(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    need_registry(python, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-cache-dir", "mdurl")
    call(python, "-m", "pip", "install", "--no-deps", wheel, "-r", CORE_REQUIREMENTS)
    assert "apache-airflow" not in call(python, "-m", "pip", "freeze")
    call(python, "-c", "import duckdb, psycopg, pymysql, cryptography")
    sync(Site(tmp_path), tmp_path / "venv" / "bin" / "airflow-sync")


@pytest.mark.parametrize("version", PYTHONS)
def test_the_core_works_on_each_python(version: str, wheel: Path, tmp_path: Path) -> None:
    """On every installed supported Python, the list installs without a compiler, and the core syncs."""
    python = find_python(version)
    call(UV, "venv", "--python", python, tmp_path / "venv")
    need_registry(UV, "pip", "install", "--python", tmp_path / "venv", "--dry-run", "--no-deps", "--no-cache", "mdurl")
    options = ["--python", tmp_path / "venv", "--no-deps", "--only-binary", ":all:"]
    call(UV, "pip", "install", *options, wheel, "-r", CORE_REQUIREMENTS)
    sync(Site(tmp_path), tmp_path / "venv" / "bin" / "airflow-sync")
