"""The tables of one merge, and what its parts have in common: they read and write them over one connection."""

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
    """A target, its staging table and the work tables, which are empty and were created before the transaction.

    :ivar work: takes the keys of the rows that differ
    :ivar parked: takes the keys of rows that exchange values of a unique key; it is empty again afterwards
    :ivar kept: takes the values of columns that the merge does not write; ``None`` without such columns or the privilege
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
        """Those of them that the merge writes, since the target does not compute them."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def loses_columns(self) -> bool:
        """Whether there are columns that the merge does not write, but no table for their values."""
        return self.kept is None and bool(columns_left_alone(self.staged))


class MergePart:
    """A part of one merge, by statements over its connection."""

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
    """Return the columns that neither the merge writes nor the database computes, including a hidden row id."""
    target = staged.target
    columns = [column for column in target.columns if column.name not in staged.columns and not column.generated]
    if target.row_id:
        columns.append(Column(name=target.row_id, kind=Kind.INTEGER, sql_type="INTEGER", nullable=False))
    return tuple(columns)
