"""Write `core-requirements.txt`: all that the core and its drivers need without Airflow, in the versions that the tests run with.

The list is complete, so that ``pip install --no-deps`` takes it beside the package, whose own requirement on Airflow is left out.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from publish.project import CONSTRAINTS, PYTHONS, ROOT

CORE_REQUIREMENTS = ROOT / "docs" / "how-to" / "deploy" / "core-requirements.txt"
_HEADER = """\
# What airflow-provider-sync needs without Airflow; see docs/how-to/install-without-airflow.md.
# Made by `make core-requirements` from the groups `core` and `drivers` in pyproject.toml.
"""


def resolve(*, constraints: Path = CONSTRAINTS) -> str:
    """Return the text of the list, resolved for every supported Python; this asks the package index."""
    uv = Path(sys.executable).with_name("uv")
    groups = ["--group", "core", "--group", "drivers"]
    options = ["--quiet", "--universal", "--python-version", f"{PYTHONS[0]}.0", "--no-annotate", "--no-header"]
    command = [uv, "pip", "compile", *options, *groups, "--constraints", constraints]
    return _HEADER + subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    CORE_REQUIREMENTS.write_text(resolve(), encoding="utf-8")
