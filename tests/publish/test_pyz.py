"""`airflow-sync.pyz`: one file, on a bare Python, in an empty environment."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from airflow_provider_sync import __version__
from publish.core_requirements import CORE_REQUIREMENTS
from publish.project import PYTHONS, read_requirements
from publish.pyz import build
from publish.sbom import write_sbom
from tests.cli.site import Site
from tests.installing import SECONDS, call, find_newest_python, find_python, need_registry, try_to_call
from tests.publish.core_program import sync

# The file takes two minutes to build: one worker does it.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS), pytest.mark.xdist_group("pyz")]


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the file."""
    need_registry(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", tmp_path_factory.mktemp("any"), "mdurl")
    target = tmp_path_factory.mktemp("dist") / "airflow-sync.pyz"
    build(target, machine=platform.machine())
    return target


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Give the beginning of a command that runs with an empty home and without any other variable."""
    return ["env", "-i", f"HOME={tmp_path_factory.mktemp('home')}", f"PATH={os.defpath}"]


@pytest.mark.parametrize("find", [partial(find_python, PYTHONS[0]), find_newest_python], ids=["oldest", "newest"])
def test_one_file_serves_and_syncs(find: Callable[[], Path], pyz: Path, empty: list[str], tmp_path: Path) -> None:
    """On the oldest and the newest installed Python, the file alone works, with all drivers and without Airflow."""
    interpreter = find()
    sync(Site(tmp_path), *empty, interpreter, pyz)
    python = [*empty, "PEX_INTERPRETER=1", interpreter, pyz]
    call(*python, "-c", "import duckdb, psycopg, pymysql, cryptography")
    assert "No module named 'airflow'" in try_to_call(*python, "-c", "import airflow").stdout


def test_the_demo_of_the_file_says_what_it_needs(pyz: Path, empty: list[str]) -> None:
    """Features that need Airflow say so in one line, and every other command shows its help."""
    program = [*empty, sys.executable, pyz]
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
