"""The oldest versions that the core's requirements allow."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from publish.project import GROUPS, PYTHONS, ROOT
from tests.installing import SECONDS, UV, build_wheel, call, find_python, need_registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]

TOOLS = ("httpx2", "hypothesis", "jsonschema", "pytest", "pytest-timeout")
# Without servers, object stores and Airflow.
TESTS = ("tests/config", "tests/protocol", "tests/merge", "tests/client", "tests/test_config.py")
OTHER_ENGINES = "not mariadb and not mysql and not postgresql"


def test_the_core_works_with_the_oldest_versions_allowed(tmp_path: Path) -> None:
    """A twentieth of the core's tests, some of each file, passes on the oldest Python with each lower bound."""
    environment = tmp_path / "venv"
    call(UV, "venv", "--python", find_python(PYTHONS[0]), environment)
    need_registry(UV, "pip", "install", "--python", environment, "--dry-run", "--no-deps", "--no-cache", "mdurl")
    install = [UV, "pip", "install", "--python", environment]
    tools = [f"{name}=={version(name)}" for name in TOOLS]
    call(*install, "--resolution", "lowest-direct", *GROUPS["core"], *GROUPS["drivers"], *tools)
    # For its entry points; the tests take the modules from here.
    call(*install, "--no-deps", build_wheel(tmp_path))
    options = ["-q", "-p", "tests.without_airflow", "-p", "no:cacheprovider", "-m", "not slow", "-k", OTHER_ENGINES]
    ended = subprocess.run(
        [environment / "bin" / "python", "-m", "pytest", *options, *TESTS],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SYNC_TEST_ONE_IN": "20"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-5_000:]
