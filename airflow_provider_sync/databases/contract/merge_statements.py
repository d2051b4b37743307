"""Write the SQL of a merge: comparisons of keys and values, and the statements that change rows.

The defaults suit PostgreSQL and SQLite; MySQL overrides what differs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.listed_changes import ListedChanges, ListedRows
from airflow_provider_sync.databases.schema import OP, TEXTUAL, Column, Kind, Op, Table, Value

_NONE: Mapping[str, str] = {}

_GROUPED = 100
"""Number of conditions in one group of parentheses."""


class MergeStatements(DatabaseComponent):
    """Writes the conditions and statements of a merge."""

    overriding: ClassVar[str] = ""
    """Clause that lets an INSERT set identity columns."""

    straight_join: ClassVar[str] = "JOIN"
    """JOIN keyword that fixes the order of the tables; plain JOIN if the planner needs no hint."""

    def comparable(self, column: Column, alias: str) -> str:
        """Return an expression for the column whose values are equal only if their bytes are."""
        name = f"{alias}.{self.quote(column.name)}"
        return self.as_bytes(name) if column.kind in TEXTUAL else name

    def on_conflict(self, target: Table) -> str:
        """Return the clause that makes a write to the target fail if a row violates a constraint; empty if none is needed."""
        return ""

    @abstractmethod
    def as_bytes(self, expression: str) -> str:
        """Wrap a text expression so that it is compared by bytes, whatever its collation."""

    def same(self, column: Column, left: str, right: str) -> str:
        """Return the condition that both rows have the same value; NULL equals NULL, text is compared by bytes."""
        return f"{self.comparable(column, left)} IS NOT DISTINCT FROM {self.comparable(column, right)}"

    def all_same(self, columns: Sequence[Column], left: str, right: str) -> str:
        """Return the condition that both rows have the same values in all columns; without columns it is empty."""
        conditions = [self.same(column, left, right) for column in columns]
        # Each AND adds a level, and SQLite and DuckDB limit expressions to 1,000 levels.
        groups = [conditions[start : start + _GROUPED] for start in range(0, len(conditions), _GROUPED)]
        return " AND ".join(f"({' AND '.join(group)})" for group in groups)

    def match(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return the condition that both rows have the same key, by bytes, in a form that can use the key's index."""
        conditions = [self.equal(key, left, right)]
        conditions += [
            f"{self.comparable(column, left)} = {self.comparable(column, right)}" for column in key if column.kind in TEXTUAL
        ]
        return " AND ".join(conditions)

    def equal(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return the condition that the keys of both rows are equal in a unique index; their bytes may differ."""
        return " AND ".join(f"{left}.{self.quote(column.name)} = {right}.{self.quote(column.name)}" for column in key)

    def loosely_compared(self, key: Sequence[Column]) -> list[Column]:
        """Return the columns in which the database may treat different bytes as equal, such as ``ab`` and ``AB``."""
        return [column for column in key if self.comparable(column, "t") != f"t.{self.quote(column.name)}"]

    def absent(self, key: Sequence[Column], alias: str) -> str:
        """Return the condition that an outer join found no row for this alias; the key is never NULL."""
        return self.database.is_null(f"{alias}.{self.quote(key[0].name)}")

    def by_index(self, table: Table, alias: str, key: Sequence[str]) -> str:
        """Return the aliased table for a join that must use the index on these columns, whatever the statistics say."""
        return f"{self.qualified(table)} AS {alias}"

    def removed_rows(self, target: Table, removed: Table, key: Sequence[Column]) -> str:
        """Return the join of ``removed`` (alias ``r``) with the rows of ``target`` (alias ``t``) whose keys it lists."""
        names = [column.name for column in key]
        return f"{self.qualified(removed)} AS r JOIN {self.by_index(target, 't', names)} ON {self.match(key, 't', 'r')}"

    def parameter(self, column: Column, value: Value) -> Value:
        """Convert a value from :meth:`.Reader.read` to the type that the driver needs to compare it with the column."""
        return value

    def delete_listed(self, rows: ListedRows, op: Op = Op.DELETE) -> str:
        """Return the statement that deletes the rows listed under ``op``."""
        return (
            f"DELETE FROM {self.qualified(rows.target)} AS t USING {self.qualified(rows.work)} AS w"
            f" WHERE w.{OP} = '{op}' AND {self.match(rows.key, 't', 'w')}"
        )

    def rename_listed(self, changes: ListedChanges) -> str:
        """Return the statement that rewrites keys in place: rows listed under ``K`` get the bytes of the staged keys."""
        assignments = ", ".join(f"{self.quote(column.name)} = s.{self.quote(column.name)}" for column in changes.key)
        return (
            f"UPDATE{self.on_conflict(changes.target)} {self.qualified(changes.target)} AS t SET {assignments}"
            f" FROM {self._listed_staged(changes)}"
            f" WHERE w.{OP} = '{Op.RENAME}' AND {self.equal(changes.key, 't', 'w')}"
        )

    def update_listed(self, changes: ListedChanges, columns: Sequence[str], op: Op = Op.UPDATE) -> str:
        """Return the statement that sets ``columns`` to the staged values in the rows listed under ``op``."""
        assignments = ", ".join(f"{self.quote(name)} = s.{self.quote(name)}" for name in columns)
        return (
            f"UPDATE{self.on_conflict(changes.target)} {self.qualified(changes.target)} AS t SET {assignments}"
            f" FROM {self._listed_staged(changes)}"
            f" WHERE w.{OP} = '{op}' AND {self.match(changes.key, 't', 'w')}"
        )

    def _listed_staged(self, changes: ListedChanges) -> str:
        """Return the join of the work table (alias ``w``) with the staged rows (alias ``s``)."""
        staged = f"{self.qualified(changes.staging)} AS s ON {self.match(changes.key, 's', 'w')}"
        return f"{self.qualified(changes.work)} AS w JOIN {staged}"

    def set_listed(
        self, rows: ListedRows, values: Mapping[str, str], op: Op, *, kept: Iterable[Column], where: str, loosely: bool = False
    ) -> str:
        """Return the statement that sets columns to the same values in all rows listed under ``op``.

        :param values: SQL expressions by column
        :param kept: columns that must not change otherwise, although the database may change some of them in each UPDATE
        :param where: additional condition on the target row (alias ``t``)
        :param loosely: also find rows whose key is equal in a unique index but has other bytes
        """
        assignments = ", ".join(f"{self.quote(name)} = {value}" for name, value in values.items())
        found = self.equal(rows.key, "t", "w") if loosely else self.match(rows.key, "t", "w")
        return (
            f"UPDATE{self.on_conflict(rows.target)} {self.qualified(rows.target)} AS t SET {assignments}"
            f" FROM {self.qualified(rows.work)} AS w"
            f" WHERE w.{OP} = '{op}' AND {found} AND {where}"
        )

    def set_null(self, target: Table, columns: Sequence[str]) -> str:
        """Return the statement that sets columns to NULL in all rows in which one of them has a value."""
        kept = {name: self.quote(name) for name in self.self_changing(target.columns)}
        values = {**kept, **dict.fromkeys(columns, "NULL")}
        assignments = ", ".join(f"{self.quote(name)} = {value}" for name, value in values.items())
        has_value = " OR ".join(f"NOT ({self.database.is_null(self.quote(name))})" for name in columns)
        return f"UPDATE{self.on_conflict(target)} {self.qualified(target)} SET {assignments} WHERE {has_value}"

    def self_changing(self, columns: Iterable[Column]) -> list[str]:
        """Return the names of columns that the database may change in each UPDATE that does not assign them a value."""
        return []

    def time_literal(self, column: Column, moment: datetime) -> str:
        """Return a time as a literal for the column, with as many digits of a second as the column has.

        :param moment: in UTC, without a time zone
        """
        return f"'{time_text(column, moment)}'"

    def boolean_literal(self, column: Column, value: bool) -> str:
        """Return a literal of a truth value for a boolean or integer column."""
        return str(value).upper() if column.kind is Kind.BOOLEAN else str(int(value))

    def make_unequal(self, changes: ListedChanges, columns: Sequence[str], op: Op = Op.UPDATE) -> str | None:
        """Return a statement to run before :meth:`update_listed`, if the database skips updates to values that it calls equal.

        It replaces such values, so that the update writes the new ones; ``None`` if the database never skips an update.
        """
        return None

    def skips_update(self, column: Column) -> bool:
        """Whether an update cannot write a value that equals the stored one but has other bytes, even with :meth:`make_unequal`.

        Rows with such values are deleted and inserted again.
        """
        return False

    def insert_listed(
        self,
        changes: ListedChanges,
        columns: Sequence[str],
        *,
        op: Op = Op.INSERT,
        kept: Table | None = None,
        constants: Mapping[str, str] = _NONE,
    ) -> str:
        """Return the statement that inserts the staged rows listed under ``op``.

        :param kept: table with the values of further columns, with the same key
        :param constants: SQL expressions of columns that get the same value in all rows, by column
        """
        target, names = changes.target, changes.key_names
        others = [column.name for column in kept.columns if column.name not in names] if kept else []
        listed = ", ".join(filter(None, [self.columns(columns, "s"), self.columns(others, "k"), *constants.values()]))
        return (
            f"INSERT{self.on_conflict(target)} INTO {self.qualified(target)} ({self.columns([*columns, *others, *constants])})"
            f" {self.overriding}SELECT {listed}"
            f" FROM {self.qualified(changes.work)} AS w {self.straight_join} {self.by_index(changes.staging, 's', names)}"
            f" ON {self.match(changes.key, 's', 'w')}"
            + (f" JOIN {self.by_index(kept, 'k', names)} ON {self.match(changes.key, 'k', 'w')}" if kept else "")
            + f" WHERE w.{OP} = '{op}'"
        )

    def insert_all(self, target: Table, staging: Table, columns: Sequence[str], constants: Mapping[str, str] = _NONE) -> str:
        """Return the statement that inserts every staged row into an empty target.

        :param constants: see :meth:`insert_listed`
        """
        listed = ", ".join([self.columns(columns, "s"), *constants.values()])
        return (
            f"INSERT{self.on_conflict(target)} INTO {self.qualified(target)} ({self.columns([*columns, *constants])})"
            f" {self.overriding}SELECT {listed} FROM {self.qualified(staging)} AS s"
        )


def time_text(column: Column, moment: datetime) -> str:
    """Write a time in the form that all engines accept, cut to the column's digits of a second."""
    scale = 6 if column.scale is None else column.scale
    return f"{moment:%Y-%m-%d %H:%M:%S}" + (f".{moment.microsecond:06}"[: scale + 1] if scale else "")
