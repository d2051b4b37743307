"""The merge of the mode ``soft_delete``: rows that the source lacks stay, and get the time at which the merge noticed."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import Op
from airflow_provider_sync.merge.merge import TableMerge
from airflow_provider_sync.merge.moments import now


class SoftDeleteMerge(TableMerge):
    """A merge that deletes nothing; a row that the source has again becomes current again, with the source's values."""

    @property
    def _changes(self) -> ListedChanges:
        # No row is deleted, so no foreign-key action fires.
        return msgspec.structs.replace(super()._changes, deleted=0)

    @property
    def _ended(self) -> str | None:
        """A condition that is always true: the merge inserts no row that it also lists to end."""
        return "1 = 1" if self.staged.mode.deleted_at else None

    def release(self) -> None:
        """Leave foreign keys alone: no row is deleted."""

    def _delete_rows(self) -> None:
        """Write the time into ``deleted_at`` of the rows that the source lacks."""
        if column := self.staged.mode.deleted_at:
            values = {column.name: self.statements.time_literal(column, now())}
            where = self.database.current(self.target, "t")
            self._execute(self.statements.set_listed(self._changes, values, Op.END, kept=self._kept, where=where))

    def delete_last(self) -> None:
        """Delete nothing."""

    def _write_rows(self) -> None:
        self._revive()
        super()._write_rows()

    def _revive(self) -> None:
        """Clear ``deleted_at`` of rows that the source has again, before their values are written."""
        column = self.staged.mode.deleted_at
        if not (self.counts.updated and column):
            return
        where = f"t.{self.database.quote(column.name)} IS NOT NULL"
        for op in (Op.UPDATE, Op.RENAME) if self.renames else (Op.UPDATE,):
            # The keys of rows listed under RENAME are not rewritten yet.
            loosely = op is Op.RENAME
            current = {column.name: "NULL"}
            self._execute(self.statements.set_listed(self._changes, current, op, kept=self._kept, where=where, loosely=loosely))
