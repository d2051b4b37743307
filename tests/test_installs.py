"""What a new user does first: the built wheel, installed into an empty environment without any constraints, and the demo."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from publish.project import PROJECT
from tests.installing import SECONDS, UV, build_wheel, call, need_registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the wheel."""
    return build_wheel(tmp_path_factory.mktemp("dist"))


def with_uv(python: Path, *what: str) -> None:
    """Install by uv; its resolver chooses the newest release of what it looks at first."""
    call(UV, "pip", "install", "--python", python, *what)


def with_uv_lowest(python: Path, *what: str) -> None:
    """Install by uv the oldest releases that are allowed of what is required directly.

    The wheel is the direct requirement. Of what it requires itself, the oldest are taken, too; of Airflow and its providers
    they are not: an old Airflow needs its constraints, with which the tests beside older Airflows run.
    """
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["demo"]]
    ours = [line for line in lines if not line.startswith("apache-airflow")]
    call(UV, "pip", "install", "--python", python, "--resolution", "lowest-direct", *what, *ours)


def with_pip(python: Path, *what: str) -> None:
    """Install by pip, without compiling all of Airflow: Python compiles what is imported, and the demo imports a part."""
    call(python, "-m", "pip", "install", "--no-compile", *what)


@pytest.mark.parametrize("install", [with_uv, with_uv_lowest, with_pip])
def test_the_wheel_installs_and_the_demo_runs(install: Callable[..., None], wheel: Path, tmp_path: Path) -> None:
    """Without constraints, each installer gets the newest Airflow minor release, which runs the demo's tasks."""
    python = tmp_path / "bin" / "python"
    if install is with_pip:
        call(sys.executable, "-m", "venv", tmp_path)
        need_registry(python, "-m", "pip", "install", "--dry-run", "--no-deps", "--no-cache-dir", "apache-airflow")
    else:
        call(UV, "venv", "--allow-existing", "--python", sys.executable, tmp_path)
        need_registry(UV, "pip", "install", "--python", python, "--dry-run", "--no-deps", "--no-cache", "apache-airflow")
    install(python, f"{wheel}[demo]")
    shown = call(tmp_path / "bin" / "airflow-sync", "demo")
    assert "source and target are equal" in shown
    installed = call(python, "-c", "from importlib.metadata import version; print(version('apache-airflow'))").split(".")
    assert [int(number) for number in installed[:2]] >= [3, 3]
