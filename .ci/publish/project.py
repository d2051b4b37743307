"""What `pyproject.toml` says about the project, for the steps of a release."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
DIST = ROOT / "dist"
"""Where everything that is published is written."""

_PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = _PYPROJECT["project"]
GROUPS: dict[str, list[str]] = _PYPROJECT["dependency-groups"]
"""Requirements of the core without Airflow (``core``), and of the drivers that have wheels (``drivers``)."""

_PYTHON = "Programming Language :: Python :: 3."
PYTHONS = tuple(line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith(_PYTHON))
"""The versions of Python that are supported, the oldest first: ``3.11``, ``3.12``, …"""


def read_requirements(path: Path) -> list[Requirement]:
    """Return the requirements in a file, without its comments."""
    return [Requirement(line) for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
