"""Compute the version 1 hash of a table: inside its database where that is exact, otherwise from one stream of its rows.

The engines render values; :mod:`airflow_provider_sync.protocol.v1.table_hash` computes the chain of hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Protocol, cast

from sqlalchemy import Connection, Engine

from airflow_provider_sync.config import TableConfig
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Kind, Row, Table
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.protocol.v1 import EMPTY
from airflow_provider_sync.protocol.v1.table_hash import TableHash
from airflow_provider_sync.time_zones import UTC, TimeZone


class TableHasher(Protocol):
    """A user-defined class that replaces the version 1 hash; client and server need the same one."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Return the hash of the table, ``--EMPTY--`` for an empty table."""


def hash_table(
    database: Database,
    connection: Connection,
    table: Table,
    columns: Sequence[Column] | None = None,
    zone: TimeZone = UTC,
    *,
    order: Sequence[str] | None = None,
) -> str:
    """Compute the version 1 hash of a table.

    :param connection: usually one of :meth:`~.base.Database.snapshot`
    :param columns: columns to hash, in this order; ``None`` for every column of the table, including generated and invisible ones
    :param zone: the time zone in which timestamptz values are hashed
    :param order: columns to sort the rows by, if there is no primary key; ``None`` for the order of the table
    :return: 40 hex digits, or ``--EMPTY--``
    :raises TableError: when the table has no primary key, and no ``order`` is given
    """
    columns = table.columns if columns is None else tuple(columns)
    if order is not None:
        batches: Iterator[Sequence[Row]] = database.reader.read(connection, table, columns, order_by=order)
    else:
        database.version1.hash_order(table)  # refuses a table without a key
        inside = database.version1.hash_in_database(connection, table, columns, zone)
        if inside is not None:
            return inside
        batches = database.version1.read_in_hash_order(connection, table, columns)
    renderers = [database.version1.hash_column(column, columns) for column in columns]
    chain = TableHash()
    for rows in in_zone(database, columns, batches, zone):
        # Render column by column, which takes a C loop per column and batch instead of a Python call per value.
        fields = [render(values) for render, values in zip(renderers, zip(*rows, strict=True), strict=True)]
        chain.update(zip(*fields, strict=True))
    return chain.hexdigest()


def zoned_places(database: Database, columns: Sequence[Column]) -> list[int]:
    """Return the positions of the columns whose text depends on a time zone."""
    return (
        [place for place, column in enumerate(columns) if column.kind is Kind.TIMESTAMP]
        if database.version1.keeps_instants
        else []
    )


def in_zone(
    database: Database, columns: Sequence[Column], batches: Iterable[Sequence[Row]], zone: TimeZone
) -> Iterator[Sequence[Row]]:
    """Convert the timestamptz values of :meth:`~.contract.read.Reader.read` from UTC to a time zone."""
    places = [] if zone.is_utc else zoned_places(database, columns)
    if not places:
        yield from batches
        return
    for rows in batches:
        values = list(zip(*rows, strict=True))
        for place in places:
            values[place] = tuple(zone.from_utc(values[place]))
        yield list(zip(*values, strict=True))


def hash_with(path: str, engine: Engine, table: TableConfig) -> str:
    """Return the hash that a user-defined class makes of a table.

    :param path: the import path of the class
    :raises ConfigurationError: if there is no such class, or its hash is no text
    """
    found: object = load_hasher(path).hash(engine, table)
    if not isinstance(found, str) or not found:
        raise ConfigurationError(
            f"hasher is {path!r}, which returned {'an empty text' if found == '' else type(found).__name__} for table"
            f" {table.name!r}. Let it return a text, and {EMPTY!r} for an empty table."
        )
    return found


def load_hasher(path: str) -> TableHasher:
    """Return an instance of the hasher class with the import path ``package.module.Class``.

    :raises ConfigurationError: if there is no such class, its constructor needs arguments, or it has no ``hash``
    """
    module, _, name = path.rpartition(".")
    try:
        hasher = getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"hasher is {path!r}, which cannot be made: {error}. Give the import path of a class."
        ) from error
    if not callable(getattr(hasher, "hash", None)):
        raise ConfigurationError(f"hasher is {path!r}, which has no method hash(engine, table).")
    return cast("TableHasher", hasher)
