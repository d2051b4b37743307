"""Commands that are ended by a signal, in the middle of a statement that takes long, and while they wait for another sync."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from sqlalchemy import make_url

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.stuck_target import NEW, OLD, StuckTarget, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# Half a second on a quiet machine.
SECONDS = 60
# To shut connections down would hide a lost request.
PATIENT = """
import sys
from airflow_provider_sync import escalation
escalation.PATIENCE_SECONDS = 600.0
from airflow_provider_sync.cli.main import main
sys.exit(main())
"""


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a sync for as long as the block."""
    command = [sys.executable, "-c", PATIENT, "run", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def hears(process: subprocess.Popen[str]) -> bool:
    """Whether a command has got so far that it handles signals."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.quick_on("sqlite", "mariadb")
def test_a_sync_is_ended(database_url: str, tmp_path: Path) -> None:
    """A signal ends a merge, and a wait for a lock, at once; nothing is changed, locked, running or left behind."""
    if make_url(database_url).get_backend_name() == "duckdb":
        pytest.skip("DuckDB has no triggers, so nothing holds a merge up")
    target = StuckTarget(database_url, tmp_path)
    offered = {"connections": {"source": target.source_url}, "tables": {"t": {}}}
    config = tmp_path / "client.yaml"
    with RunningServer(ServerConfig.from_dict(offered)) as server:
        config.write_text(yaml.safe_dump({"url": server.url, "connections": {"local": target.url}, "tables": {"t": {}}}))
        with running(config) as merging:
            until(target.is_merging)
            with running(config) as waiting:
                until(lambda: hears(waiting))
                time.sleep(0.5)  # by now it waits; should it not, it ends all the same
                for process, number, code in (waiting, signal.SIGTERM, 143), (merging, signal.SIGINT, 130):
                    process.send_signal(number)
                    shown, said = process.communicate(timeout=SECONDS)
                    assert (process.returncode, shown, said.count("\n")) == (code, "", 1), said
                    assert number.name in said
        until(lambda: not target.is_merging(), SECONDS)
        assert target.rows() == OLD
        target.free()
        with running(config) as again:
            assert again.wait(60) == 0
    assert target.rows() == NEW
    assert target.other_tables() == []
    assert not list(tmp_path.glob("*.lock"))


STARTED = """
import os, signal, sys
from airflow_provider_sync.cli import program

class Impatient:
    def find_spec(self, name, *_):
        if name == "airflow_provider_sync.cli.main":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Impatient())
program.main()
"""


def test_ctrl_c_while_it_starts() -> None:
    """Ctrl-C ends a starting command like other programs, without a traceback."""
    ended = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")
