"""Update the listed rows of a target, even if they exchange values of unique keys, indexes or constraints.

::

    park values of plain unique keys ── update all ─┬─ done
                                                    └─ duplicate ─┬─ replace: delete and insert, if that has no side effects
                                                                  └─ one by one, repeatedly; a row of a cycle is parked by
                                                                     any column that resolves it

Conflicts in partial and expression indexes, unique generated columns and exclusion constraints cannot be predicted from the
columns of a row, so the updates are simply tried. A failed attempt is rolled back as a whole, to a savepoint.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

import msgspec
from sqlalchemy import bindparam, insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType

from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import OP, Column, Op, Row, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.merge_tables import MergePart, MergeTables
from airflow_provider_sync.merge.placeholder_values import candidates
from airflow_provider_sync.merge.unique_keys import (
    NotParkedError,
    core_table,
    free_values,
    park_conflicts,
    set_where_key,
)

MAX_PARKED_IN_CYCLE = 50
"""How many rows of a cycle are tried as the one to park."""


class RowUpdates(MergePart):
    """The updates of one merge.

    :param values: names of the columns that an update sets
    :param leave: names of columns that keep their values in rows that are deleted last
    """

    def __init__(
        self, tables: MergeTables, changes: ListedChanges, *, values: Sequence[str], leave: Collection[str] = ()
    ) -> None:
        super().__init__(tables)
        self.leave = leave
        self.changes = changes
        self.parked = tables.parked
        self.kept = tables.kept
        self.values = values

    def run(self) -> None:
        """Update all rows.

        :raises TableError: if rows would have duplicate values in a unique key
        """
        if self.target.cannot_roll_back:
            # No savepoint: it could not undo a failed attempt, and MySQL with GTID consistency refuses such updates after one.
            park_conflicts(self.tables)
            self._update_all()
            return
        first = self._failure_at_once()
        if first is not None and self.park_deleted_last():
            first = self._failure_at_once()
        if first is None:
            return
        listed = f"UPDATE {self._work} SET {OP} = '{Op.REPLACE}' WHERE {OP} = '{Op.UPDATE}'"
        try:
            with self.database.savepoint(self.connection):
                self._execute(listed)
                self.replace(first)
        except _NotReplacedError:
            self._one_by_one(first)

    def _failure_at_once(self) -> Exception | None:
        """Try to update all rows in one statement; return the error if they exchange values in a way that prevents it."""
        try:
            with self.database.savepoint(self.connection):
                park_conflicts(self.tables)
                self._update_all()
        except SQLAlchemyError as error:
            if not self.database.is_duplicate(error):
                raise
            return error
        except NotParkedError as error:
            return error
        return None

    def park_deleted_last(self) -> bool:
        """Give the rows that are deleted last other values wherever constraints allow it, since other rows take theirs.

        :return: whether there are such rows
        """
        keys = list(self._listed_keys(Op.DELETE_LAST))
        for key in keys:
            for column in self._parkable():
                if column.name not in self.leave:
                    with suppress(_TakenError), self.database.savepoint(self.connection):
                        self._park_one(key, column)
        return bool(keys)

    def replace(self, cause: Exception | None = None, *, label: str = "") -> None:
        """Delete the rows listed for replacement, and insert them with their staged values; unsynced columns keep their values.

        :param cause: the updates' error, if rows are replaced because of one
        :param label: start of the error message if there is no ``cause``
        :raises TableError: if replacing the rows would have side effects
        """
        reason = self.database.foreign_keys.why_not_replace(self.connection, self.changes)
        if self.tables.loses_columns:
            reason = "the values of columns that are not synced would be lost"
        if reason:
            raise _NotReplacedError(f"{label}: to delete and insert the rows again is not safe, since {reason}.") from cause
        if self.kept:
            target_rows = self.statements.by_index(self.target, "t", self.staged.key)
            names = [column.name for column in self.kept.columns]
            self._execute(
                f"INSERT INTO {self.database.qualified(self.kept)} ({self.database.columns(names)})"
                f" SELECT {self.database.columns(names, 't')} FROM {self._work} AS w"
                f" JOIN {target_rows} ON {self.statements.match(self.key, 't', 'w')}"
                f" WHERE w.{OP} = '{Op.REPLACE}'"
            )
        self._execute(self.statements.delete_listed(self.changes, Op.REPLACE))
        written = self.changes.written
        self._execute(self.statements.insert_listed(self.changes, written, op=Op.REPLACE, kept=self.kept))

    def _update_all(self) -> None:
        if self.values:
            self._make_unequal()
            self._execute(self.statements.update_listed(self.changes, self.values))

    def _make_unequal(self) -> None:
        statement = self.statements.make_unequal(self.changes, self.values)
        if statement:
            self._execute(statement)

    def _one_by_one(self, first: Exception) -> None:
        """Update rows one by one until all are updated; the order alternates so that a chain of rows takes few passes.

        :raises Exception: ``first``, if none of the remaining rows can be updated
        """
        self._make_unequal()
        pending = list(self._listed_keys(Op.UPDATE))
        while pending:
            left = [key for key in pending if not self._updated(key)]
            if len(left) == len(pending):
                left = self._break_cycle(left)
                if len(left) == len(pending):
                    raise first
            pending = left[::-1]

    def _listed_keys(self, op: Op) -> Iterator[Row]:
        for rows in self.database.reader.read(self.connection, self.work, self.work.columns):
            yield from (row[1:] for row in rows if row[0] == op)

    def _updated(self, key: Row) -> bool:
        """Try to update one row; return whether its new values were free."""
        only_parked = msgspec.structs.replace(self.changes, work=self.parked)
        with suppress(_TakenError):
            with self.database.savepoint(self.connection):
                self._list(key)
                self._try(self.statements.update_listed(only_parked, self.values))
                self._execute(f"DELETE FROM {self.database.qualified(self.parked)}")
            return True
        return False

    def _break_cycle(self, pending: list[Row]) -> list[Row]:
        """Park one row so that others can be updated.

        :return: the rows still to update; all of ``pending`` if parking any row did not help
        """
        for key in pending[:MAX_PARKED_IN_CYCLE]:
            for column in self._parkable():
                with suppress(_TakenError), self.database.savepoint(self.connection):
                    self._park_one(key, column)
                    left = [other for other in pending if other == key or not self._updated(other)]
                    if len(left) == len(pending):
                        raise _TakenError
                    return left
        return pending

    def _parkable(self) -> Iterator[Column]:
        for name in self.values:
            column = self.target.column(name)
            if name not in self.target.primary_key and (column.nullable or candidates(column) is not None):
                yield column

    def _park_one(self, key: Row, column: Column) -> None:
        """Set a row's column to NULL, or to a value that no other row has.

        :raises _TakenError: if there is no such value, or a constraint refuses it
        """
        tables = (self.target, self.changes.staging)
        free: list[Value] = [None] if column.nullable else free_values(self.connection, tables, column, 1)
        if not free:
            raise _TakenError
        statement, value, names = set_where_key(self.target, self.key, column)
        key_parameters = zip(names, map(self.statements.parameter, self.key, key), strict=True)
        try:
            self.connection.execute(statement, {value: free[0], **dict(key_parameters)})
        except SQLAlchemyError as error:
            if not self.database.is_constraint(error):
                raise
            raise _TakenError from error

    def _list(self, key: Row) -> None:
        names = (OP, *self.staged.key)
        table = core_table(self.parked, *names)
        values = (str(Op.UPDATE), *map(self.statements.parameter, self.key, key))
        parameters = [f"sync_value_{number}" for number in range(len(names))]
        bound = {name: bindparam(parameter, type_=NullType()) for name, parameter in zip(names, parameters, strict=True)}
        self.connection.execute(insert(table).values(bound), dict(zip(parameters, values, strict=True)))

    def _try(self, statement: str) -> None:
        try:
            self._execute(statement)
        except SQLAlchemyError as error:
            if not self.database.is_duplicate(error):
                raise
            raise _TakenError from error

    @property
    def _work(self) -> str:
        return self.database.qualified(self.work)


class _NotReplacedError(TableError):
    """Deleting and inserting rows again would have side effects."""


class _TakenError(Exception):
    """Another row still has the value."""
