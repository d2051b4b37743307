"""Commands whose database hangs: a signal ends them all the same, and a history that hangs does not hold them up."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.own_servers import OwnServers
from tests.stuck_target import NEW, OLD, StuckTarget, until

SECONDS = 60
IMPATIENT = """
import sys
from airflow_provider_sync import escalation
from airflow_provider_sync.history import record_tables
escalation.PATIENCE_SECONDS = record_tables.ANSWER_SECONDS = 1.0
from airflow_provider_sync.cli.main import main
sys.exit(main())
"""
SLEEPS = {
    "mysql": "SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE state = 'User sleep'",
    "postgresql": ("SELECT format('SELECT pg_terminate_backend(%%s)', pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
}
"""Statements that end sessions."""


@pytest.fixture(scope="module")
def own_servers() -> Iterator[OwnServers]:
    """Give servers that may hang."""
    with OwnServers() as servers:
        yield servers


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a sync that waits for a database only briefly, for as long as the block."""
    command = [sys.executable, "-c", IMPATIENT, "run", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("driver", "number", "code"),
    [
        ("mysqldb", signal.SIGTERM, 143),
        ("pymysql", signal.SIGINT, 130),
        ("psycopg", signal.SIGINT, 130),
        ("psycopg2", signal.SIGTERM, 143),
    ],
)
def test_a_target_that_hangs(own_servers: OwnServers, tmp_path: Path, driver: str, number: signal.Signals, code: int) -> None:
    """A signal ends a merge whose database hangs, and names the database; it is as it was, and the next run cleans up."""
    engine = "postgresql" if driver.startswith("psycopg") else "mariadb"
    hanging = own_servers.server(engine)
    with own_servers.database(engine) as url:
        target = StuckTarget(url, tmp_path)
        client = {"connections": {"local": with_driver(url, driver)}, "tables": {"t": {}}}
        config = tmp_path / "client.yaml"
        with RunningServer(offering(target)) as server:
            config.write_text(yaml.safe_dump({"url": server.url, **client}))
            with running(config) as merging:
                until(target.is_merging)
                with hanging.hanging():
                    merging.send_signal(number)
                    shown, said = merging.communicate(timeout=SECONDS)
            *_, last = said.splitlines()
            assert (merging.returncode, shown) == (code, ""), said
            assert last.startswith(f"airflow-sync: ended by {number.name}. No answer from ")
            assert f":{make_url(url).port} (database '{make_url(url).database}')" in last
            assert "Traceback" not in said
            end_sleeps(target)
            assert target.rows() == OLD
            target.free()
            with running(config) as again:
                assert again.wait(60) == 0
        assert target.rows() == NEW
        assert target.other_tables() == []


@pytest.mark.parametrize("engine", ["mariadb", "postgresql"])
def test_a_history_that_hangs(own_servers: OwnServers, sqlite_url: str, tmp_path: Path, engine: str) -> None:
    """A sync whose history hangs goes on without it, with a warning that names the database."""
    target = StuckTarget(sqlite_url, tmp_path)
    target.free()
    with own_servers.database(engine) as url, RunningServer(offering(target)) as server:
        config = tmp_path / "client.yaml"
        client = {"connections": {"local": sqlite_url}, "tables": {"t": {}}, "history": f"{url}?connect_timeout=2"}
        config.write_text(yaml.safe_dump({"url": server.url, **client}))
        with own_servers.server(engine).hanging(), running(config) as syncing:
            _, said = syncing.communicate(timeout=60)
        assert syncing.returncode == 0, said
        assert "The history of this sync could not be written" in said
    assert target.rows() == NEW


def offering(target: StuckTarget) -> ServerConfig:
    """Offer the table that a target lacks a change of."""
    return ServerConfig.from_dict({"connections": {"source": target.source_url}, "tables": {"t": {}}})


def with_driver(url: str, driver: str) -> str:
    """Return the URL with a driver."""
    parsed = make_url(url)
    return parsed.set(drivername=f"{parsed.get_backend_name()}+{driver}").render_as_string(hide_password=False)


def end_sleeps(target: StuckTarget) -> None:
    """End the statement that goes on in the database, which does not look whether its client has gone while it sleeps."""
    with closing(create_engine(target.url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()) as connection:
        for statement in connection.exec_driver_sql(SLEEPS[make_url(target.url).get_backend_name()]).scalars().all():
            connection.exec_driver_sql(statement)
    until(lambda: not target.is_merging())
