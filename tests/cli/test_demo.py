"""``demo``: the first thing that a new user runs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_sync.cli.main import main

pytest.importorskip("airportsdata", reason="the demo's data is in the extra 'demo'")


def processes() -> set[int]:
    """Return the ids of this session's processes."""
    session = os.getsid(0)
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == session:
                found.add(int(path.name))
        except ProcessLookupError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_the_demo(tmp_path: Path) -> None:
    """The demo shows a first sync, a change and a skip, keeps what it made where asked to, and leaves nothing running."""
    before = processes()
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "demo", "--keep", str(tmp_path / "demo")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert (result.returncode, result.stderr) == (0, "")
    assert "skipped, nothing to do" in result.stdout
    assert result.stdout.count("airports   changed") + result.stdout.count("airports  changed") == 2
    with closing(sqlite3.connect(tmp_path / "demo" / "target.db")) as database:
        (rows,) = database.execute("SELECT COUNT(*) FROM airports").fetchone()
    assert rows > 28_000
    assert (tmp_path / "demo" / "target" / "new" / "atlantis.csv").read_text() == "icao\n"
    assert processes() <= before


def test_the_demo_keeps_out_of_a_folder_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo writes into a new folder only."""
    (tmp_path / "mine").write_text("precious")
    assert main(["demo", "--keep", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
