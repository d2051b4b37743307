"""Free values of unique keys, besides the merge key, before rows exchange them.

Values swapped or rotated between rows, ``(1,A),(2,B)`` to ``(1,B),(2,A)``, are normal input, but every engine checks a
unique key after each row. So a row whose value another row is about to take is *parked* first: it gets NULL, or a value
that occurs in neither table. The update that follows gives it its final value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType

from airflow_provider_sync.databases.schema import OP, Column, Op, Table, UniqueKey, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.merge_tables import MergePart, MergeTables
from airflow_provider_sync.merge.placeholder_values import candidates

_CANDIDATES_PER_QUERY = 500
"""Candidates per query."""

_MAX_CANDIDATES = 200_000
"""Candidates to try before concluding that a column has no free values."""


def other_unique_keys(target: Table, key: Sequence[str], written: Sequence[Column]) -> tuple[UniqueKey, ...]:
    """Return the unique keys that a merge may violate: those with a written column that is not in the merge key.

    The primary key is included if it is not the merge key. Deferrable keys are left out, since the database checks them
    at the end of the transaction.
    """
    names = {column.name for column in written} - set(key)
    primary = (UniqueKey(name="PRIMARY", columns=target.primary_key),) if target.primary_key else ()
    return tuple(
        unique
        for unique in (*primary, *target.unique_keys)
        if not unique.deferrable
        and set(unique.columns) & names
        and not any(target.column(name).generated for name in unique.columns)
    )


def park_conflicts(tables: MergeTables, *, taken_by: Op = Op.UPDATE, leave: Collection[str] = ()) -> None:
    """Park the rows whose values the listed rows are about to take.

    :param taken_by: which listed rows: ``UPDATE``, or ``INSERT`` for the rows whose values belong to rows that are deleted last
    :param leave: names of columns that get no placeholder values
    :raises TableError: if a row keeps a value that another one takes, or if there is no free value
    """
    try:
        for unique in other_unique_keys(tables.staged.target, tables.staged.key, tables.written):
            conflict = _Conflict(tables, unique, leave)
            if conflict.list_holders(taken_by):
                conflict.check_moving()
                conflict.park()
                tables.connection.exec_driver_sql(f"DELETE FROM {tables.database.qualified(tables.parked)}")
    except SQLAlchemyError as error:
        if not tables.database.is_constraint(error):
            raise
        constraint = "foreign key" if tables.database.is_orphan(error) else "CHECK or a domain"
        raise NotParkedError(
            f"rows exchange values of a unique key, and a {constraint} allows no others that they could have meanwhile."
            " Drop the key or that constraint for one sync, or allow NULL in a column of the key."
        ) from error


def values_kept_by(mode: str) -> tuple[str, str]:
    """Return, for an error message, why a mode keeps rows whose unique values other rows need, and what to do."""
    kept = "rows of the target are not changed and" if mode == "append" else "rows that the source lacks"
    return (
        f"With mode {mode}, {kept} keep their values of unique keys.",
        "Remove the row that has the value, or drop the unique key.",
    )


class NotParkedError(TableError):
    """No placeholder value is free to park a row; the caller may still update the rows in another way."""


class _Conflict(MergePart):
    """The rows of one merge that exchange values of one unique key."""

    def __init__(self, tables: MergeTables, unique: UniqueKey, leave: Collection[str]) -> None:
        super().__init__(tables)
        self.unique = unique
        self.leave = leave
        self.label = f"{unique.name!r} ({', '.join(unique.columns)})"
        self.staging = self.staged.staging
        self.mode = self.staged.mode.name
        self.parked = tables.parked
        self.sent = tuple(name for name in unique.columns if name in self.staged.columns)
        self.kept = tuple(name for name in unique.columns if name not in self.staged.columns)

    def list_holders(self, taken_by: Op) -> int:
        """List the keys of rows whose values another row is about to take; return their number."""
        taken = [self._equal(name, "h", "s") for name in self.sent] + [self._equal(name, "h", "m") for name in self.kept]
        join, by_index, key = self.statements.straight_join, self.statements.by_index, self.staged.key
        mover = f" {join} {by_index(self.target, 'm', key)} ON {self.statements.match(self.key, 'm', 'w')}" if self.kept else ""
        movers = f"w.{OP} = '{taken_by}'"
        if taken_by is Op.INSERT:
            goes = f"SELECT 1 FROM {self._table(self.work)} l WHERE l.{OP} = '{Op.DELETE_LAST}'"
            movers += f" AND EXISTS ({goes} AND {self.statements.match(self.key, 'h', 'l')})"
        self._execute(
            f"INSERT INTO {self._table(self.parked)} ({self.database.columns((OP, *self.staged.key))})"
            f" SELECT DISTINCT '{Op.PARK}', {self.database.columns(self.staged.key, 'h')} FROM {self._table(self.work)} w"
            f" {join} {by_index(self.staging, 's', key)} ON {self.statements.match(self.key, 's', 'w')}{mover}"
            f" {join} {by_index(self.target, 'h', self.unique.columns)} ON {' AND '.join(taken)}"
            f" WHERE {movers} AND NOT ({self.statements.match(self.key, 'h', 's')})"
        )
        return self.database.reader.count(self.connection, self.parked)

    def check_moving(self) -> None:
        """Check that every listed row gives up its value in this merge.

        :raises TableError: if a row keeps its value
        """
        keeps = " AND ".join(self._equal(name, "t", "s") for name in self.sent)
        by_index, key = self.statements.by_index, self.staged.key
        rows = self._count(
            f"SELECT COUNT(*) FROM {self._table(self.parked)} p"
            f" {self.statements.straight_join} {by_index(self.target, 't', key)} ON {self.statements.match(self.key, 't', 'p')}"
            f" LEFT JOIN {by_index(self.staging, 's', key)} ON {self.statements.match(self.key, 's', 'p')}"
            f" WHERE ({self.statements.absent(self.key, 's')} OR ({keeps}))"
            f" AND NOT EXISTS (SELECT 1 FROM {self._table(self.work)} l"
            f" WHERE l.{OP} = '{Op.DELETE_LAST}' AND {self.statements.match(self.key, 'l', 'p')})"
        )
        if rows:
            why, advice = (
                "Either the source has values twice that this key calls equal, or rows outside the window have them.",
                "Change the key or the values, or sync all that changed.",
            )
            if self.mode != "mirror":
                why, advice = values_kept_by(self.mode)
            raise TableError(f"{rows} rows keep values of the unique key {self.label} that other rows are to get. {why} {advice}")

    def park(self) -> None:
        """Set the listed rows' column to NULL or to free values."""
        column = self._column_to_park()
        batches = self.database.reader.read(self.connection, self.parked, self.parked.columns[1:])
        keys = [row for rows in batches for row in rows]
        values: Sequence[Value] = [None] * len(keys) if self._takes_null(column) else self._free_values(column, len(keys))
        statement, name, names = set_where_key(self.target, self.key, column)
        for key, value in zip(keys, values, strict=True):
            key_parameters = zip(names, map(self.statements.parameter, self.key, key), strict=True)
            self.connection.execute(statement, {name: value, **dict(key_parameters)})

    def _column_to_park(self) -> Column:
        """Choose a column of the unique key that the update will write again."""
        names = [name for name in self.sent if name not in self.staged.key]
        columns = [self.target.column(name) for name in names if name not in self.leave]
        for column in columns:
            if self._takes_null(column):
                return column
        for column in columns:
            if candidates(column) is not None:
                return column
        sql_type = self.target.column(names[0]).sql_type
        raise NotParkedError(
            f"rows exchange values of the unique key {self.label}, and no free value of type {sql_type} can be made to park"
            " them. Drop the key, or allow NULL in one of its columns."
        )

    def _takes_null(self, column: Column) -> bool:
        return column.nullable and self.unique.nulls_distinct and column.name not in self.target.primary_key

    def _free_values(self, column: Column, wanted: int) -> list[Value]:
        """Find values that occur in neither table."""
        free = free_values(self.connection, (self.target, self.staging), column, wanted)
        if len(free) < wanted:
            raise NotParkedError(
                f"rows exchange values of the unique key {self.label}, and column {column.name!r}"
                f" has no free values left to park {wanted} rows. Drop the key, or allow NULL in one of its columns."
            )
        return free

    def _equal(self, name: str, left: str, right: str) -> str:
        """Return the condition that two rows' values are equal by the column's collation, as the unique key compares them."""
        equal = self.statements.equal([self.target.column(name)], left, right)
        both_null = " AND ".join(self.database.is_null(f"{alias}.{self.database.quote(name)}") for alias in (left, right))
        return equal if self.unique.nulls_distinct else f"({equal} OR ({both_null}))"

    def _table(self, table: Table) -> str:
        return self.database.qualified(table)


