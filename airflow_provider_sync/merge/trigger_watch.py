"""Detect, before the commit, that a trigger changed rows that the merge leaves alone, and refuse the merge.

::

    list changes ── read ── savepoint ── write ── compare ─┬─ equal: go on
                                                           └─ changed: back to the savepoint ── compare ─┬─ equal: a trigger
                                                                                                         └─ changed: others

Reports say that these rows equal the source's, or are unchanged, and no later sync would notice a change to ended rows or rows
outside the window. If no trigger or foreign-key action can fire, nothing is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError, TargetChangedError, TriggerError
from airflow_provider_sync.merge.table_write import TableWrite
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT

_SAVEPOINT = "sync_before_writes"


class _Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """The digest or fingerprint of a table's rows before the first write.

    :ivar name: name of the table
    :ivar before: the value before the first write
    :ivar read: reads the value again
    :ivar shows_others: whether commits of other sessions change the value, too
    :ivar forgotten: columns of the table that the merge sets to NULL
    """

    name: str
    before: object
    read: Callable[[], object]
    shows_others: bool
    forgotten: Sequence[str] = ()

    @property
    def differs(self) -> bool:
        """Whether the rows have changed since."""
        return self.read() != self.before


class TriggerWatch:
    """Watches the rows that the merges of one transaction do not write.

    :param merges: merges of the transaction, which have listed their changes
    :param beside: returns further tables that were already found equal to their sources; called only if there are triggers
    """

    def __init__(
        self,
        database: Database,
        connection: Connection,
        merges: Sequence[TableWrite],
        beside: Callable[[], Iterable[Table]],
    ) -> None:
        self.database = database
        self.connection = connection
        self.merges = merges
        self.beside = beside
        self.triggers: tuple[str, ...] = ()
        self.baselines: list[_Baseline] = []

    def begin(self) -> None:
        """Read the rows that triggers or foreign-key actions may change, before the first write."""
        with self.database.translate_errors():
            self.triggers = tuple(self._find_triggers())
            self.baselines = [*self._baselines_of_merged(), *self._baselines_of_others()]
            if self.baselines and self.database.sees_commits:
                self.connection.exec_driver_sql(f"SAVEPOINT {_SAVEPOINT}")
        for merge in self.merges:
            merge.triggers = self.triggers

    def check(self) -> None:
        """Compare the rows with those that :meth:`begin` read, after the last write.

        :raises TriggerError: when a trigger changed rows
        :raises TableError: when a foreign-key action, or a gone column that was set to NULL, changed them
        :raises TargetChangedError: when another session changed them
        """
        with self.database.translate_errors():
            changed = next((baseline for baseline in self.baselines if baseline.differs), None)
            if changed is None:
                return
            if changed.shows_others:
                self.connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
                if changed.differs:
                    what = f"Table {changed.name!r}: another session wrote to the target during the merge."
                    raise TargetChangedError(what, NOTHING_CHANGED, "Try again.")
        raise self._error(changed)

    def _find_triggers(self) -> Iterator[str]:
        """Yield, in words, the triggers of all written tables, and the functions that the database calls for their rows."""
        written = [merge for merge in self.merges if merge.writes]
        if triggers := [name for merge in written for name in merge.target.triggers]:
            yield f"a trigger ({', '.join(triggers)})"
        if functions := dict.fromkeys(name for merge in written for name in merge.target.functions):
            yield f"a function ({', '.join(functions)})"
        for merge in written:
            name = repr(str(merge.target))
            if self.database.catalog.has_unseen_triggers(self.connection, merge.target):
                yield f"a trigger of {name} that this user may not see"
                merge.warnings.append(
                    f"Table {name} has triggers that this user may not see, which use other tables and fire for rows that a sync"
                    " changes."
                )

    def _baselines_of_merged(self) -> Iterator[_Baseline]:
        computes = any(column.generated for merge in self.merges for column in merge.target.columns)
        for merge in self.merges:
            # Foreign-key actions are checked beforehand, except on generated columns, whose new values only the server knows.
            acts = computes and merge.target.foreign_keys and self.database.foreign_keys.may_act(self.connection)
            if not (self.triggers or merge.counts.forgotten or acts):
                continue
            for rows in filter(None, (merge.unwritten_rows(), merge.ending_rows())):
                # Without a rollback, the change of a trigger would stay and look like one of another session.
                shows_others = self.database.sees_commits and not rows.cannot_roll_back
                yield self._baseline(rows, partial(self._digest, rows), shows_others, merge.counts.forgotten)

    def _baselines_of_others(self) -> Iterator[_Baseline]:
        reader, connection = self.database.reader, self.connection
        for table in self.beside() if self.triggers else ():
            # Include ended rows.
            rows = msgspec.structs.replace(table, ended_at=None)
            shows_others = reader.fingerprints_commits(connection) and not rows.cannot_roll_back
            try:
                with self.database.translate_errors(), self._undone_if_refused():
                    baseline = self._baseline(rows, partial(reader.fingerprint, connection, rows), shows_others)
            except TableError as error:  # this user may lack SELECT on a table that another connection's user may read
                warning = f"Table {str(table)!r} cannot be watched for what triggers change in it. {error}"
                self.merges[0].warnings.append(warning)
            else:
                yield baseline

    def _undone_if_refused(self) -> AbstractContextManager[None]:
        return self.database.savepoint(self.connection) if self.database.sees_commits else nullcontext()

    def _baseline(self, rows: Table, read: Callable[[], object], shows_others: bool, forgotten: Sequence[str] = ()) -> _Baseline:
        return _Baseline(name=str(rows), before=read(), read=read, shows_others=shows_others, forgotten=forgotten)

    def _digest(self, rows: Table) -> object:
        typed = ((column, self.database.catalog.logical_type(column)) for column in rows.columns)
        columns = tuple(CanonicalColumn(column=column, type=logical) for column, logical in typed if logical)
        table_slice = TableSlice(table=rows, columns=columns, key=columns[:1])
        return dict(self.database.digests.digest_segments(self.connection, table_slice, ONE_SEGMENT))

    def _error(self, changed: _Baseline) -> TableError:
        kind: type[TableError] = TableError
        culprit, remedy = "an action of a foreign key to a generated column", "Drop the foreign key at the target"
        if self.triggers:
            kind = TriggerError
            culprit = f"{' or '.join(self.triggers)}, of a table that was merged,"
            remedy = "Drop the trigger, or what calls the function, at the target"
        elif changed.forgotten:
            names = ", ".join(map(repr, changed.forgotten))
            culprit = f"a column that is computed from {names}, which gone_columns sets to NULL,"
            remedy = "Drop what depends on that column at the target, set gone_columns to 'keep'"
        return kind(
            f"Table {changed.name!r} was compared with the source already, and has changed since: {culprit} changed rows that the"
            " merge leaves alone.",
            NOTHING_CHANGED,
            f"{remedy}, or leave one of the tables out.",
        )
