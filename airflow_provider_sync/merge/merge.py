"""Merge one staging table into its target, step by step: list the rows that differ, delete, write, verify.

Transactions, work tables, and the order of several tables belong to :mod:`.transaction`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import OP, Column, Op, Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError
from airflow_provider_sync.merge.change_list import ChangeList
from airflow_provider_sync.merge.gone_columns import check_forgotten, columns_with_values, explaining_refusals
from airflow_provider_sync.merge.merge_check import MergeCheck
from airflow_provider_sync.merge.merge_result import MergeCounts, MergeResult
from airflow_provider_sync.merge.merge_tables import MergePart, MergeTables
from airflow_provider_sync.merge.row_updates import RowUpdates
from airflow_provider_sync.merge.table_write import TableWrite, explaining_duplicates
from airflow_provider_sync.merge.target_key import check_key
from airflow_provider_sync.merge.unique_keys import park_conflicts, values_kept_by


class TableMerge(MergePart, TableWrite):
    """The steps of one table's merge from its staging table."""

    def __init__(self, tables: MergeTables) -> None:
        MergePart.__init__(self, tables)
        TableWrite.__init__(self, tables.staged.target)
        self.postponed: frozenset[str] = frozenset()
        self.orphans: dict[str, int] = {}
        self.verified = False
        self.renames = 0
        self.identities_change = False
        self.replaced = False
        self.is_empty = False

    def list_changes(self) -> None:
        """Write the keys of the rows that differ into the work table."""
        with self._naming_table():
            forgotten = columns_with_values(self.database, self.connection, self.target, self.staged.gone)
            if self._count(f"SELECT COUNT(*) FROM (SELECT 1 FROM {self._from('target', 't')} LIMIT 1) AS t") == 0:
                # All staged rows are inserted, so they need not be listed one by one.
                self.is_empty = True
                self.counts = MergeCounts(target_rows=0, inserted=self.staged.rows, updated=0, deleted=0)
                return
            self._check_target_key()
            listed = ChangeList(self.tables)
            self.counts = msgspec.structs.replace(listed.fill(), forgotten=forgotten)
            self.renames = listed.renames

    @property
    def writes(self) -> bool:
        """Whether any row differs, or a column is set to NULL."""
        return bool(self.counts.changes or self.counts.forgotten)

    @property
    def computes(self) -> bool:
        """Whether the target computes columns whose values are staged."""
        return any(column.generated for column in self.tables.columns)

    def unwritten_rows(self) -> Table | None:
        """Return the target rows that are not listed, with the columns that a sync reads or writes."""
        if not self.staged.verify:
            return None
        listed = self.staged.staging if self.is_empty else self.work
        columns = tuple(dict.fromkeys(self._kept))
        names = self.database.columns([column.name for column in columns], "t")
        query = (
            f"SELECT {names} FROM {self._from('target', 't')} WHERE NOT EXISTS"
            f" (SELECT 1 FROM {self.database.qualified(listed)} AS w WHERE {self._is_written()})"
        )
        return msgspec.structs.replace(self.target, columns=columns, ended_at=None, query=self.database.undoubled(query))

    def ending_rows(self) -> Table | None:
        """Return the target rows that are listed to end, with their synced columns, which stay unchanged."""
        if not self.staged.verify or self.is_empty or self._ended is None:
            return None
        columns = self.tables.columns
        names = self.database.columns([column.name for column in columns], "t")
        query = (
            f"SELECT {names} FROM {self._from('target', 't')} WHERE {self._ended} AND EXISTS (SELECT 1 FROM"
            f" {self.database.qualified(self.work)} AS w WHERE w.{OP} IN ('{Op.END}', '{Op.VERSION}') AND {self._is_written()})"
        )
        return msgspec.structs.replace(self.target, columns=columns, ended_at=None, query=self.database.undoubled(query))

    @property
    def _ended(self) -> str | None:
        """The condition that a row ``t`` that is listed to end existed before this merge; ``None`` if the mode ends no rows."""
        return None

    @property
    def _kept(self) -> tuple[Column, ...]:
        """The columns of a row that ends that must not change: what the source sent, and the columns of the mode."""
        return (*self.tables.columns, *self.staged.mode.columns)

    def _is_written(self) -> str:
        """Return the condition that the work table's entry ``w`` is for the target row ``t``."""
        found = self.statements.equal if self.renames else self.statements.match
        return found(self.key, "t", "w")

    def postpone(self, columns: frozenset[str]) -> None:
        """Leave columns to :meth:`write_last`."""
        self.postponed = columns

    @property
    def listed(self) -> ListedChanges | None:
        """The rows that change."""
        return self._changes

    @property
    def _changes(self) -> ListedChanges:
        return ListedChanges(
            target=self.target,
            staging=self.staged.staging,
            work=self.work,
            key=self.key,
            staged=self.staged.columns,
            written=tuple(column.name for column in self.written),
            inserted=self.counts.inserted,
            deleted=self.counts.deleted,
            updated=self.counts.updated,
            renamed=self.renames,
            forgotten=self.counts.forgotten,
        )

    def delete(self) -> None:
        """Delete the rows that the source lacks, before writes that may need their unique values."""
        if self.counts.deleted:
            with self._writing():
                self._delete_rows()

    def _delete_rows(self) -> None:
        self._execute(self.statements.delete_listed(self._changes))

    def release(self) -> None:
        """Set the postponed columns to NULL in the rows to delete, since their parents may be deleted first."""
        if not (self.postponed and self.counts.deleted):
            return
        assignments = ", ".join(f"{self.database.quote(name)} = NULL" for name in sorted(self.postponed))
        with self._naming_table():
            self._execute(
                f"UPDATE {self._from('target', 't')} SET {assignments} WHERE EXISTS (SELECT 1 FROM"
                f" {self.database.qualified(self.work)} AS w WHERE w.{OP} IN ('{Op.DELETE}', '{Op.DELETE_LAST}')"
                f" AND {self.statements.match(self.key, 't', 'w')})"
            )

    def write_last(self) -> None:
        """Write the postponed columns, now that the rows they refer to exist."""
        if not self.postponed:
            return
        columns = sorted(self.postponed)
        staging, work = self.staged.staging, self.database.qualified(self.work)
        with self._writing():
            if self.is_empty:
                names = self.database.columns(self.staged.key)
                self._execute(
                    f"INSERT INTO {work} ({self.database.columns((OP, *self.staged.key))})"
                    f" SELECT '{Op.INSERT}', {names} FROM {self.database.qualified(staging)}"
                )
            for op in (Op.UPDATE, Op.INSERT):
                self._execute(self.statements.update_listed(self._changes, columns, op))

    @cached_property
    def _deletes_last(self) -> bool:
        """Whether rows are deleted only after others were written."""
        return bool(self.counts.deleted and self.target.foreign_keys and self._count_listed(Op.DELETE_LAST))

    def delete_last(self) -> None:
        """Delete the rows to which other rows referred before they were written."""
        if self.counts.deleted and self.target.foreign_keys:
            with self._naming_table():
                self._execute(self.statements.delete_listed(self._changes, Op.DELETE_LAST))

    def prepare(self) -> None:
        """Set gone columns to NULL, and prepare updates of identity columns that only an INSERT may set, if any differ.

        :raises TableError: if such an identity column differs, but its rows can be neither updated nor replaced safely
        """
        # Before any parent is deleted: a gone column may refer to it.
        self._forget(self.counts.forgotten)
        differing = [column for column in self._insert_only if self.counts.updated and self._count_listed_differing(column)]
        if not differing:
            return
        with self._naming_table():
            if self.database.identities.allow_updates(self.connection, self.target, self._insert_only):
                self.identities_change = True
                return
            self._list_replaced(self._differing(differing))
            changes = self._changes
            if reason := self.database.foreign_keys.why_not_replace(self.connection, changes):
                names = ", ".join(column.name for column in differing)
                raise TableError(
                    f"rows differ in {names}, which is GENERATED ALWAYS AS IDENTITY: only the owner of the table can update it,"
                    f" and to delete the rows and insert them again is not safe, since {reason}. Sync as the owner, leave the"
                    " column out with 'columns', or ALTER it to GENERATED BY DEFAULT.",
                    NOTHING_CHANGED,
                )

    def finish(self) -> None:
        """Undo what :meth:`prepare` did for updates, after all writes, and clear gone columns that the writes gave values."""
        if self.counts.changes:
            gone = self.staged.gone
            # An INSERT fills any column that has a default; an UPDATE only those with ON UPDATE CURRENT_TIMESTAMP.
            filled = gone if self.counts.inserted else self.statements.self_changing(map(self.target.column, gone))
            self._forget(filled)
        if self.identities_change:
            with self._naming_table():
                self.database.identities.forbid_updates(self.connection, self.target, self._insert_only)

    def _forget(self, columns: Sequence[str]) -> None:
        if columns:
            with self._naming_table(), explaining_refusals(self.database, columns):
                self._execute(self.statements.set_null(self.target, columns))

    def write(self) -> None:
        """Update rows that differ, then insert missing ones; insert first if updated rows refer to new ones."""
        with self._writing():
            self._write_rows()
        if self.writes and self.target.triggers:
            triggers = ", ".join(self.target.triggers)
            self.warnings.append(
                f"Table {str(self.target)!r} has triggers ({triggers}), which fire for rows that a sync changes."
            )

    def _write_rows(self) -> None:
        if self.renames:
            self._rename()
        if self._deletes_last and self.counts.inserted:
            with self.database.savepoint(self.connection):
                park_conflicts(self.tables, taken_by=Op.INSERT, leave=self._followed)
        if not (self.target.foreign_keys and self.counts.updated and self.counts.inserted):
            self._update()
            self._insert()
            return
        try:
            with self.database.savepoint(self.connection):
                self._update()
                self._insert()
        except SQLAlchemyError as error:
            if not self.database.is_orphan(error):
                raise
            self._insert_first(error)

    def _insert_first(self, orphan: SQLAlchemyError) -> None:
        """Insert, then update rows that refer to new ones; if new rows take their unique values, write foreign keys last."""
        try:
            with self.database.savepoint(self.connection):
                self._insert()
                self._update()
        except SQLAlchemyError as error:
            if not self.database.is_duplicate(error):
                raise
            columns = self.database.foreign_keys.to_itself(self.connection, self._changes)
            if not columns:
                raise orphan from error
            self.postponed |= columns
            self._update()
            self._insert()

    def verify(self) -> None:
        """Compare staged rows and target by bytes, check that gone columns are NULL, and count orphans."""
        with self._naming_table():
            if self.writes:
                check_forgotten(self.database, self.connection, self.target, self.staged.gone)
            if self.staged.verify:
                check = MergeCheck(self.tables, self.counts, all_inserted=self.is_empty, triggers=self.triggers)
                self.verified = check.run()
                self.computed_otherwise = check.computed_otherwise
                self.warnings += check.warnings
            if self.target.foreign_keys:
                self.orphans = self.database.foreign_keys.count_orphans(self.connection, self.target)

    def move_sequences(self) -> None:
        """Move sequences past the new keys if rows were inserted."""
        if self.counts.inserted:
            with self._naming_table():
                self.database.identities.move_past_keys(self.connection, self.target)

    def result(self) -> MergeResult:
        """Return what was done."""
        return MergeResult(counts=self.counts, orphans=self.orphans, warnings=tuple(self.warnings), verified_rows=self.verified)

    def _rename(self) -> None:
        """Rewrite keys that equal the staged ones except in their bytes, then list these rows as updates."""
        self._execute(self.statements.rename_listed(self._changes))
        self._execute(f"UPDATE {self.database.qualified(self.work)} SET {OP} = '{Op.UPDATE}' WHERE {OP} = '{Op.RENAME}'")

    def _update(self) -> None:
        if not self.counts.updated:
            return
        fixed = [] if self.identities_change else self._insert_only
        if fixed and self.renames:
            self._list_replaced(self._differing(fixed))
        for column in filter(self.statements.skips_update, self.written):
            name = self.database.quote(column.name)
            self._list_replaced(f"t.{name} = s.{name} AND {self._differing([column])}")
        updates = self._row_updates(exclude={*(column.name for column in fixed), *self.postponed})
        if self.replaced:
            updates.replace()
        updates.run()

    def _row_updates(self, *, exclude: Collection[str]) -> RowUpdates:
        unwritten = {*self.staged.key, *exclude}
        values = [column.name for column in self.written if column.name not in unwritten]
        return RowUpdates(self.tables, self._changes, values=values, leave=self._followed if self._deletes_last else ())

    @cached_property
    def _followed(self) -> frozenset[str]:
        """The columns whose values other rows would follow."""
        return self.database.foreign_keys.followed(self.connection, self._changes)

    @property
    def _insert_only(self) -> list[Column]:
        return [column for column in self.written if column.insert_only and column.name not in self.staged.key]

    def _count_listed(self, op: Op) -> int:
        return self._count(f"SELECT COUNT(*) FROM {self.database.qualified(self.work)} WHERE {OP} = '{op}'")

    def _count_listed_differing(self, column: Column) -> int:
        return self._count(
            f"SELECT COUNT(*) FROM {self.database.qualified(self.work)} AS w"
            f" WHERE w.{OP} IN ('{Op.UPDATE}', '{Op.RENAME}') AND EXISTS ({self._pair(self._differing([column]))})"
        )

    def _list_replaced(self, condition: str) -> None:
        """Mark rows to be deleted and inserted again instead of updated.

        :param condition: SQL condition on the old row (alias ``t``) and the staged row (alias ``s``)
        """
        self._execute(
            f"UPDATE {self.database.qualified(self.work)} AS w SET {OP} = '{Op.REPLACE}'"
            f" WHERE w.{OP} = '{Op.UPDATE}' AND EXISTS ({self._pair(condition)})"
        )
        self.replaced = True

    def _differing(self, columns: Sequence[Column]) -> str:
        return f"NOT ({self.statements.all_same(columns, 't', 's')})"

    def _pair(self, condition: str) -> str:
        by_index, key = self.statements.by_index, self.staged.key
        return (
            f"SELECT 1 FROM {by_index(self.target, 't', key)}"
            f" {self.statements.straight_join} {by_index(self.staged.staging, 's', key)}"
            f" ON {self.statements.match(self.key, 's', 't')} WHERE {self.statements.match(self.key, 't', 'w')} AND {condition}"
        )

    def _insert(self) -> None:
        if not self.counts.inserted:
            return
        names = [column.name for column in self.written if column.name not in self.postponed]
        if self.is_empty:
            self._execute(self.statements.insert_all(self.target, self.staged.staging, names))
            return
        insert = self.statements.insert_listed(self._changes, names)
        if not self._deletes_last:
            self._execute(insert)
            return
        try:
            with self.database.savepoint(self.connection):
                self._execute(insert)
        except SQLAlchemyError as error:
            if not self.database.is_duplicate(error):
                raise
            fixed = {column.name for column in self._insert_only}
            self._row_updates(exclude=fixed).park_deleted_last()
            self._execute(insert)

    def _check_target_key(self) -> None:
        check_key(self.database, self.connection, self.target, self.key)

    def _from(self, which: str, alias: str) -> str:
        table = self.target if which == "target" else self.staged.staging
        return f"{self.database.qualified(table)} {alias}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Name the table in every error, and explain duplicate values of unique keys."""
        mode = self.staged.mode.name
        explaining = explaining_duplicates(self.database, triggers=self.triggers)
        if mode != "mirror":
            explaining = explaining_duplicates(self.database, *values_kept_by(mode), triggers=self.triggers)
        with self._naming_table(), explaining:
            yield

    @contextmanager
    def _naming_table(self) -> Iterator[None]:
        """Name the table in every error, since drivers do not."""
        try:
            with self.database.translate_errors():
                yield
        except TableError as error:
            raise error.with_subject(f"Table {str(self.target)!r}") from error
