"""Load rows into SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.load import Loader
from airflow_provider_sync.databases.null_refusals import null_column, null_refusal
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column, Row, Table
from airflow_provider_sync.databases.sqlite.affinities import affinity_of
from airflow_provider_sync.databases.sqlite.session import INSERT_INTO, driver_of
from airflow_provider_sync.databases.sqlite.text import SECONDS, expression, logical_type
from airflow_provider_sync.databases.sqlite.text_load import load_blocks
from airflow_provider_sync.databases.sqlite.value_load import load_rows
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.protocol.v2.types import LogicalKind

# User tables may have any name but these.
_TARGET, _STAGING, _PAIRS, _UPDATED = (f"{STAGING_PREFIX}{name}" for name in ("target", "staging", "pairs", "updated"))

_MANY_FORMS = SECONDS | {LogicalKind.UUID, LogicalKind.BYTES}
"""Kinds of keys that SQLite stores in several forms: times with any digits, UUIDs in either case, text instead of bytes."""


class SQLiteLoader(Loader):
    """Inserts received values unchanged, or refuses them."""

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """See :func:`.value_load.load_rows`."""
        with _naming_null(staging):
            return load_rows(connection, staging, self._insert(staging, staging.columns), batches)

    def load_text(
        self,
        connection: Connection,
        staging: Table,
        columns: Sequence[CanonicalColumn],
        blocks: Iterable[bytes],
        *,
        is_digested: bool = False,
    ) -> int:
        """See :func:`.text_load.load_blocks`."""
        insert = self._insert(staging, [column.column for column in columns])
        with _naming_null(staging):
            return load_blocks(connection, staging, insert, columns, blocks)

    def _insert(self, staging: Table, columns: Sequence[Column]) -> str:
        names = self.columns([column.name for column in columns])
        return f"{INSERT_INTO} {self.qualified(staging)} ({names}) VALUES ({', '.join('?' * len(columns))})"

    def adopt_keys(self, connection: Connection, target: Table, staging: Table, key: Sequence[CanonicalColumn]) -> None:
        """Replace a staged key by the target's form of it, if the target has a row whose key has the same canonical text.

        Version 2 compares keys by their canonical texts, but the merge compares them by their bytes.
        """
        columns = [column.column for column in key]
        if not any(logical_type(column).kind in _MANY_FORMS for column in columns):
            return
        names = [self.quote(column.name) for column in columns]

        def listed(table: str) -> str:
            texts = (
                f"CAST({expression(name, logical_type(column), affinity_of(column.sql_type))} AS TEXT) AS c{number}"
                for number, (column, name) in enumerate(zip(columns, names, strict=True))
            )
            stored = (f"{name} AS k{number}" for number, name in enumerate(names))
            return f"MATERIALIZED (SELECT {', '.join([*texts, *stored])} FROM {table})"

        numbers = range(len(columns))
        same = " AND ".join(f"t.c{number} = s.c{number}" for number in numbers)
        other = " OR ".join(f"t.k{number} IS NOT s.k{number} COLLATE BINARY" for number in numbers)
        forms = ", ".join(f"s.k{number} AS s{number}, t.k{number} AS t{number}" for number in numbers)
        changes = ", ".join(f"{name} = {_PAIRS}.t{number}" for number, name in enumerate(names))
        found = " AND ".join(f"{_UPDATED}.{name} IS {_PAIRS}.s{number} COLLATE BINARY" for number, name in enumerate(names))
        driver_of(connection).execute(
            f"WITH {_TARGET} AS {listed(self.qualified(target))}, {_STAGING} AS {listed(self.qualified(staging))},"
            f" {_PAIRS} AS (SELECT {forms} FROM {_STAGING} AS s JOIN {_TARGET} AS t ON {same} WHERE {other})"
            f" UPDATE {self.qualified(staging)} AS {_UPDATED} SET {changes}"
            f" FROM {_PAIRS} WHERE {found}"
        )


@contextmanager
def _naming_null(table: Table) -> Iterator[None]:
    """Convert the error about NULL in a column that is NOT NULL."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        if (column := null_column(str(error), table)) is None:
            raise
        raise null_refusal(table, column, "in SQLite, by creating the table again") from error
