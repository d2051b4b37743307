"""The SQL of a merge on SQLite."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_sync.databases.contract.merge_statements import MergeStatements
from airflow_provider_sync.databases.listed_changes import ListedChanges, ListedRows
from airflow_provider_sync.databases.schema import OP, Column, Kind, Op, Table
from airflow_provider_sync.databases.sqlite.text import logical_type
from airflow_provider_sync.protocol.v2.types import LogicalKind

_MAX_JOINED = 1_900
"""Maximum columns that a join sets, which adds columns to the result; SQLite allows 2,000 by default."""


class SQLiteMergeStatements(MergeStatements):
    """Compares every column by its bytes, since any column may contain text.

    If constraints have ON CONFLICT clauses, writes override them by ``OR ABORT``: ``UNIQUE … ON CONFLICT REPLACE`` would delete
    rows that are not synced, without an error, and ``ON CONFLICT IGNORE`` would leave rows out. Otherwise writes do not use ``OR
    ABORT``, since it would also override the statements of triggers, such as ``INSERT OR IGNORE``.
    """

    def on_conflict(self, target: Table) -> str:
        """Override ON CONFLICT clauses of the table's constraints."""
        return " OR ABORT" if target.resolves_conflicts else ""

    def comparable(self, column: Column, alias: str) -> str:
        """Compare by bytes: whatever its type, a column may contain text, and have a collation."""
        return self.as_bytes(f"{alias}.{self.quote(column.name)}")

    def loosely_compared(self, key: Sequence[Column]) -> list[Column]:
        """Return the columns with an explicit collation, and the columns without a type, in which 1 equals 1.0."""
        return [column for column in key if column.collation or _keeps_any_type(column)]

    def match(self, key: Sequence[Column], left: str, right: str) -> str:
        """Compare keys by bytes, and also by type if a column can store any type."""
        conditions = [super().match(key, left, right)]
        conditions += [self._same_type(column, left, right) for column in key if _keeps_any_type(column)]
        return " AND ".join(conditions)

    def as_bytes(self, expression: str) -> str:
        """Override the column's collation."""
        return f"{expression} COLLATE BINARY"

    def same(self, column: Column, left: str, right: str) -> str:
        """Compare with IS, which every version has; in a column that can store any type, 1 and 1.0 are different values.

        A computed decimal is a floating-point number on SQLite, such as 1.6500000000000001 for 1.65, so round it to its scale.
        """
        same = f"{self.comparable(column, left)} IS {self.comparable(column, right)}"
        if column.generated and column.kind is Kind.DECIMAL and column.precision is not None:
            here, there = (f"{alias}.{self.quote(column.name)}" for alias in (left, right))
            numbers = " AND ".join(f"typeof({value}) IN ('integer', 'real')" for value in (here, there))
            return f"({same} OR {numbers} AND round({here}, {column.scale or 0}) IS round({there}, {column.scale or 0}))"
        return f"({same} AND {self._same_type(column, left, right)})" if _keeps_any_type(column) else same

    def _same_type(self, column: Column, left: str, right: str) -> str:
        name = self.quote(column.name)
        return f"typeof({left}.{name}) = typeof({right}.{name})"

    def update_listed(self, changes: ListedChanges, columns: Sequence[str], op: Op = Op.UPDATE) -> str:
        """Set very many columns by a subquery, whose result has only these columns."""
        if len(columns) <= _MAX_JOINED:
            return super().update_listed(changes, columns, op)
        listed = f"w.{OP} = '{op}' AND {self.match(changes.key, 't', 'w')}"
        return (
            f"UPDATE{self.on_conflict(changes.target)} {self.qualified(changes.target)} AS t SET ({self.columns(columns)}) ="
            f" (SELECT {self.columns(columns, 's')} FROM {self._listed_staged(changes)} WHERE {listed})"
            f" WHERE EXISTS (SELECT 1 FROM {self.qualified(changes.work)} AS w WHERE {listed})"
        )

    def delete_listed(self, rows: ListedRows, op: Op = Op.DELETE) -> str:
        """Find the rows by key and delete them by row id or primary key, since SQLite has no DELETE with a join."""
        target = rows.target
        identity = (target.row_id,) if target.row_id else target.primary_key
        return (
            f"DELETE FROM {self.qualified(target)} WHERE ({self.columns(identity)}) IN"
            f" (SELECT {self.columns(identity, 't')} FROM {self.qualified(rows.work)} AS w"
            f" JOIN {self.qualified(target)} AS t ON {self.match(rows.key, 't', 'w')} WHERE w.{OP} = '{op}')"
        )


def _keeps_any_type(column: Column) -> bool:
    return logical_type(column).kind is LogicalKind.ANY
