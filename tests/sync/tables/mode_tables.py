"""One source table, and a target table for each mode, which tests sync over one client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable, table_from_options
from airflow_provider_sync.databases.schema import Row
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from tests.sync.link import Link

MODES = ("upsert", "append", "soft_delete", "history")
ROWS = 200


class Copies:
    """Targets of the source table ``t``, which are named after their modes.

    :ivar link: both databases
    """

    def __init__(self, link: Link, client: SyncClient) -> None:
        self.link = link
        self.client = client

    def options(self, mode: str, **options: Any) -> TargetTable:
        """Return the options of the target of a mode."""
        return table_from_options("t", {"table": mode, "mode": mode, **options})

    def sync(self, mode: str, *, dry_run: bool = False, **options: Any) -> TableReport:
        """Sync the target of a mode."""
        return sync_tables(self.client, [self.options(mode, **options)], self.link.target.database, dry_run=dry_run)[0]

    def rows(self, table: str, where: str = "1 = 1", columns: str = "id, v") -> list[Row]:
        """Return rows of a target in the order of what is selected."""
        with self.link.target.database.connect() as connection:
            found = connection.exec_driver_sql(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {columns}")
            return [tuple(row) for row in found]

    def current(self, mode: str) -> list[Row]:
        """Return the rows of a target that must equal the source's."""
        ended = {"soft_delete": "deleted_at IS NULL", "history": "valid_to IS NULL"}
        return self.rows(mode, ended.get(mode, "1 = 1"))


def counts(report: TableReport) -> tuple[object, ...]:
    """Return what a test expects of a report: its status, and how many rows were inserted, updated and deleted."""
    return report.status, report.rows_inserted, report.rows_updated, report.rows_deleted


def source_rows(link: Link) -> list[Row]:
    """Return the source's rows in the order of their keys."""
    with link.source.database.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT id, v FROM t ORDER BY id, v")]


def create_targets(link: Link, key: str = "INTEGER") -> None:
    """Make an empty target for each mode."""
    columns = f"id {key} NOT NULL, v VARCHAR(20)"
    times = "valid_from {DATETIME} NOT NULL, valid_to {DATETIME} NULL, is_current BOOLEAN NOT NULL"
    link.target.execute(
        f"CREATE TABLE upsert ({columns}, PRIMARY KEY (id))",
        f"CREATE TABLE append ({columns}, PRIMARY KEY (id))",
        f"CREATE TABLE soft_delete ({columns}, deleted_at {{DATETIME}} NULL, PRIMARY KEY (id))",
        f"CREATE TABLE history ({columns}, {times}, PRIMARY KEY (id, valid_from))",
    )


@contextmanager
def copies(link: Link, key: str = "INTEGER", rows: int = ROWS, **offered: Any) -> Iterator[Copies]:
    """Make the source with the keys from 1 on, and an empty target for each mode.

    :param offered: options of the table at the server
    """
    values = ", ".join(f"({number}, 'v{number}')" for number in range(1, rows + 1))
    # INTEGER PRIMARY KEY: other keys of SQLite do not order its rows for the hash of version 1.
    link.source.execute(f"CREATE TABLE t (id {key} PRIMARY KEY, v VARCHAR(20))", f"INSERT INTO t VALUES {values}")
    create_targets(link, key)
    link.offered = {"t": offered}
    with link.client("t") as client:
        yield Copies(link, client)