def free_values(connection: Connection, tables: Sequence[Table], column: Column, wanted: int) -> list[Value]:
    """Find values of the column's type that occur in none of the tables; fewer if there are not enough."""
    free: list[Value] = []
    offered = islice(candidates(column) or (), _MAX_CANDIDATES)
    while len(free) < wanted and (chunk := list(islice(offered, min(_CANDIDATES_PER_QUERY, wanted - len(free))))):
        free += _unused(connection, tables, column, chunk)
    return free


def _unused(connection: Connection, tables: Sequence[Table], column: Column, values: Sequence[Any]) -> Iterator[Value]:
    """Yield the values that occur in no table.

    The database decides which values are equal, so a list with a taken value is halved until each taken value is isolated.
    """
    if not any(_occurs(connection, table, column.name, values) for table in tables):
        yield from values
    elif len(values) > 1:
        middle = len(values) // 2
        yield from _unused(connection, tables, column, values[:middle])
        yield from _unused(connection, tables, column, values[middle:])


def _occurs(connection: Connection, table: Table, name: str, values: Sequence[Any]) -> bool:
    where = core_table(table, name)
    listed = bindparam(None, list(values), expanding=True, type_=NullType())
    return bool(connection.execute(select(func.count()).select_from(where).where(where.c[name].in_(listed))).scalar_one())


def core_table(table: Table, *names: str) -> Any:
    """Return the table with these columns, for statements that SQLAlchemy builds."""
    return sql_table(table.name, *(sql_column(name) for name in names), schema=table.schema)


def set_where_key(target: Table, key: Sequence[Column], column: Column) -> tuple[Any, str, list[str]]:
    """Return the statement that sets a column in the row with a given key.

    :return: the statement, the name of the value's parameter, the names of the key's parameters
    """
    table = core_table(target, column.name, *(key_column.name for key_column in key))
    # SQLAlchemy refuses parameters named like a column, so their names are longer than any column's.
    prefix = "_" * max(map(len, (column.name, *(key_column.name for key_column in key))))
    names = [f"{prefix}{number}" for number in range(len(key))]
    found = (table.c[key_column.name] == bindparam(name, type_=NullType()) for key_column, name in zip(key, names, strict=True))
    value = f"{prefix}free"
    return update(table).where(*found).values({table.c[column.name]: bindparam(value, type_=NullType())}), value, names
