"""The merge of the mode ``history``: each change of a row begins a version; the only later change to a version is its end.

::

    valid_from  valid_to    is_current
    monday      wednesday   false       ── the source's row differed on wednesday
    wednesday   friday      false       ── it was gone on friday
    sunday      NULL        true        ── it was there again on sunday

A staged row is compared with the current version; all times that one merge writes are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import Column, Op
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.merge.merge import TableMerge
from airflow_provider_sync.merge.moments import moment_after, now
from airflow_provider_sync.merge.target_key import refuse_null_keys


class HistoryMerge(TableMerge):
    """A merge that ends versions and inserts new ones; keys and values of existing rows stay as they are."""

    _at: datetime | None = None

    @property
    def listed(self) -> ListedChanges | None:
        """``None``: the merge deletes no row and changes no key or value, so no foreign-key action can fire."""
        return None

    def _is_written(self) -> str:
        """Exclude versions that ended earlier: they have the key of a listed row, but the merge leaves them alone."""
        valid_to = self.column("valid_to")
        ends = f"t.{self.database.quote(valid_to.name)}"
        now_ended = f" OR {ends} = {self.statements.time_literal(valid_to, self._moment())}" if self.counts.changes else ""
        return f"{super()._is_written()} AND ({ends} IS NULL{now_ended})"

    @property
    def _ended(self) -> str | None:
        """The condition that this merge did not insert the version."""
        if not self.counts.changes:
            return None
        valid_from = self.column("valid_from")
        return f"t.{self.database.quote(valid_from.name)} <> {self.statements.time_literal(valid_from, self._moment())}"

    def prepare(self) -> None:
        """Prepare nothing: the merge updates no column that the source has."""

    def release(self) -> None:
        """Leave foreign keys alone: no row is deleted."""

    def _delete_rows(self) -> None:
        """End the versions of rows that the source lacks."""
        self._end(Op.END, self._moment())

    def delete_last(self) -> None:
        """Delete nothing."""

    def _write_rows(self) -> None:
        if not (self.counts.inserted or self.counts.updated):
            return
        moment = self._moment()
        names = [column.name for column in self.written]
        constants = self._beginning(moment)
        if self.is_empty:
            self._execute(self.statements.insert_all(self.target, self.staged.staging, names, constants))
            return
        if self.counts.updated:
            self._end(Op.VERSION, moment)
        for op in (Op.VERSION, Op.INSERT):
            self._execute(self.statements.insert_listed(self._changes, names, op=op, constants=constants))

    def _check_target_key(self) -> None:
        """Check that the key identifies the current versions; if only some rows are staged, the comparison has checked it.

        No index guarantees this: only the key together with ``valid_from`` is unique.

        :raises TableError: if the key is NULL in a row, or the same in several current versions
        """
        if self.staged.removed is not None:
            return
        refuse_null_keys(self.database, self.connection, self.target, self.key)
        if self.database.reader.has_duplicates(self.connection, self.target, self.key):
            raise several_current(self.column("valid_to"))

    def column(self, option: str) -> Column:
        """Return the column that an option of the mode names."""
        column: Column | None = getattr(self.staged.mode, option)
        if column is None:
            raise TableError(f"mode history has no column for {option}.")
        return column

    def _end(self, op: Op, moment: datetime) -> None:
        valid_to, is_current = self.column("valid_to"), self.column("is_current")
        values = {
            valid_to.name: self.statements.time_literal(valid_to, moment),
            is_current.name: self.statements.boolean_literal(is_current, False),
        }
        where = self.database.current(self.target, "t")
        self._execute(self.statements.set_listed(self._changes, values, op, kept=self._kept, where=where))

    def _beginning(self, moment: datetime) -> Mapping[str, str]:
        valid_from, is_current = self.column("valid_from"), self.column("is_current")
        return {
            valid_from.name: self.statements.time_literal(valid_from, moment),
            self.column("valid_to").name: "NULL",
            is_current.name: self.statements.boolean_literal(is_current, True),
        }

    def _moment(self) -> datetime:
        """Return the time that this merge writes: later than all times in the versions of the listed rows."""
        if self._at is None:
            valid_from, valid_to = self.column("valid_from"), self.column("valid_to")
            self._at = moment_after(now(), self._latest(valid_from, valid_to), (valid_from, valid_to))
        return self._at

    def _latest(self, *columns: Column) -> list[object]:
        if self.is_empty:
            return []
        highest = ", ".join(f"MAX(t.{self.database.quote(column.name)})" for column in columns)
        names = [column.name for column in self.key]
        row = self.connection.exec_driver_sql(
            f"SELECT {highest} FROM {self.database.qualified(self.work)} AS w {self.statements.straight_join}"
            f" {self.statements.by_index(self.target, 't', names)} ON {self.statements.match(self.key, 't', 'w')}"
        ).one()
        return list(row)


def several_current(valid_to: Column) -> TableError:
    """Return the error for rows with several current versions; the caller adds the table's name."""
    return TableError(
        f"some rows of the target have several current versions ({valid_to.name} is NULL). Set {valid_to.name} in all but the"
        " last version of each row."
    )
