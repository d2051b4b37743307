"""Compute and compare the hashes of source and target, as version 1 does."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.version1_hash import hash_table, load_hasher
from airflow_provider_sync.exceptions import ServerError, TableError
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version1.source_zone import EQUAL_HASHES, find_zone
from airflow_provider_sync.time_zones import UTC, TimeZone


class HashComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing the hashes of source and target.

    :ivar source_hash: the hash that the source sent
    :ivar warnings: warnings for the report, about the comparison
    """

    differs: bool
    source_hash: str
    warnings: tuple[str, ...] = ()


def compare_hashes(client: SyncClient, database: Database, target: Target) -> HashComparison:
    """Request the source's hash, and compare it with the target's in each possible time zone of the source.

    :raises ServerError: if the source cannot hash the table
    """
    source_hash = client.get_table_hash(target.name)
    with database.connect() as connection:
        zone = find_zone(client, database, connection, target.table)
    for candidate, reason in ((zone.zone, zone.doubt), (zone.other, EQUAL_HASHES)):
        if candidate is not None and hash_target(database, target, candidate) == source_hash:
            decided = zone.decided(candidate, reason or "") if zone.doubt else zone
            return HashComparison(differs=False, source_hash=source_hash, warnings=decided.warnings(target.table))
    return HashComparison(differs=True, source_hash=source_hash)


def hash_target(database: Database, target: Target, zone: TimeZone = UTC, columns: Sequence[Column] | None = None) -> str | None:
    """Hash the target as version 1 does, in one snapshot; ``None`` if it has no primary key."""
    if target.options.hasher:
        return load_hasher(target.options.hasher).hash(database.engine, target.options)
    with database.snapshot() as connection:
        return hash_rows(database, connection, target, target.hashed_columns() if columns is None else columns, zone)


def hash_rows(
    database: Database, connection: Connection, target: Target, columns: Sequence[Column], zone: TimeZone
) -> str | None:
    """Hash rows of the target over an open connection; ``None`` if the table has no primary key to order them."""
    try:
        database.version1.hash_order(target.table)
    except TableError:
        return None
    return hash_table(database, connection, target.table, columns, zone)


def ask_hash(client: SyncClient, target: Target) -> str | None:
    """Request the source's hash; ``None`` if the source cannot hash the table."""
    try:
        return client.get_table_hash(target.name)
    except ServerError:
        return None


def hashed_in_order(target: Target, source_columns: Sequence[str]) -> tuple[Column, ...] | None:
    """Return the target's columns in the order in which the source hashes its own; ``None`` if only some are synced."""
    names = [target.options.renames.get(name, name) for name in source_columns]
    if target.options.columns or not {column.name for column in target.table.columns}.issuperset(names):
        return None
    columns = tuple(map(target.table.column, names))
    # The source does not send its invisible columns, but hashes them.
    return target.hashed_columns() if columns == target.table.visible else columns
