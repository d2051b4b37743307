"""``demo``: the first thing that a new user runs."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import pytest

from airflow_provider_sync.cli.demo.demo_failures import cause_of
from airflow_provider_sync.cli.main import main
from airflow_provider_sync.config import ClientConfig, ServerConfig

pytest.importorskip("airportsdata", reason="the demo's data is in the extra 'demo'")


def processes(session: int) -> set[int]:
    """Return the ids of a session's processes."""
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
    """The demo shows a first sync, a change and a skip, keeps its files if requested, and leaves no process running."""
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "demo", "--keep", str(tmp_path / "demo")]
    # In a session of its own, since others start processes in this one.
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, start_new_session=True) as demo:
        shown, complaints = demo.communicate(timeout=150)
    assert (demo.returncode, complaints) == (0, "")
    assert "skipped, nothing to do" in shown
    assert shown.count("airports   changed") + shown.count("airports  changed") == 2
    with closing(sqlite3.connect(tmp_path / "demo" / "target.db")) as database:
        (rows,) = database.execute("SELECT COUNT(*) FROM airports").fetchone()
    assert rows > 28_000
    assert (tmp_path / "demo" / "target" / "new" / "atlantis.csv").read_text() == "icao\n"
    assert processes(demo.pid) == set()
    kept = ServerConfig.from_yaml(tmp_path / "demo" / "server.yaml"), ClientConfig.from_yaml(tmp_path / "demo" / "client.yaml")
    assert [(list(config.tables), list(config.directories)) for config in kept] == [(["airports"], ["countries"])] * 2


def test_the_demo_says_in_three_lines_what_failed_and_what_to_do(tmp_path: Path) -> None:
    """An Airflow that fails makes three lines on standard error and exit code 3; the log that they name is still there."""
    (tmp_path / "structlog.py").write_text("raise ImportError('cannot import name X from structlog')\n")
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "demo"]
    before = set(Path(tempfile.gettempdir()).glob("airflow-sync-demo-*"))
    search = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    broken = {**os.environ, "PYTHONPATH": search, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=broken)
    what, with_what, remedy = ended.stderr.splitlines()
    assert ended.returncode == 3
    assert what.startswith("airflow-sync: The demo failed in 'airflow db migrate': ImportError: cannot import name X")
    assert re.search(r"Airflow \d.*fastapi \d.*pydantic \d", with_what)
    assert "with Airflow's constraints" in remedy
    log = Path(remedy.rpartition(" ")[2])
    assert "cannot import name X" in log.read_text()
    assert set(Path(tempfile.gettempdir()).glob("airflow-sync-demo-*")) == before
    assert list(tmp_path.glob("airflow-sync-demo-*")) == [log]


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ("", "it ended without a word"),
        ("Killed\n\n", "Killed"),
        (
            "  File 'x'\npydantic.errors.PydanticUserError: `X` is not defined\n",
            "pydantic.errors.PydanticUserError: `X` is not defined",
        ),
        (
            "[error ] Failed to import ModuleNotFoundError: No module named 'y'\nINFO: done\n",
            "ModuleNotFoundError: No module named 'y'",
        ),
        ("ImportError: no X\nairflow.exceptions.AirflowException: Dag not found\n", "ImportError: no X"),
        ("airflow.exceptions.AirflowException: Dag not found\n", "airflow.exceptions.AirflowException: Dag not found"),
        ("ValueError: " + "z" * 5_000 + "\n", "ValueError: " + "z" * 187 + "…"),
    ],
)
def test_the_cause_in_a_log(written: str, cause: str, tmp_path: Path) -> None:
    """The cause is the last exception of a log, else its last line, in at most 200 characters."""
    log = tmp_path / "airflow.log"
    log.write_text(written)
    assert cause_of(log) == cause


def test_the_demo_keeps_out_of_a_folder_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo writes only into a new folder."""
    (tmp_path / "mine").write_text("precious")
    assert main(["demo", "--keep", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
