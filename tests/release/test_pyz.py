"""`airflow-sync.pyz`: one file, on a bare Python, in an empty environment."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from airflow_provider_sync import __version__
from release.core_requirements import CORE_REQUIREMENTS
from release.project import PYTHONS, read_requirements
from release.pyz import build
from release.sbom import write_sbom
from tests.cli.site import Site
from tests.installing import SECONDS, call, find_python, need_registry, try_to_call
from tests.release.core_program import sync

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the file."""
    need_registry(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", tmp_path_factory.mktemp("any"), "mdurl")
    target = tmp_path_factory.mktemp("dist") / "airflow-sync.pyz"
    build(target, machine=platform.machine())
    return target


@pytest.mark.parametrize("version", PYTHONS)
def test_one_file_serves_and_syncs_on_each_python(version: str, pyz: Path, tmp_path: Path) -> None:
    """The file runs on each Python that there is, from an empty home, with all drivers and without Airflow."""
    interpreter = find_python(version)
    empty = ["env", "-i", f"HOME={tmp_path}", f"PATH={os.defpath}"]
    sync(Site(tmp_path), *empty, interpreter, pyz)
    python = [*empty, "PEX_INTERPRETER=1", interpreter, pyz]
    shown = call(*python, "-c", "import duckdb, psycopg, pymysql, cryptography, sys; print(sys.version)")
    assert shown.startswith(f"{version}.")
    assert "No module named 'airflow'" in try_to_call(*python, "-c", "import airflow").stdout


def test_the_demo_of_the_file_says_what_it_needs(pyz: Path, tmp_path: Path) -> None:
    """What needs Airflow says so in one line, and every other command shows its help."""
    program = ["env", "-i", f"HOME={tmp_path}", f"PATH={os.defpath}", sys.executable, pyz]
    ended = try_to_call(*program, "demo")
    assert (ended.returncode, ended.stdout.count("\n")) == (2, 1)
    assert "needs Airflow, which is not installed here" in ended.stdout
    assert "serve" in call(*program, "--help")


def test_the_bill_of_materials_lists_what_is_inside(pyz: Path, tmp_path: Path) -> None:
    """The bill names the package's version, and each library of the list in its version, and nothing else."""
    write_sbom(pyz, tmp_path / "sbom.json")
    listed = json.loads((tmp_path / "sbom.json").read_text())
    inside = {canonicalize_name(component["name"]): component["version"] for component in listed["components"]}
    pins = {
        canonicalize_name(entry.name): str(entry.specifier).removeprefix("==")
        for entry in read_requirements(CORE_REQUIREMENTS)
        if entry.marker is None or entry.marker.evaluate()
    }
    assert inside == pins
    assert listed["metadata"]["component"]["version"] == __version__
