"""The merge of the mode ``history``: each change of a row begins a version, and no version is ever changed but by its end.

::

    valid_from  valid_to    is_current
    monday      wednesday   false       ── the source's row differed on wednesday
    wednesday   friday      false       ── it was gone on friday
    sunday      NULL        true        ── it was there again on sunday

Versions are compared by the row that is current; all times of one merge are the same.
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
    """A merge that ends versions and inserts others; keys and values of rows that are there stay as they are."""

    _at: datetime | None = None

    @property
    def listed(self) -> ListedChanges | None:
        """Nothing: neither is a row deleted, nor does its key or a value change, so that no foreign key acts."""
        return None

    def _is_written(self) -> str:
        """Leave out versions that ended before: they have the key of a row that is listed, and stay."""
        valid_to = self.column("valid_to")
        ends = f"t.{self.database.quote(valid_to.name)}"
        now_ended = f" OR {ends} = {self.statements.moment(valid_to, self._moment())}" if self.counts.changes else ""
        return f"{super()._is_written()} AND ({ends} IS NULL{now_ended})"

    @property
    def _ended(self) -> str | None:
        """The condition that a version is none that this merge begins."""
        if not self.counts.changes:
            return None
        valid_from = self.column("valid_from")
        return f"t.{self.database.quote(valid_from.name)} <> {self.statements.moment(valid_from, self._moment())}"

    def prepare(self) -> None:
        """Prepare nothing: no row is updated in columns that the source has."""

    def release(self) -> None:
        """Leave foreign keys alone: no row goes."""

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
        """Check that the key identifies the current versions; where only some rows are staged, the comparison did.

        No index promises that: unique is the key together with the beginning of a version.

        :raises TableError: if it is NULL in a row, or the same in several current versions
        """
        if self.staged.removed is not None:
            return
        refuse_null_keys(self.database, self.connection, self.target, self.key)
        if self.database.reader.has_duplicates(self.connection, self.target, self.key):
            raise several_current(self.column("valid_to"))

    def column(self, option: str) -> Column:
        """Return a column of the mode."""
        column: Column | None = getattr(self.staged.mode, option)
        if column is None:
            raise TableError(f"mode history has no column for {option}.")
        return column

    def _end(self, op: Op, moment: datetime) -> None:
        valid_to, is_current = self.column("valid_to"), self.column("is_current")
        values = {
            valid_to.name: self.statements.moment(valid_to, moment),
            is_current.name: self.statements.truth(is_current, False),
        }
        where = self.database.current(self.target, "t")
        self._execute(self.statements.set_listed(self._changes, values, op, where=where))

    def _beginning(self, moment: datetime) -> Mapping[str, str]:
        valid_from, is_current = self.column("valid_from"), self.column("is_current")
        return {
            valid_from.name: self.statements.moment(valid_from, moment),
            self.column("valid_to").name: "NULL",
            is_current.name: self.statements.truth(is_current, True),
        }

    def _moment(self) -> datetime:
        """Return the time of this merge, which is later than any of the versions of the rows that it lists."""
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
    """Return the error for a row with several versions that did not end; the table is to be named by whoever raises it."""
    return TableError(
        f"some rows of the target have several current versions ({valid_to.name} is NULL). Set {valid_to.name} in all but the"
        " last version of each row."
    )
