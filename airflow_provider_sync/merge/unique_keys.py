"""Unique keys beside the one that identifies rows: make room before rows take each other's values.

Values swapped or rotated between rows, ``(1,A),(2,B)`` to ``(1,B),(2,A)``, are normal input, but every engine checks a
unique key after each row. So each row that holds a value which another row is about to take is *parked* first: it gets
NULL, or a value that occurs in neither table. The update that follows gives it its final one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table
from sqlalchemy.types import NullType

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import StagedTable
from airflow_provider_sync.databases.schema import OP, Column, Op, Table, UniqueKey, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.placeholder_values import candidates

_CHUNK = 500
"""Candidates that are looked up at once."""

_MOST_CANDIDATES = 200_000
"""How many candidates are tried before giving up on a column whose values are all taken."""


def other_unique_keys(target: Table, key: Sequence[str], written: Sequence[Column]) -> tuple[UniqueKey, ...]:
    """Return the unique keys that a merge may run into: those with a column that it writes and that is not of the merge key.

    The primary key is one of them when rows are identified by something else. Keys that the database can check at the end
    of the transaction need nothing.
    """
    own = set(key)
    names = {column.name for column in written}
    primary = (UniqueKey(name="PRIMARY", columns=target.primary_key),) if target.primary_key else ()
    return tuple(
        unique
        for unique in (*primary, *target.unique_keys)
        if not unique.deferrable
        and set(unique.columns) & (names - own)
        and not any(target.column(name).generated for name in unique.columns)
    )


def park_conflicts(
    database: Database,
    connection: Connection,
    staged: StagedTable,
    work: Table,
    parked: Table,
    unique_keys: Sequence[UniqueKey],
    *,
    late: bool = False,
) -> None:
    """Move values out of the way of the updates that ``work`` lists.

    :param parked: an empty work table; it is empty again at the end
    :param late: whether there are rows that are deleted last, whose values new rows may take, too
    :raises TableError: when a row keeps the value that another one takes, or no free value can be had
    """
    for unique in unique_keys:
        conflict = _Conflict(database, connection, staged, unique)
        if not conflict.list_holders(work, parked, late=late):
            continue
        conflict.check_moving(work, parked)
        conflict.park(parked)
        connection.exec_driver_sql(f"DELETE FROM {database.qualified(parked)}")


class NotParkedError(TableError):
    """No free value can be had; the rows may still be updated in another way."""


class _Conflict:
    """One unique key of one merge."""

    def __init__(self, database: Database, connection: Connection, staged: StagedTable, unique: UniqueKey) -> None:
        self.database = database
        self.statements = database.statements
        self.connection = connection
        self.unique = unique
        self.label = f"{unique.name!r} ({', '.join(unique.columns)})"
        self.target = staged.target
        self.staging = staged.staging
        self.key_names = staged.key
        self.key = tuple(staged.target.column(name) for name in staged.key)
        self.sent = tuple(name for name in unique.columns if name in staged.columns)
        self.kept = tuple(name for name in unique.columns if name not in staged.columns)

    def list_holders(self, work: Table, parked: Table, *, late: bool) -> int:
        """Write the keys of rows that hold what another row is about to take into ``parked``, and count them."""
        taken = [self._equal(name, "h", "s") for name in self.sent] + [self._equal(name, "h", "m") for name in self.kept]
        mover = f" JOIN {self._table(self.target)} m ON {self.statements.match(self.key, 'm', 'w')}" if self.kept else ""
        movers = f"w.{OP} = '{Op.UPDATE}'"
        if late:
            goes = f"SELECT 1 FROM {self._table(work)} l WHERE l.{OP} = '{Op.DELETE_LAST}'"
            movers = f"({movers} OR (w.{OP} = '{Op.INSERT}' AND EXISTS ({goes} AND {self.statements.match(self.key, 'h', 'l')})))"
        self.connection.exec_driver_sql(
            f"INSERT INTO {self._table(parked)} ({self.database.columns((OP, *self.key_names))})"
            f" SELECT DISTINCT '{Op.PARK}', {self.database.columns(self.key_names, 'h')} FROM {self._table(work)} w"
            f" JOIN {self._table(self.staging)} s ON {self.statements.match(self.key, 's', 'w')}{mover}"
            f" JOIN {self._table(self.target)} h ON {' AND '.join(taken)}"
            f" WHERE {movers} AND NOT ({self.statements.match(self.key, 'h', 's')})"
        )
        return self.database.reader.count(self.connection, parked)

    def check_moving(self, work: Table, parked: Table) -> None:
        """Refuse when a row that holds a value is not about to give it up."""
        keeps = " AND ".join(self._equal(name, "t", "s") for name in self.sent)
        rows = self.connection.exec_driver_sql(
            f"SELECT COUNT(*) FROM {self._table(parked)} p"
            f" JOIN {self._table(self.target)} t ON {self.statements.match(self.key, 't', 'p')}"
            f" LEFT JOIN {self._table(self.staging)} s ON {self.statements.match(self.key, 's', 'p')}"
            f" WHERE ({self.statements.absent(self.key, 's')} OR ({keeps})) AND NOT EXISTS (SELECT 1 FROM {self._table(work)} l"
            f" WHERE l.{OP} = '{Op.DELETE_LAST}' AND {self.statements.match(self.key, 'l', 'p')})"
        ).scalar_one()
        if rows:
            raise TableError(
                f"{rows} rows keep values of the unique key {self.label} that other rows are to get. Either the source has values"
                " twice that this key calls equal, or rows outside the window have them: change the key or the values, or sync"
                " all that changed."
            )

    def park(self, parked: Table) -> None:
        """Give the listed rows NULL or free values."""
        column = self._column_to_park()
        batches = self.database.reader.read(self.connection, parked, parked.columns[1:])
        keys = [row for rows in batches for row in rows]
        free: Sequence[Value] = [None] * len(keys) if self._takes_null(column) else self._free_values(column, len(keys))
        statement, name, names = set_where_key(self.target, self.key, column)
        for key, value in zip(keys, free, strict=True):
            parts = zip(names, map(self.statements.parameter, self.key, key), strict=True)
            self.connection.execute(statement, {name: value, **dict(parts)})

    def _column_to_park(self) -> Column:
        """Choose a column of the unique key that the update will write again."""
        columns = [self.target.column(name) for name in self.sent if name not in self.key_names]
        for column in columns:
            if self._takes_null(column):
                return column
        for column in columns:
            if candidates(column) is not None:
                return column
        raise NotParkedError(
            f"rows exchange values of the unique key {self.label}, and no free value of"
            f" type {columns[0].sql_type} can be made to park them. Drop the key, or allow NULL in one of its columns."
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
        """Return a condition: two rows have the same value as the unique key sees it, collation included."""
        column = self.database.quote(name)
        equal = f"{left}.{column} = {right}.{column}"
        return equal if self.unique.nulls_distinct else f"({equal} OR ({left}.{column} IS NULL AND {right}.{column} IS NULL))"

    def _table(self, table: Table) -> str:
        return self.database.qualified(table)


def free_values(connection: Connection, tables: Sequence[Table], column: Column, wanted: int) -> list[Value]:
    """Find values of the column's type that occur in none of the tables; fewer where there are no more."""
    free: list[Value] = []
    offered = islice(candidates(column) or (), _MOST_CANDIDATES)
    while len(free) < wanted and (chunk := list(islice(offered, min(_CHUNK, wanted - len(free))))):
        free += _unused(connection, tables, column, chunk)
    return free


def _unused(connection: Connection, tables: Sequence[Table], column: Column, values: Sequence[Any]) -> Iterator[Value]:
    """Halve the values until each part is free as a whole, or is one that is taken: the database decides what is equal."""
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
    """Return the table with these columns, for statements that are put together by SQLAlchemy."""
    return sql_table(table.name, *(sql_column(name) for name in names), schema=table.schema)


def set_where_key(target: Table, key: Sequence[Column], column: Column) -> tuple[Any, str, list[str]]:
    """Return the statement that sets a column of the row with a key, and the names of its parameters: value, and key."""
    table = core_table(target, column.name, *(part.name for part in key))
    # No parameter may have the name of a column, and none of these is as short.
    prefix = "_" * max(map(len, (column.name, *(part.name for part in key))))
    names = [f"{prefix}{number}" for number in range(len(key))]
    found = (table.c[part.name] == bindparam(name, type_=NullType()) for part, name in zip(key, names, strict=True))
    value = f"{prefix}free"
    return update(table).where(*found).values({table.c[column.name]: bindparam(value, type_=NullType())}), value, names
