"""The tables of one merge, and the base class of the merge's parts, which run statements on them over one connection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.merge.staged_table import StagedTable


@dataclass(frozen=True, kw_only=True)
class MergeTables:
    """A target, its staging table and its work tables; the work tables were created, empty, before the transaction.

    :ivar work: work table for the keys of the rows that differ
    :ivar parked: work table for the keys of rows that exchange values of a unique key; emptied after use
    :ivar kept: work table for the values of columns that the merge does not write; ``None`` if there are no such columns, or the
        user may not create it
    """

    database: Database
    connection: Connection
    staged: StagedTable
    work: Table
    parked: Table
    kept: Table | None

    @cached_property
    def key(self) -> tuple[Column, ...]:
        """The columns that identify a row."""
        return tuple(map(self.staged.target.column, self.staged.key))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The staged columns, as the target has them."""
        return tuple(map(self.staged.target.column, self.staged.columns))

    @cached_property
    def written(self) -> tuple[Column, ...]:
        """The staged columns that the merge writes: all that the target does not compute."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def loses_columns(self) -> bool:
        """Whether deleting and reinserting a row loses values: the merge does not write some columns, and no table keeps them."""
        return self.kept is None and bool(columns_left_alone(self.staged))


class MergePart:
    """A part of one merge, which runs statements over the merge's connection."""

    def __init__(self, tables: MergeTables) -> None:
        self.tables = tables
        self.database = tables.database
        self.statements = tables.database.statements
        self.connection = tables.connection
        self.staged = tables.staged
        self.target = tables.staged.target
        self.work = tables.work
        self.key = tables.key
        self.written = tables.written

    def _execute(self, statement: str) -> None:
        self.connection.exec_driver_sql(statement)

    def _count(self, statement: str) -> int:
        return cast("int", self.connection.exec_driver_sql(statement).scalar_one())


def columns_left_alone(staged: StagedTable) -> tuple[Column, ...]:
    """Return the target's columns that the merge does not write and the database does not compute; with the hidden row id."""
    target = staged.target
    columns = [column for column in target.columns if column.name not in staged.columns and not column.generated]
    if target.row_id:
        columns.append(Column(name=target.row_id, kind=Kind.INTEGER, sql_type="INTEGER", nullable=False))
    return tuple(columns)
