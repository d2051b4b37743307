"""What `airflow-sync.pyz` says at its first start, with a file of pex's that holds one line of Python."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from publish.project import ROOT

NOTICE = ROOT / ".ci" / "publish" / "unpacking_notice.py"


@pytest.fixture
def pyz(tmp_path: Path) -> Path:
    """Build a file with the notice."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "said.py").write_text("print('said')\n")
    target = tmp_path / "said.pyz"
    command = [Path(sys.executable).with_name("pex"), "--venv", "-D", folder, "-m", "said", "-o", target]
    subprocess.run([*command, "--preamble-file", NOTICE], check=True, capture_output=True)
    return target


def start(pyz: Path, root: Path, *, on_terminal: bool, **variables: str) -> str:
    """Start the file, and return what it writes to standard error.

    :param variables: of its environment, beside those of this process
    """
    environment = {**os.environ, "PEX_ROOT": str(root), **variables}
    reading, writing = pty.openpty() if on_terminal else os.pipe()
    with open(reading, "rb", buffering=0) as lines:  # noqa: PTH123  # a descriptor
        with subprocess.Popen([sys.executable, pyz], env=environment, stderr=writing, stdout=-1) as started:
            os.close(writing)
            assert started.communicate() == (b"said\n", None)
        try:
            return lines.read(10_000).decode()
        except OSError:
            # What Linux says at the end of a terminal that nobody writes to any more.
            return ""


def test_the_first_start_on_a_terminal_says_that_it_unpacks(pyz: Path, tmp_path: Path) -> None:
    """A terminal gets a line at the first start only; a pipe gets none."""
    root = tmp_path / "root"
    assert start(pyz, root, on_terminal=True) == f"Unpacking airflow-sync below {root}, once. This takes some seconds.\r\n"
    assert start(pyz, root, on_terminal=True) == ""
    assert start(pyz, tmp_path / "other", on_terminal=False) == ""


def test_it_is_said_once_where_pex_starts_again(pyz: Path, tmp_path: Path) -> None:
    """With a PYTHONPATH, pex starts itself again without it, and the line is still printed once."""
    said = start(pyz, tmp_path / "root", on_terminal=True, PYTHONPATH=str(tmp_path))
    assert said.count("Unpacking") == 1
