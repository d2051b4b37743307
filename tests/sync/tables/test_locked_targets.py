"""Targets that other sessions lock: one wait for all of them, and the tables that nobody locks are synced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.databases.mysql import session as mysql_session
from airflow_provider_sync.databases.postgresql import session as postgresql_session
from airflow_provider_sync.databases.sqlite import database as sqlite_database
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.lock_wait import BRIEF_WAIT
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import Opener, plan_run, run_steps
from airflow_provider_sync.sync.run_diff import diff_run
from airflow_provider_sync.sync.tables.version2.small_tables import LOCK_SECONDS, MAX_LOCKED
from tests.scenario import opened
from tests.sync.link import Link, linked
from tests.sync.tables.recorded_waits import Waits, recorded_waits

NAMES = ["a", "b", "c", "d", "e"]
LOCKED = NAMES[:4]

LOCKS = {
    "mariadb": ["LOCK TABLES a WRITE, b WRITE, c WRITE, d WRITE"],
    "mysql": ["LOCK TABLES a WRITE, b WRITE, c WRITE, d WRITE"],
    "postgresql": ["BEGIN", "LOCK TABLE a, b, c, d IN ACCESS EXCLUSIVE MODE"],
    "sqlite": ["BEGIN IMMEDIATE"],
}
"""How another session locks the tables; on SQLite, all tables of the database."""


SERVERS = ["mariadb", pytest.param("mysql", marks=pytest.mark.slow), "postgresql"]

where_readers_wait = pytest.mark.parametrize("engine", SERVERS, indirect=True)
"""The engines without SQLite, whose readers wait for nobody."""


@pytest.fixture(params=[*SERVERS, "sqlite"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name an engine, whose own limit is short."""
    monkeypatch.setattr(mysql_session, "_LOCK_SECONDS", 1)
    monkeypatch.setattr(postgresql_session, "_LOCK_MILLISECONDS", 1_000)
    monkeypatch.setattr(sqlite_database, "BUSY_SECONDS", 1)
    return str(request.param)


@pytest.fixture
def link(engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    """Link a source and a target that differ in each table."""
    source = f"sqlite:///{tmp_path_factory.mktemp('source') / 'source.db'}"
    with linked(source, request.getfixturevalue(f"{engine}_url")) as link:
        for name in NAMES:
            link.create(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)")
            link.source.execute(f"INSERT INTO {name} VALUES (1, 1), (2, 2)")
            link.target.execute(f"INSERT INTO {name} VALUES (1, 1), (2, 3)")
        yield link


@contextmanager
def locked(link: Link, engine: str) -> Iterator[None]:
    """Lock tables of the target in another session."""
    with opened(url_of(link)) as other, other.database.connect() as connection:
        for statement in LOCKS[engine]:
            connection.exec_driver_sql(statement)
        yield


def url_of(link: Link) -> str:
    """Return the URL of the target."""
    return link.target.database.engine.url.render_as_string(hide_password=False)


def assert_synced(link: Link, engine: str, statuses: Mapping[str, str]) -> None:
    """Check that exactly the tables that nobody locks were synced."""
    synced = [] if engine == "sqlite" else ["e"]
    assert [name for name, status in statuses.items() if status == "changed"] == synced
    assert [name for name in NAMES if link.target.rows(name) == [(1, 1), (2, 2)]] == synced


def assert_one_wait(waits: Waits) -> None:
    """Check that the first locked table was waited for as long as the engine does, and all others briefly."""
    waits = [wait for wait in waits if wait != LOCK_SECONDS]  # without those of the comparison of all tables at once
    assert waits[0] is None
    assert len(waits) >= len(LOCKED)
    assert set(waits[1:]) == {BRIEF_WAIT}


@contextmanager
def served(link: Link) -> Iterator[ClientConfig]:
    """Serve the tables, and give the configuration of a client for them."""
    offered = {"connections": {"source": link.source_url}, "tables": {name: {} for name in NAMES}}
    with RunningServer(ServerConfig.from_dict(offered)) as server:
        yield ClientConfig.from_dict(
            {
                "url": server.url,
                "protocol": link.protocol,
                "retries": 0,
                "connections": {"target": url_of(link)},
                "default_connection": "target",
                "single_transaction": False,
                "tables": {name: {} for name in NAMES},
            }
        )


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_one_wait_for_all(link: Link, engine: str, protocol: str) -> None:
    """With a transaction for each table, a run waits for the first locked table, briefly for others, and syncs the rest."""
    link.protocol = protocol
    with recorded_waits(link.target.database) as waits, locked(link, engine), pytest.raises(SyncFailed) as failed:
        link.sync(*NAMES, single_transaction=False)
    assert failed.value.retryable
    assert_one_wait(waits)
    # The comparison of all tables at once gives up after some locked ones; readers of SQLite wait for nobody.
    assert waits.count(LOCK_SECONDS) == (MAX_LOCKED if protocol == "2" and engine != "sqlite" else 0)
    assert_synced(link, engine, {report.name: report.status for report in failed.value.reports})


@where_readers_wait
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_one_wait_of_the_first_step(link: Link, engine: str, protocol: str) -> None:
    """The step that compares waits once, too, and the tables that nobody locks do not fail."""
    link.protocol = protocol
    with (
        served(link) as config,
        recorded_waits(link.target.database) as waits,
        locked(link, engine),
        pytest.raises(SyncFailed) as failed,
    ):
        run_steps.compare_tables(config, plan_run(config), opener=Opener(), run_id="r")
    assert_one_wait(waits)
    assert [report.name for report in failed.value.reports] == LOCKED


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_one_wait_of_the_last_step(link: Link, engine: str, protocol: str) -> None:
    """The step that merges waits once, too, and merges the tables that nobody locks."""
    link.protocol = protocol
    with served(link) as config:
        plan = plan_run(config)
        found = run_steps.compare_tables(config, plan, opener=Opener(), run_id="r")
        staged = run_steps.download_tables(config, plan, found.pieces, opener=Opener())
        with recorded_waits(link.target.database) as waits, locked(link, engine), pytest.raises(SyncFailed) as failed:
            run_steps.merge_tables(config, plan, staged, opener=Opener())
    assert_one_wait(waits)
    assert_synced(link, engine, {report.name: report.status for report in failed.value.reports})


@where_readers_wait
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_one_wait_of_a_diff(link: Link, engine: str, protocol: str) -> None:
    """A diff waits once, too, and tells the differences of the tables that nobody locks."""
    link.protocol = protocol
    with served(link) as config, recorded_waits(link.target.database) as waits, locked(link, engine):
        found = diff_run(config, plan_run(config))
    assert_one_wait(waits)
    assert {report.name: report.status for report in found.reports} == {**dict.fromkeys(LOCKED, "failed"), "e": "planned"}


def test_one_wait_for_another_sync(into: Link) -> None:
    """Tables that another sync holds are waited for once, too, on every engine."""
    for name in NAMES:
        into.create(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY)")
        into.source.execute(f"INSERT INTO {name} VALUES (1)")
    with into.target.database.exclusive(LOCKED, timeout=0), pytest.raises(SyncFailed) as failed:
        into.sync(*NAMES, single_transaction=False, lock_timeout=2)
    errors = {report.name: report.error for report in failed.value.reports if report.error}
    assert failed.value.retryable
    assert list(errors) == LOCKED
    assert "'a' has been at work for more than 2 seconds." in errors["a"]
    assert all(f"{name!r} has been at work for more than {BRIEF_WAIT} second." in errors[name] for name in LOCKED[1:])
    assert into.target.rows("e") == [(1,)]
