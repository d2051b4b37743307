"""Compare staging table and target, by bytes and inside the database, after a merge and before its commit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from airflow_provider_sync.databases.schema import OP, Column, Op
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError, TargetChangedError, TriggerError
from airflow_provider_sync.merge.merge_result import MergeCounts
from airflow_provider_sync.merge.merge_tables import MergePart, MergeTables


class MergeCheck(MergePart):
    """The comparison of one merge.

    :ivar computed_otherwise: names of generated columns whose values differ between source and target
    :ivar warnings: warnings for the report

    :param counts: counts of the merge's changes
    :param all_inserted: whether the target was empty, so that no rows are listed
    :param triggers: triggers and functions that the transaction may have fired, on any table, in words
    """

    def __init__(self, tables: MergeTables, counts: MergeCounts, *, all_inserted: bool, triggers: Sequence[str] = ()) -> None:
        super().__init__(tables)
        self.computed_otherwise: Sequence[str] = ()
        self.warnings: list[str] = []
        self.counts = counts
        self.all_inserted = all_inserted
        self.triggers = triggers
        self.current = self.database.current(self.target, "t")
        # `append` leaves existing rows as they are, so only inserted rows can be compared.
        self.only_written = self.staged.mode.name == "append"

    def run(self) -> bool:
        """Compare the rows.

        :return: whether all rows are equal in every column; a warning names generated columns that differ
        :raises TriggerError: when triggers changed the written rows
        :raises TableError: when something else in the target's database changed them
        :raises TargetChangedError: when another session wrote to the target during the merge
        """
        rows = self.staged.rows
        if not self.staged.removed and not self.staged.mode.keeps_rows:
            rows = self.database.reader.count(self.connection, self.target)
        compared = [column for column in self.written if column.name not in self.staged.key]
        differing = self._count_differing(compared)
        kept = self._count_kept()
        if rows != self.staged.rows or differing or kept:
            found = f"it has {rows} rows of {self.staged.rows}, and {differing} of those that were sent are missing or differ"
            if kept:
                found += f"; {kept} that were deleted are still there"
            # Rows that this transaction wrote are locked until its end, so no other session can have changed them.
            if kept or self._count_differing(compared, written_only=True):
                kind = TriggerError if self.triggers else TableError
                raise kind(f"after the merge {found}. {self._who_changes_rows(compared)}", NOTHING_CHANGED)
            raise TargetChangedError(
                f"another session wrote to the target during the merge: {found}.", NOTHING_CHANGED, "Try again."
            )
        # Compare decimals by value, since the target decides how many trailing zeros a generated column has.
        computed = [
            msgspec.structs.replace(column, scale=column.scale or 0) for column in self.tables.columns if column.generated
        ]
        if computed and self._count_differing(computed):
            self.computed_otherwise = [column.name for column in computed if self._count_differing([column])]
            names = ", ".join(self.computed_otherwise)
            self.warnings.append(f"Table {str(self.target)!r} computes other values for {names} than the source sends.")
            return False
        return True

    def _count_differing(self, columns: Sequence[Column], *, written_only: bool = False) -> int:
        """Count staged rows that are missing or different in the target.

        :param written_only: count only rows that this merge inserted or updated
        """
        written = ""
        if (written_only or self.only_written) and not self.all_inserted:
            written = (
                f" JOIN {self.database.qualified(self.work)} w"
                f" ON {self.statements.match(self.key, 's', 'w')} AND w.{OP} NOT IN ('{Op.DELETE}', '{Op.END}')"
            )
        found = " AND ".join(filter(None, [self.statements.match(self.key, "t", "s"), self.current]))
        return self._count(
            f"SELECT COUNT(*) FROM {self.database.qualified(self.staged.staging)} s{written}"
            f" LEFT JOIN {self.statements.by_index(self.target, 't', self.staged.key)} ON {found}"
            f" WHERE ({self.statements.absent(self.key, 't')}{self._differs(columns)})"
        )

    def _count_kept(self) -> int:
        """Count rows that were listed to be deleted or ended, and are still current."""
        if not self.counts.deleted:
            return 0
        listed = self.statements.removed_rows(self.target, self.work, self.key)
        still_there = " AND ".join(filter(None, [f"r.{OP} IN ('{Op.DELETE}', '{Op.END}')", self.current]))
        return self._count(f"SELECT COUNT(*) FROM {listed} WHERE {still_there}")

    def _who_changes_rows(self, columns: Sequence[Column]) -> str:
        """Return the sentence of an error message that says what changes the written rows, and in which columns."""
        names = [repr(column.name) for column in columns if self._count_differing([column], written_only=True)]
        where = f" in {', '.join(names)}" if names and len(names) < len(columns) else ""
        if self.target.triggers:
            triggers = ", ".join(self.target.triggers)
            return (
                f"Its triggers ({triggers}) change what is written{where}: change them, or leave such columns out with 'columns'."
            )
        if self.triggers:
            who = " or ".join(self.triggers)
            return (
                f"{who[0].upper()}{who[1:]}, of a table that was merged with it, changes what is written{where}: change it, or"
                " leave one of the tables out."
            )
        if self.target.row_filter:
            return (
                f"Row-level security hides rows from {self.target.row_filter}, and may keep this role from changing rows that it"
                " sees: let its policies for UPDATE and DELETE allow what those for SELECT show, or connect as a role with"
                " BYPASSRLS."
            )
        computed = ", ".join(repr(column.name) for column in self.key if column.generated)
        if computed:
            return (
                f"The target computes the key column {computed} in another way than the source: give it the same expression on"
                " both sides, or make it a plain one at the target."
            )
        return (
            f"Something in the target's database changes what is written{where}: look for triggers and rules, which this user may"
            " not see."
        )

    def _differs(self, columns: Sequence[Column]) -> str:
        same = self.statements.all_same(columns, "t", "s")
        return f" OR NOT ({same})" if same else ""
