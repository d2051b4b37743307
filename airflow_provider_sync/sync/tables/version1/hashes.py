"""Compute and compare the hashes of source and target, as version 1 does."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.version1_hash import hash_table, hash_with
from airflow_provider_sync.exceptions import ServerError, naming_hasher
from airflow_provider_sync.protocol.v1 import EMPTY
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version1.column_mapping import map_sent_columns
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
    for candidate, evidence in ((zone.zone, zone.doubt), (zone.other, EQUAL_HASHES)):
        if candidate is not None and hash_target(database, target, candidate) == source_hash:
            unnamed = names_matter(target) and source_hash != EMPTY
            if unnamed and not _is_equal_by_name(client, database, target, candidate, source_hash):
                break
            decided = zone.decided(candidate, evidence or "") if zone.doubt else zone
            return HashComparison(differs=False, source_hash=source_hash, warnings=decided.warnings(target.table))
    return HashComparison(differs=True, source_hash=source_hash)


def names_matter(target: Target) -> bool:
    """Tell whether equal hashes must be confirmed by the names of the source's columns, which no hash covers.

    With ``renames``, values may be in the wrong columns in the very order in which the source hashes them: after a mistaken
    ``renames`` was corrected, for example.
    """
    options = target.options
    return bool(options.renames) and options.verify and not options.hasher


def _is_equal_by_name(client: SyncClient, database: Database, target: Target, zone: TimeZone, source_hash: str) -> bool:
    """Request the source's first rows for the order of its columns, and tell whether hashes are equal in it, too."""
    answer = client.get_table(target.name)
    if answer is None:
        return False
    with answer:
        if not next(iter(answer), []):
            return False
        orders = hashed_orders(target, answer.columns)
    own = target.hashed_columns()
    return own in orders or any(hash_target(database, target, zone, order) == source_hash for order in orders)


def hash_target(database: Database, target: Target, zone: TimeZone = UTC, columns: Sequence[Column] | None = None) -> str:
    """Hash the target as version 1 does, in one snapshot."""
    if target.options.hasher:
        with naming_hasher(target.options.hasher, SQLAlchemyError):
            return hash_with(target.options.hasher, database.engine, target.options)
    with database.snapshot() as connection:
        return hash_rows(database, connection, target, target.hashed_columns() if columns is None else columns, zone)


def hash_rows(database: Database, connection: Connection, target: Target, columns: Sequence[Column], zone: TimeZone) -> str:
    """Hash rows of the target over an open connection, in the order of the configured key if it has no primary key."""
    order = None if target.table.primary_key else target.key
    return hash_table(database, connection, target.table, columns, zone, order=order)


def ask_hash(client: SyncClient, target: Target) -> str | None:
    """Request the source's hash; ``None`` if the source cannot hash the table."""
    try:
        return client.get_table_hash(target.name)
    except ServerError:
        return None


def hashed_orders(target: Target, source_columns: Sequence[str]) -> list[tuple[Column, ...]]:
    """Return the orders of the target's columns in which a hash that equals the source's proves equal rows."""
    sent = map_sent_columns(target, source_columns).columns
    own = target.hashed_columns()
    ordered = hashed_in_order(target, source_columns)
    if ordered is None and {column.name for column in sent} == {column.name for column in own}:
        ordered = sent
    orders = [] if ordered is None else [ordered]
    # The source may hash further columns, which it does not send.
    if own not in orders and tuple(column for column in own if column in sent) == sent:
        orders.append(own)
    return orders


def hashed_in_order(target: Target, source_columns: Sequence[str]) -> tuple[Column, ...] | None:
    """Return the target's columns in the order in which the source hashes its own; ``None`` if only some are synced."""
    names = [target.options.renames.get(name, name) for name in source_columns]
    if target.options.columns or not {column.name for column in target.table.columns}.issuperset(names):
        return None
    columns = tuple(map(target.table.column, names))
    # The source does not send its invisible columns, but hashes them.
    return target.hashed_columns() if columns == target.table.visible else columns
