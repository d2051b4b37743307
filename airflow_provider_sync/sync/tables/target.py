"""Match the options of a target with the table in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.ddl import StagingLayout
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.databases.session_rules import check_all_rows_seen
from airflow_provider_sync.databases.table_mode import MIRROR, TableMode
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.merge.without_rollback import refuse_without_rollback
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.protocol.v2.messages import KeyRange
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync.tables.mode_columns import resolve_mode

_ANY_SCALE = LogicalType(kind=LogicalKind.DECIMAL)
"""The type of a decimal without a fixed scale, which keeps trailing zeros."""


class SyncedColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The columns to sync for a target that lacks columns of its source or has columns that are too narrow.

    :ivar source: the source's columns to sync; ``None`` for all that the options select
    :ivar left_out: the source's columns that ``on_schema_change`` leaves out
    :ivar widening: columns of the target that a run would widen, and that a dry run does not compare
    """

    source: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    widening: tuple[str, ...] = ()


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A target table, its options, and the columns that identify a row.

    :ivar table: the table without the columns of its mode; see :mod:`.mode_columns`
    :ivar key: columns of the target that identify a row: the configured ones or its primary key
    :ivar key_range: lowest and highest key of the rows to sync; ``None`` for all rows
    :ivar trailing_zeros: columns of the source whose decimals keep their trailing zeros in the target
    :ivar synced: the columns to sync, if some that the options select do not fit the target
    :ivar schema_changes: the changes made to the target's table, or that a run would make, one phrase for each
    :ivar is_new: whether this run has created the table
    """

    options: TargetTable
    table: Table
    key: tuple[str, ...]
    key_range: KeyRange | None = None
    trailing_zeros: tuple[str, ...] = ()
    synced: SyncedColumns = SyncedColumns()
    schema_changes: tuple[str, ...] = ()
    mode: TableMode = MIRROR
    is_new: bool = False

    @property
    def name(self) -> str:
        """The name under which the source offers the table."""
        return self.options.name

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key."""
        return tuple(self.table.column(name) for name in self.key)

    @property
    def key_layout(self) -> StagingLayout:
        """The layout of a staging table for keys of the target's rows."""
        return StagingLayout(target=self.table, columns=self.key_columns, primary_key=self.key)

    def check_rollback(self) -> None:
        """Refuse a table without transactions, unless an option accepts it.

        :raises TableError: naming the option
        """
        if not self.options.allow_non_transactional:
            refuse_without_rollback(self.table)

    def hashed_columns(self) -> tuple[Column, ...]:
        """Return the columns to hash in version 1 while the source's columns are not known: those that the options select."""
        if not self.options.columns:
            return self.table.columns
        wanted = {*self.key, *(self.options.renames.get(name, name) for name in self.options.columns)}
        return tuple(column for column in self.table.columns if column.name in wanted)

    def gone_columns(self, received: Iterable[str], *, protocol: Literal[1, 2]) -> tuple[str, ...]:
        """Return the names of columns that the source no longer has and that the option ``gone_columns`` sets to NULL.

        :param received: columns of the target that the source sends
        """
        if self.options.gone_columns == "keep":
            return ()
        known = {*received, *self.synced.widening}
        # Version 1 sends no INVISIBLE columns.
        own = (column for column in self.table.columns if not (column.generated or column.system))
        return tuple(column.name for column in own if column.name not in known and not (protocol == 1 and column.invisible))

    def staged(
        self,
        staging: Table,
        columns: Sequence[str],
        *,
        key: tuple[str, ...],
        rows: int,
        removed: Table | None,
        target_rows: int,
        protocol: Literal[1, 2],
    ) -> StagedTable:
        """Return the description of staged rows for the merge; see :class:`.StagedTable`."""
        return StagedTable(
            target=self.table,
            staging=staging,
            key=key,
            columns=tuple(columns),
            rows=rows,
            verify=self.options.verify,
            removed=removed,
            target_rows=target_rows,
            mode=self.mode,
            gone=self.gone_columns(columns, protocol=protocol),
        )

    def selected(self, source_columns: Sequence[str]) -> dict[int, str]:
        """Return the target's names for the source columns to sync, by position; the key is always among them."""
        names = {position: self.options.renames.get(name, name) for position, name in enumerate(source_columns)}
        chosen = self.options.columns or source_columns
        return {at: name for at, name in names.items() if source_columns[at] in chosen or name in self.key}


def with_row_security(database: Database, tables: Iterable[TargetTable]) -> Database:
    """Return the database, with sessions that accept row security if any of these tables allows it."""
    return database.with_session(allow_row_security=any(table.allow_row_security for table in tables))


def resolve_target(database: Database, connection: Connection, options: TargetTable, described: Table | None = None) -> Target:
    """Describe the target table, and determine its key.

    :param described: the target database's description of the table, if known
    :raises MissingTableError: if the table does not exist
    :raises TableError: if it has no key and none is configured, a configured key column is missing, row security hides rows, or
        the mode needs columns or a key that the table lacks
    """
    table = described or database.catalog.describe(connection, options.table_name)
    check_all_rows_seen(table, options.table_name, allowed=options.allow_row_security)
    mode, table = resolve_mode(database, connection, options, table)
    key = options.primary_key or table.primary_key
    if not key:
        raise TableError(f"Table {options.table_name!r} has no primary key. Name one with 'primary'.")
    names = {column.name for column in table.columns}
    missing = [name for name in key if name not in names]
    if missing:
        raise TableError(
            f"Table {options.table_name!r} has no column {missing[0]!r}, which 'primary' names."
            f"{did_you_mean(missing[0], names)} Its columns: {', '.join(sorted(names))}."
        )
    return Target(
        options=options,
        table=table,
        key=key,
        mode=mode,
        trailing_zeros=_columns_with_trailing_zeros(database, table, options),
    )


def _columns_with_trailing_zeros(database: Database, table: Table, options: TargetTable) -> tuple[str, ...]:
    """Return the source columns whose target is a decimal without a fixed scale; generated columns are left out."""
    names = {target: source for source, target in options.renames.items()}
    return tuple(
        names.get(column.name, column.name)
        for column in table.columns
        if not column.generated and database.catalog.logical_type(column) == _ANY_SCALE
    )
