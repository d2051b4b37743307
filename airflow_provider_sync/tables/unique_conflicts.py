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

from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.parking_values import candidates
from airflow_provider_sync.tables.schema import OP, Column, Table, UniqueKey, Value
from airflow_provider_sync.tables.staged_table import StagedTable

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
    database: Database, connection: Connection, staged: StagedTable, work: Table, parked: Table, unique_keys: Sequence[UniqueKey]
) -> None:
    """Move values out of the way of the updates that ``work`` lists.

    :param parked: an empty work table; it is empty again at the end
    :raises TableError: when a row keeps the value that another one takes, or no free value can be had
    """
    for unique in unique_keys:
        conflict = _Conflict(database, connection, staged, unique)
        if not conflict.list_holders(work, parked):
            continue
        conflict.check_moving(parked)
        conflict.park(parked)
        connection.exec_driver_sql(f"DELETE FROM {database.qualified(parked)}")


class _Conflict:
    """One unique key of one merge."""

    def __init__(self, database: Database, connection: Connection, staged: StagedTable, unique: UniqueKey) -> None:
        self.database = database
        self.connection = connection
        self.unique = unique
        self.label = f"{unique.name!r} ({', '.join(unique.columns)})"
        self.target = staged.target
        self.staging = staged.staging
        self.key_names = staged.key
        self.key = tuple(staged.target.column(name) for name in staged.key)
        self.sent = tuple(name for name in unique.columns if name in staged.columns)
        self.kept = tuple(name for name in unique.columns if name not in staged.columns)

    def list_holders(self, work: Table, parked: Table) -> int:
        """Write the keys of rows that hold what another row is about to take into ``parked``, and count them."""
        taken = [self._equal(name, "h", "s") for name in self.sent] + [self._equal(name, "h", "m") for name in self.kept]
        mover = f" JOIN {self._table(self.target)} m ON {self.database.match(self.key, 'm', 'w')}" if self.kept else ""
        self.connection.exec_driver_sql(
            f"INSERT INTO {self._table(parked)} ({self.database.columns((OP, *self.key_names))})"
            f" SELECT DISTINCT 'P', {self.database.columns(self.key_names, 'h')} FROM {self._table(work)} w"
            f" JOIN {self._table(self.staging)} s ON {self.database.match(self.key, 's', 'w')}{mover}"
            f" JOIN {self._table(self.target)} h ON {' AND '.join(taken)}"
            f" WHERE w.{OP} = 'U' AND NOT ({self.database.match(self.key, 'h', 's')})"
        )
        return self.database.count(self.connection, parked)

    def check_moving(self, parked: Table) -> None:
        """Refuse when a row that holds a value is not about to give it up."""
        keeps = " AND ".join(self._equal(name, "t", "s") for name in self.sent)
        rows = self.connection.exec_driver_sql(
            f"SELECT COUNT(*) FROM {self._table(parked)} p"
            f" JOIN {self._table(self.target)} t ON {self.database.match(self.key, 't', 'p')}"
            f" LEFT JOIN {self._table(self.staging)} s ON {self.database.match(self.key, 's', 'p')}"
            f" WHERE {self.database.absent(self.key, 's')} OR ({keeps})"
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
        batches = self.database.read(self.connection, parked, parked.columns[1:])
        keys = [row for rows in batches for row in rows]
        free: Sequence[Value] = [None] * len(keys) if self._takes_null(column) else self._free_values(column, len(keys))
        target = self._core_table(self.target, column.name, *self.key_names)
        # No parameter may have the name of a column, and none of these is as short.
        prefix = "_" * max(map(len, (column.name, *self.key_names)))
        names = [f"{prefix}{number}" for number in range(len(self.key_names))]
        statement = (
            update(target)
            .where(
                *(target.c[part] == bindparam(name, type_=NullType()) for part, name in zip(self.key_names, names, strict=True))
            )
            .values({target.c[column.name]: bindparam(f"{prefix}free", type_=NullType())})
        )
        for key, value in zip(keys, free, strict=True):
            parts = zip(names, map(self.database.parameter, self.key, key), strict=True)
            self.connection.execute(statement, {f"{prefix}free": value, **dict(parts)})

    def _column_to_park(self) -> Column:
        """Choose a column of the unique key that the update will write again."""
        columns = [self.target.column(name) for name in self.sent if name not in self.key_names]
        for column in columns:
            if self._takes_null(column):
                return column
        for column in columns:
            if candidates(column) is not None:
                return column
        raise TableError(
            f"rows exchange values of the unique key {self.label}, and no free value of"
            f" type {columns[0].sql_type} can be made to park them. Drop the key, or allow NULL in one of its columns."
        )

    def _takes_null(self, column: Column) -> bool:
        return column.nullable and self.unique.nulls_distinct and column.name not in self.target.primary_key

    def _free_values(self, column: Column, wanted: int) -> list[Value]:
        """Find values that occur in neither table."""
        free: list[Value] = []
        offered = islice(candidates(column) or (), _MOST_CANDIDATES)
        while chunk := list(islice(offered, min(_CHUNK, wanted - len(free)))):
            free += self._unused(column, chunk)
            if len(free) == wanted:
                return free
        raise TableError(
            f"rows exchange values of the unique key {self.label}, and column {column.name!r}"
            f" has no free values left to park {wanted} rows. Drop the key, or allow NULL in one of its columns."
        )

    def _unused(self, column: Column, values: Sequence[Any]) -> Iterator[Value]:
        """Halve the values until each part is free as a whole, or is one that is taken: the database decides what is equal."""
        if not any(self._occurs(table, column.name, values) for table in (self.target, self.staging)):
            yield from values
        elif len(values) > 1:
            middle = len(values) // 2
            yield from self._unused(column, values[:middle])
            yield from self._unused(column, values[middle:])

    def _occurs(self, table: Table, name: str, values: Sequence[Any]) -> bool:
        where = self._core_table(table, name)
        listed = bindparam(None, list(values), expanding=True, type_=NullType())
        return bool(
            self.connection.execute(select(func.count()).select_from(where).where(where.c[name].in_(listed))).scalar_one()
        )

    def _equal(self, name: str, left: str, right: str) -> str:
        """Return a condition: two rows have the same value as the unique key sees it, collation included."""
        column = self.database.quote(name)
        equal = f"{left}.{column} = {right}.{column}"
        return equal if self.unique.nulls_distinct else f"({equal} OR ({left}.{column} IS NULL AND {right}.{column} IS NULL))"

    def _table(self, table: Table) -> str:
        return self.database.qualified(table)

    @staticmethod
    def _core_table(table: Table, *names: str) -> Any:
        return sql_table(table.name, *(sql_column(name) for name in names), schema=table.schema)
