"""A task that Airflow ends while the database of its target hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.own_servers import OwnServers
from tests.stuck_target import OLD, StuckTarget, until

TASK = """
import signal, sys
from datetime import timedelta
from airflow_provider_sync.operators.table_sync import TableSyncOperator

task = TableSyncOperator(task_id="sync", tables="t", sync_conn_id="source", target_conn_id="target")
signal.signal(signal.SIGTERM, lambda *_: task.on_kill())  # as Airflow's task runner does
try:
    task.execute({})
except Exception as error:
    print(type(error).__name__, error)
"""
SECONDS = 60


@pytest.fixture(scope="module")
def own_servers() -> Iterator[OwnServers]:
    """Give servers that may hang."""
    with OwnServers() as servers:
        yield servers


@pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
def test_on_kill(own_servers: OwnServers, engine: str, tmp_path: Path) -> None:
    """The task ends by itself before Airflow would kill it, and its error names the database that did not answer."""
    with own_servers.database(engine) as url:
        target = StuckTarget(url, tmp_path)
        offered = {"connections": {"source": target.source_url}, "tables": {"t": {}}}
        with RunningServer(ServerConfig.from_dict(offered)) as server:
            scheme = {"mariadb": "mysql", "postgresql": "postgres"}[engine]
            connections = {
                "AIRFLOW_CONN_SOURCE": f'{{"conn_type": "sync", "host": "{server.url}"}}',
                "AIRFLOW_CONN_TARGET": make_url(url).set(drivername=scheme).render_as_string(hide_password=False),
            }
            environment = {**os.environ, **connections}
            with subprocess.Popen([sys.executable, "-c", TASK], env=environment, stdout=subprocess.PIPE, text=True) as task:
                until(target.is_merging)
                with own_servers.server(engine).hanging():
                    task.send_signal(signal.SIGTERM)
                    said, _ = task.communicate(timeout=SECONDS)
        assert f"AirflowException The task was ended by SIGTERM. No answer from {target_name(engine)}" in said
        assert f"(database '{make_url(url).database}'): the connections to it were closed." in said
        assert target.rows() == OLD


def target_name(engine: str) -> str:
    """Return how messages call a database."""
    return {"mariadb": "MariaDB at 127.0.0.1", "postgresql": "PostgreSQL at 127.0.0.1"}[engine]
