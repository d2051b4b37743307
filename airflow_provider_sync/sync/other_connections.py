"""Connections of one run that lead to one server: which of one's tables another one reaches, and under which names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from secrets import token_hex

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import STAGING_PREFIX
from airflow_provider_sync.exceptions import SyncError, TableBusyError

OtherTables = Sequence[tuple[Callable[[], AbstractContextManager[Database]], Sequence[TargetTable]]]
"""Databases of other connections, each opened when called, with tables that the run syncs into it."""


def with_tables_here(database: Database, tables: Iterable[TargetTable], others: OtherTables) -> Iterator[TargetTable]:
    """Yield tables of a database, then those of other connections that it reaches, as far as they can be asked."""
    yield from tables
    for opened, there in others:
        with suppress(SyncError):
            yield from tables_here(database, opened, there)


def tables_here(
    database: Database, opened: Callable[[], AbstractContextManager[Database]], tables: Sequence[TargetTable]
) -> list[TargetTable]:
    """Return tables of another connection, each by its name here; none where that leads to another server.

    :raises SyncError: when the other database does not answer
    """
    with opened() as other:
        with other.connect() as connection:
            places = other.catalog.places_of(connection, [table.table_name for table in tables])
        if not places or not _share_locks(database, other, places[0][0]):
            return []
    names = (f"{schema}.{name}" for schema, name in places)
    return [table.model_copy(update={"table": name}) for table, name in zip(tables, names, strict=True)]


def _share_locks(database: Database, other: Database, schema: str) -> bool:
    """Whether two connections lead to one server: a lock that one takes is held for the other, under a name that nobody has."""
    names = [f"{schema}.{STAGING_PREFIX}{token_hex(8)}"]
    with other.exclusive(names, timeout=0):
        try:
            with database.exclusive(names, timeout=0):
                return False
        except TableBusyError:
            return True
