"""What a new user does first: the built wheel, installed into an empty environment without any constraints, and the demo."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
# Downloads take long where others use the network, too.
SECONDS = 900

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]


def call(*command: str | Path) -> str:
    """Run a command and return what it wrote; a failure is an AssertionError that shows it."""
    ended = try_to_call(*command)
    assert ended.returncode == 0, f"{' '.join(map(str, command))}\n{ended.stdout[-5_000:]}"
    return ended.stdout


def try_to_call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command without what the tests set for Python, and return how it ended; its output has both streams."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as it is published."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def need_registry(*command: str | Path) -> None:
    """Skip the test where a client reaches no package registry; where changes land there must be one.

    :param command: asks the registry for one package
    """
    ended = try_to_call(*command)
    if ended.returncode:
        last = ended.stdout.strip().splitlines()[-1:]
        reason = f"no package registry can be reached: {' '.join(last)}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def with_uv(python: Path, *what: str) -> None:
    """Install by uv; its resolver chooses the newest release of what it looks at first."""
    call(UV, "pip", "install", "--python", python, *what)


def with_uv_lowest(python: Path, *what: str) -> None:
    """Install by uv the oldest releases that are allowed of what is required directly.

    The wheel is the direct requirement. Of what it requires itself, the oldest are taken, too; of Airflow and its providers
    they are not: an old Airflow needs its constraints, with which the tests beside older Airflows run.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["demo"]]
    ours = [line for line in lines if not line.startswith("apache-airflow")]
    call(UV, "pip", "install", "--python", python, "--resolution", "lowest-direct", *what, *ours)


def with_pip(python: Path, *what: str) -> None:
    """Install by pip."""
    call(python, "-m", "pip", "install", *what)


@pytest.mark.parametrize("install", [with_uv, with_uv_lowest, with_pip])
def test_the_wheel_installs_and_the_demo_runs(install: Callable[..., None], wheel: Path, tmp_path: Path) -> None:
    """Without constraints each installer lands on an Airflow that runs the demo's tasks, and on no older minor release of it."""
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
