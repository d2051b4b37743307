"""The merge of the mode ``soft_delete``: rows that the source lacks stay, and get the time at which that was found."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import Op
from airflow_provider_sync.merge.merge import TableMerge
from airflow_provider_sync.merge.moments import now


class SoftDeleteMerge(TableMerge):
    """A merge that deletes nothing; rows that come back count again, with the values that they have then."""

    @property
    def _changes(self) -> ListedChanges:
        # No row is deleted, so that no foreign key acts.
        return msgspec.structs.replace(super()._changes, deleted=0)

    @property
    def _ended(self) -> str | None:
        """The condition that holds for every row: the list ends none that it also inserts."""
        return "1 = 1" if self.staged.mode.deleted_at else None

    def release(self) -> None:
        """Leave foreign keys alone: no row goes."""

    def _delete_rows(self) -> None:
        """Write the time into the rows that the source lacks."""
        if column := self.staged.mode.deleted_at:
            values = {column.name: self.statements.moment(column, now())}
            where = self.database.current(self.target, "t")
            self._execute(self.statements.set_listed(self._changes, values, Op.END, where=where))

    def delete_last(self) -> None:
        """Delete nothing."""

    def _write_rows(self) -> None:
        self._revive()
        super()._write_rows()

    def _revive(self) -> None:
        """Let rows count again that the source has again, before their values are written."""
        column = self.staged.mode.deleted_at
        if not (self.counts.updated and column):
            return
        where = f"t.{self.database.quote(column.name)} IS NOT NULL"
        for op in (Op.UPDATE, Op.RENAME) if self.renames else (Op.UPDATE,):
            # The key of a row that is to be renamed is not written yet.
            loosely = op is Op.RENAME
            self._execute(self.statements.set_listed(self._changes, {column.name: "NULL"}, op, where=where, loosely=loosely))
