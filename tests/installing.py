"""Build the package as it is published, and install it into environments that have nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from publish.project import PYTHONS, ROOT

UV = Path(sys.executable).with_name("uv")
# Downloads take long where others use the network, too.
SECONDS = 900


def call(*command: str | Path) -> str:
    """Run a command and return what it wrote; a failure is an AssertionError that shows it."""
    ended = try_to_call(*command)
    assert ended.returncode == 0, f"{' '.join(map(str, command))}\n{ended.stdout[-5_000:]}"
    return ended.stdout


def try_to_call(*command: str | Path, stderr: int | None = subprocess.STDOUT) -> subprocess.CompletedProcess[str]:
    """Run a command without what the tests set for Python, and return how it ended.

    :param stderr: where its errors go, as `subprocess` takes it: into the output by default, to those of the tests for ``None``
    """
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=SECONDS,
        check=False,
    )


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


def build_wheel(folder: Path) -> Path:
    """Build the wheel as it is published."""
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def find_python(version: str) -> Path:
    """Return an interpreter of a version, such as ``3.12``; skip the test where there is none."""
    if python := _python(version):
        return python
    pytest.skip(f"Python {version} is not installed")


def find_newest_python() -> Path:
    """Return an interpreter of the newest supported version that there is."""
    return next(filter(None, map(_python, reversed(PYTHONS))))


def _python(version: str) -> Path | None:
    """Look for an interpreter; those of pyenv are found whether or not they are in the ``PATH``."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [sys.executable, shutil.which(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))]
    asks = "import sys; sys.exit('{}.{}'.format(*sys.version_info) != sys.argv[1])"
    for candidate in filter(None, candidates):
        # Also one of pyenv's that stands for no interpreter.
        if not try_to_call(candidate, "-c", asks, version).returncode:
            return Path(candidate)
    return None
