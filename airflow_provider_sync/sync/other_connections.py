"""Connections of one run that lead to the same database server: which tables of one the other reaches, by which names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from secrets import token_hex

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.registry import is_same_file
from airflow_provider_sync.databases.schema import STAGING_PREFIX
from airflow_provider_sync.exceptions import SyncError, TableBusyError

OtherTables = Sequence[tuple[Callable[[], AbstractContextManager[Database]], Sequence[TargetTable]]]
"""For each other connection: a function that opens its database, and the tables that the run syncs into it."""


def with_tables_here(database: Database, tables: Iterable[TargetTable], others: OtherTables) -> Iterator[TargetTable]:
    """Yield tables of a database, then the tables of other connections that it reaches; skip connections that do not answer."""
    yield from tables
    for opened, there in others:
        with suppress(SyncError):
            yield from tables_here(database, opened, there)


def tables_here(
    database: Database, opened: Callable[[], AbstractContextManager[Database]], tables: Sequence[TargetTable]
) -> list[TargetTable]:
    """Return the tables of another connection by their names in this database; none if that is on another server.

    :raises SyncError: if the other database does not answer
    """
    with opened() as other:
        # A file is not opened a second time, under another name or with other options.
        is_here = is_same_file(database.engine, other.engine)
        reached = database if is_here else other
        with reached.connect() as connection:
            places = reached.catalog.places_of(connection, [table.table_name for table in tables])
        if not (is_here or (places and _share_locks(database, other, places[0][0]))):
            return []
    names = (f"{schema}.{name}" for schema, name in places)
    return [table.model_copy(update={"table": name}) for table, name in zip(tables, names, strict=True)]


def _share_locks(database: Database, other: Database, schema: str) -> bool:
    """Tell whether two connections lead to the same server: a lock with a random name, taken by one, is held for the other."""
    names = [f"{schema}.{STAGING_PREFIX}{token_hex(8)}"]
    with other.exclusive(names, timeout=0):
        try:
            with database.exclusive(names, timeout=0):
                return False
        except TableBusyError:
            return True
