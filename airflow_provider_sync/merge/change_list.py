"""List the keys of the rows that differ between a target and its staging table, each with the operation that fixes it.

::

    target row    staged row                        listed as
    -----------   --------------------------------  -------------------------------------
    ``ab``, 1     none                              ``D`` ``ab``
    ``ab``, 1     ``ab``, 2                         ``U`` ``ab``
    ``ab``, 1     ``AB``, 1, equal by collation     ``K`` ``AB``: the row stays, and its key is rewritten
    none          ``ab``, 1                         ``I`` ``ab``

Modes other than ``mirror`` list other operations, or do not list some rows:

===============  ========================  ====================================  ====================
mode             target row, not staged    a row that differs                    ``ab`` against ``AB``
===============  ========================  ====================================  ====================
``upsert``       not listed                ``U``                                 ``K``
``append``       not listed                not listed                            not listed
``soft_delete``  ``E``, unless it ended    ``U``, also if only marked deleted    ``K``
``history``      ``E``, if it is current   ``V``, compared with the current one  ``E`` and ``I``
===============  ========================  ====================================  ====================

Plain reads fill the work table; they lock no row of the target.
"""

from __future__ import annotations

from airflow_provider_sync.databases.schema import OP, Kind, Op
from airflow_provider_sync.merge.merge_result import MergeCounts
from airflow_provider_sync.merge.merge_tables import MergePart, MergeTables


class ChangeList(MergePart):
    """The rows that differ in one merge.

    :ivar renames: number of rows whose staged key has other bytes than the target's, though the database calls both equal
    """

    def __init__(self, tables: MergeTables) -> None:
        super().__init__(tables)
        staged, key = self.staged, self.key
        self.renames = 0
        self.mode = staged.mode
        self.current = self.database.current(self.target, "t")
        self.compared = [column for column in self.written if column.name not in staged.key]
        # A row whose key differs only in its bytes stays: deleting it would fire actions and lose columns that are not synced.
        # With `append` it also keeps its key. If only some rows are staged, a staged row has such a key only if the target's row
        # is a different one that the source still has; a unique key does not allow both.
        renames = self.target.has_unique(staged.key) and self.mode.name != "history"
        renames = renames and not (self.mode.name == "append" and staged.removed is not None)
        self.forms = self.statements.loosely_compared(key) if renames else []
        self.found = self.statements.equal(key, "t", "s") if self.forms else self.statements.match(key, "t", "s")

    def fill(self) -> MergeCounts:
        """Write the keys of the rows that differ into the work table, and count them."""
        self._list_deletes()
        self._list_others()
        rows = self.connection.exec_driver_sql(f"SELECT {OP}, COUNT(*) FROM {self.database.qualified(self.work)} GROUP BY {OP}")
        listed = {str(op): int(number) for op, number in rows}
        inserted, deleted = listed.get(Op.INSERT, 0), listed.get(Op.DELETE, 0) + listed.get(Op.END, 0)
        self.renames = listed.get(Op.RENAME, 0)
        return MergeCounts(
            target_rows=self._target_rows(inserted, deleted),
            inserted=inserted,
            updated=listed.get(Op.UPDATE, 0) + listed.get(Op.VERSION, 0) + self.renames,
            deleted=deleted,
        )

    def _target_rows(self, inserted: int, deleted: int) -> int:
        staged = self.staged
        if staged.removed:
            return staged.target_rows
        if self.mode.deleted_at:
            # A staged row may already be in the target as an ended row.
            return self.database.reader.count(self.connection, staged.target)
        # Each staged row is inserted or exists in the target, and each row of the target is staged or deleted.
        return staged.rows - inserted + deleted

    def _list_deletes(self) -> None:
        if self.mode.keeps_rows:
            return
        database, names = self.database, self.staged.key
        conditions = [self.current]
        if self.staged.removed is None:
            rows = f"{database.qualified(self.target)} AS t"
        else:
            rows = self.statements.removed_rows(self.target, self.staged.removed, self.key)
        if self.staged.removed is None or self.forms:
            rows += f" LEFT JOIN {self.statements.by_index(self.staged.staging, 's', names)} ON {self.found}"
            conditions.append(self.statements.absent(self.key, "s"))
        where = " AND ".join(filter(None, conditions))
        op = Op.END if self.mode.ended_at else Op.DELETE
        self._list(f"'{op}', {database.columns(names, 't')} FROM {rows}{f' WHERE {where}' if where else ''}")

    def _list_others(self) -> None:
        database, names = self.database, self.staged.key
        absent = self.statements.absent(self.key, "t")
        rows = (
            f"{database.qualified(self.staged.staging)} AS s"
            f" LEFT JOIN {self.statements.by_index(self.target, 't', names)} ON {self.found}"
        )
        if self.mode.name == "append":
            self._list(f"'{Op.INSERT}', {database.columns(names, 's')} FROM {rows} WHERE {absent}")
            return
        if self.mode.valid_to:
            rows += f" AND {self.current}"
        same = [self.statements.all_same(self.compared, "t", "s")] if self.compared else []
        same += [self.current] if self.mode.deleted_at else []
        renamed = ""
        if self.forms:
            joined, renamed = self._renamed_case()
            rows += joined
            same.append(self.statements.all_same(self.forms, "t", "s"))
        differs = f" OR NOT ({' AND '.join(same)})" if same else ""
        changed = Op.VERSION if self.mode.valid_to else Op.UPDATE
        self._list(
            f"CASE WHEN {absent} THEN '{Op.INSERT}'{renamed} ELSE '{changed}' END, {database.columns(names, 's')}"
            f" FROM {rows} WHERE {absent}{differs}"
        )

    def _renamed_case(self) -> tuple[str, str]:
        """Return the JOIN and the CASE branch for rows whose keys the database calls equal though their bytes differ."""
        joined, op = "", f"'{Op.RENAME}'"
        # The source, too, treats decimals that differ only in trailing zeros as one key.
        texts = [column for column in self.forms if column.kind is not Kind.DECIMAL]
        if texts and self.staged.removed is not None:
            # The source still has a target row that is not listed as removed, so the staged row is a different one.
            gone = self.statements.by_index(self.staged.removed, "r", self.staged.key)
            joined = f" LEFT JOIN {gone} ON {self.statements.match(self.key, 't', 'r')}"
            kept = f"{self.statements.absent(self.key, 'r')} AND NOT ({self.statements.all_same(texts, 't', 's')})"
            kept += f" AND {self.current}" if self.current else ""
            op = f"CASE WHEN {kept} THEN '{Op.INSERT}' ELSE '{Op.RENAME}' END"
        return joined, f" WHEN NOT ({self.statements.all_same(self.forms, 't', 's')}) THEN {op}"

    def _list(self, selected: str) -> None:
        columns = self.database.columns((OP, *self.staged.key))
        self._execute(f"INSERT INTO {self.database.qualified(self.work)} ({columns}) SELECT {selected}")
