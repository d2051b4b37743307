"""A backup that begins during a run that makes tables: what waits for its locks waits once, not once for each table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from sqlalchemy import Connection

from airflow_provider_sync.databases import lock_waits
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import SyncFailed, TableError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables import pipeline, transaction_sync
from tests.scenario import opened
from tests.sync.link import Link, linked
from tests.sync.tables.recorded_waits import recorded_waits
from tests.sync.tables.test_clean_up import BACKUP

NAMES = ["a", "b", "c", "d"]


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow), "postgresql"])
def link(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Link]:
    """Link a source whose tables refer to each other and an empty target."""
    with linked(sqlite_url, request.getfixturevalue(f"{request.param}_url")) as link:
        link.protocol = "2"
        for number, name in enumerate(NAMES):
            parent = NAMES[max(0, number - 1)]
            link.source.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, up INTEGER REFERENCES {parent} (id))")
            link.source.execute(f"INSERT INTO {name} VALUES (1, 1)")
        yield link


@pytest.fixture
def backup(link: Link) -> Iterator[Connection]:
    """Open a session for a backup of the target."""
    url = link.target.database.engine.url.render_as_string(hide_password=False)
    with opened(url) as session, session.database.connect() as connection:
        yield connection


def begin(backup: Connection) -> None:
    """Begin the backup."""
    engine = "mysql" if backup.dialect.name == "mysql" and not getattr(backup.dialect, "is_mariadb", False) else "mariadb"
    for statement in BACKUP["postgresql" if backup.dialect.name == "postgresql" else engine]:
        backup.exec_driver_sql(statement.format(", ".join(NAMES)))


def sync(link: Link) -> list[TableReport]:
    """Make and fill the tables."""
    return link.sync(*NAMES, options={name: {"create_table": True, "create_indexes": True} for name in NAMES})


def test_undoing_waits_once(link: Link, backup: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a run fails, the tables that it made are dropped again; those that are locked stay, as the error says."""
    monkeypatch.setattr(lock_waits, "CLEAN_UP_WAIT", 2)
    monkeypatch.setattr(lock_waits, "ALL_CLEAN_UP_WAITS", 3)

    def fail(*_: Any) -> NoReturn:
        begin(backup)
        raise TableError("It fails.")

    monkeypatch.setattr(transaction_sync.TransactionSync, "_stage_and_merge", fail)
    with recorded_waits(link.target.database) as waits, pytest.raises(SyncFailed) as raised:
        sync(link)
    assert waits in ([2], [2, 1])
    assert all(f"Table {name!r} was made, and stays" in str(raised.value) for name in NAMES)


def test_foreign_keys_wait_once(link: Link, backup: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreign keys that cannot be added in time are a warning of each table, and the next run adds them."""
    add = pipeline.add_foreign_keys
    waiting = Database.waiting
    asked: list[int] = []

    def ask(database: Database, seconds: int) -> Database:
        asked.append(seconds)
        return waiting(database, seconds)

    def add_later(database: Any, *arguments: Any, **options: Any) -> Any:
        if backup.dialect.name == "postgresql":
            # A backup of PostgreSQL is not in the way of foreign keys; a long transaction that writes is.
            backup.exec_driver_sql("BEGIN")
            backup.exec_driver_sql(f"LOCK TABLE {', '.join(NAMES)} IN ROW EXCLUSIVE MODE")
        else:
            begin(backup)
        limited = database.waiting(5)
        with recorded_waits(link.target.database) as waits, pytest.MonkeyPatch.context() as patched:
            patched.setattr(Database, "waiting", ask)
            added = add(limited, *arguments, **options)
        assert len(waits) == len(NAMES), "each table is tried"
        assert asked == [1, 1, 1], "the first one as long as the limit, the others briefly"
        return added

    monkeypatch.setattr(pipeline, "add_foreign_keys", add_later)
    reports = sync(link)
    assert [link.target.rows(name) for name in NAMES] == [[(1, 1)]] * len(NAMES)
    assert all(any("foreign keys: " in text for text in report.warnings) for report in reports)
