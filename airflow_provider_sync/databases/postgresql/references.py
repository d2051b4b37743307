"""Protect rows outside a merge from the actions of PostgreSQL's foreign keys that stay on during it.

For each constraint that refers to a merged table, and each row of that table that is deleted or whose referenced values change::

    no row refers to it                               nothing to do
    only rows that the merge deletes or re-points     the row is deleted last (``L``)
    the same, and another row gets its value, which   the constraint is dropped and created again, if the role may, since the row
    an ON UPDATE action would pass on                 that is deleted last could not get another value meanwhile
    rows that stay, whose value another row provides  nothing if the server checks them at the end (DEFERRABLE, NO ACTION), else
                                                      the constraint is dropped and created again, if the role may
    any other row                                     the merge is refused before anything is written

The rows are locked first, so that no other session can add references to them. Child tables that the merge does not write are
also watched: the server's counts of rows changed by the transaction show whether an action changed them; without such counts,
their rows are compared. If triggers or functions of the merged table might change a child table, too, it is watched only if its
references cannot be counted beforehand: the role does not see every row, or they refer to a generated column, whose new values
only the server knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.postgresql.constraints import (
    ACTIONS,
    INVOLVED,
    NO_ACTION,
    RESTRICT,
    TOUCHED,
    Constraint,
    constraints_to,
    counts_changes,
)
from airflow_provider_sync.databases.postgresql.errors import FOREIGN_KEY_VIOLATION, error_message, sqlstate
from airflow_provider_sync.databases.postgresql.session import doubled, undoubled
from airflow_provider_sync.databases.schema import OP, Column, Op
from airflow_provider_sync.exceptions import ReferencedRowsError


def kept(
    database: Database, connection: Connection, changes: Sequence[ListedChanges], remedy: str
) -> AbstractContextManager[None]:
    """Make sure that a merge's writes fire no foreign-key action on a row that stays; mark rows that must be deleted last.

    :param remedy: what would allow this role to switch foreign keys off, for messages
    :return: context manager to enter around the writes
    :raises ReferencedRowsError: before anything is written, if such a row would be changed or left without its parent
    """
    return _References(database, connection, changes, remedy).plan()


def references_to_listed(database: Database, connection: Connection, change: ListedChanges, op: Op) -> str | None:
    """Return the label of a constraint through which a row refers to a row listed under ``op``; ``None`` if there is none."""
    for constraint in constraints_to(connection, undoubled(database.qualified(change.target))):
        if constraint.on_delete == NO_ACTION and constraint.deferrable:
            continue
        if not constraint.readable:
            return constraint.label
        statement = (
            f"SELECT 1 FROM {database.qualified(change.work)} AS w"
            f" JOIN {database.qualified(change.target)} AS p ON {database.statements.match(change.key, 'p', 'w')}"
            f" JOIN {constraint.child_rows} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
            f" WHERE w.{OP} = '{op}' LIMIT 1"
        )
        if connection.exec_driver_sql(statement).first():
            return constraint.label
    return None


def written_last(database: Database, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
    """Return, for each table, the nullable columns that refer to a table written after it.

    Deferred constraints, and those that are dropped during the merge, are left out.
    """
    found: list[set[str]] = [set() for _ in changes]
    references = _References(database, connection, changes, "")
    for change in changes:
        touched = change.inserted or change.deleted
        for constraint in constraints_to(connection, undoubled(database.qualified(change.target))) if touched else ():
            if (child := references.needed_before(change, constraint)) and not constraint.mine:
                found[changes.index(child)] |= _nullable(child, constraint)
    return [frozenset(columns) for columns in found]


def to_itself(database: Database, connection: Connection, change: ListedChanges) -> frozenset[str]:
    """Return the written, nullable columns that refer to rows of the same table."""
    name = undoubled(database.qualified(change.target))
    own = set(connection.exec_driver_sql(INVOLVED, (name, name)).scalars())
    found = (_nullable(change, constraint) for constraint in constraints_to(connection, name) if constraint.child_oid in own)
    return frozenset[str]().union(*found)


def _nullable(child: ListedChanges, constraint: Constraint) -> set[str]:
    """Return the columns of a constraint that can be written after all rows, because they may be NULL until then."""
    columns = map(child.target.column, constraint.names)
    keys = {column.name for column in child.key}
    return {column.name for column in columns if column.nullable and column.name not in keys} & set(child.written)


class _References:
    """The foreign keys that refer to the tables of one merge."""

    def __init__(self, database: Database, connection: Connection, changes: Sequence[ListedChanges], remedy: str) -> None:
        self.database = database
        self.connection = connection
        self.changes = changes
        self.remedy = remedy
        self.by_oid: dict[int, ListedChanges] = {}
        for change in changes:
            name = undoubled(database.qualified(change.target))
            for oid in connection.exec_driver_sql(INVOLVED, (name, name)).scalars():
                self.by_oid[oid] = change
        self.dropped: list[Constraint] = []
        self.holding: list[tuple[ListedChanges, Constraint]] = []
        self.watched: dict[int, Constraint] = {}
        self.counted = counts_changes(connection)

    def plan(self) -> AbstractContextManager[None]:
        """Decide how to handle every constraint; write only to work tables."""
        for change in self.changes:
            if not (change.deleted or change.updated or change.inserted or change.forgotten):
                continue
            constraints = constraints_to(self.connection, undoubled(self.database.qualified(change.target)))
            for constraint in constraints:
                self._plan_cycle(change, constraint)
                self._refuse_forgotten(change, constraint)
            if not constraints or not (change.deleted or change.updated):
                continue
            self._lock(change, constraints)
            for constraint in constraints:
                self._watch(change, constraint)
                if not constraint.readable:
                    continue
                if change.deleted:
                    self._plan_deletes(change, constraint)
                if change.updated and (columns := self._changeable(change, constraint)):
                    self._plan_updates(change, constraint, columns)
        self._list_last()
        return self._around()

    @contextmanager
    def _around(self) -> Iterator[None]:
        """Drop constraints where needed and create them again afterwards; check that no watched child table was changed."""
        for constraint in self.dropped:
            self._run(f"ALTER TABLE {doubled(constraint.child)} DROP CONSTRAINT {doubled(constraint.quoted)}")
        before = [(constraint, self._state(constraint)) for constraint in self.watched.values()]
        yield
        for constraint, state in before:
            if self._state(constraint) != state:
                raise self._refused(constraint, "an action of it, or a trigger, changed rows there")
        if self.dropped:
            # ALTER TABLE fails while deferred checks of the table are pending.
            self._run("SET CONSTRAINTS ALL IMMEDIATE")
        for constraint in self.dropped:
            self._restore(constraint)

    def _watch(self, change: ListedChanges, constraint: Constraint) -> None:
        """Watch a child table that the merge does not write."""
        computed = {column.name for column in change.target.columns if column.generated}.intersection(constraint.referred)
        foreseen = constraint.readable and not computed
        may_write = change.target.triggers or change.target.functions
        if constraint.child_oid in self.by_oid or (may_write and foreseen):
            return
        if self.counted or constraint.readable:
            self.watched[constraint.child_oid] = constraint
        elif change.deleted or computed or self._changeable(change, constraint):
            unseen = "this role does not see its rows, nor does the server count what an action changes (track_counts is off)"
            raise self._refused(constraint, unseen)

    def _restore(self, constraint: Constraint) -> None:
        table, name = doubled(constraint.child), doubled(constraint.quoted)
        try:
            self._run(f"ALTER TABLE {table} ADD CONSTRAINT {name} {doubled(constraint.definition)}")
        except Exception as error:
            if sqlstate(error) != FOREIGN_KEY_VIOLATION:
                raise
            raise self._refused(constraint, f"rows would refer to nothing ({error_message(error)})") from error
        if constraint.comment:
            literal = self.connection.exec_driver_sql("SELECT quote_literal(%s)", (constraint.comment,)).scalar_one()
            self._run(f"COMMENT ON CONSTRAINT {name} ON {table} IS {doubled(literal)}")

    def _plan_cycle(self, change: ListedChanges, constraint: Constraint) -> None:
        """Drop the constraint if tables refer to each other in a cycle, so that rows can be written before their parents."""
        if constraint.mine and self.needed_before(change, constraint) and constraint not in self.dropped:
            self.dropped.append(constraint)

    def _refuse_forgotten(self, change: ListedChanges, constraint: Constraint) -> None:
        """Refuse to set gone columns to NULL if a foreign-key action would change the rows that refer to them."""
        names = [name for name in constraint.referred if name in change.forgotten]
        if names and constraint.passes_updates_on:
            raise ReferencedRowsError(
                f"Foreign keys stay on, and {constraint.label} would change its rows (ON UPDATE {ACTIONS[constraint.on_update]})"
                f" when gone_columns sets {', '.join(map(repr, names))} of {str(change.target)!r} to NULL. Nothing was changed."
                f" Drop the foreign key, or set gone_columns to 'keep'; or {self.remedy}",
                child=constraint.child,
            ).without_subject()

    def needed_before(self, change: ListedChanges, constraint: Constraint) -> ListedChanges | None:
        """Return the child's changes if they are written before the new rows of ``change``, to which they may refer.

        The child's rows are then also deleted after their parents.
        """
        child = self.by_oid.get(constraint.child_oid)
        if child is None or child is change or constraint.deferrable:
            return None
        concerned = (change.inserted and (child.inserted or child.updated)) or (change.deleted and child.deleted)
        return child if concerned and self.changes.index(child) < self.changes.index(change) else None

    def _plan_deletes(self, change: ListedChanges, constraint: Constraint) -> None:
        database = self.database
        child = self.by_oid.get(constraint.child_oid)
        if child is None and not self._first(
            f"SELECT 1 FROM {database.qualified(change.work)} AS w"
            f" JOIN {database.qualified(change.target)} AS p ON {database.statements.match(change.key, 'p', 'w')}"
            f" JOIN {constraint.child_rows} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
            f" WHERE w.{OP} = '{Op.DELETE}' LIMIT 1"
        ):
            return
        staying, orphans = self._staying(change, constraint, child)
        if orphans:
            action = ACTIONS[constraint.on_delete]
            raise self._refused(
                constraint, f"{orphans} of its rows refer to rows of {str(change.target)!r} that go (ON DELETE {action})"
            )
        if constraint.on_delete == NO_ACTION and constraint.deferrable:
            return
        if staying:
            reason = f"{staying} of its rows refer to rows of {str(change.target)!r} that others replace"
            self._drop(constraint, reason, advice="Declare it DEFERRABLE, with ON DELETE NO ACTION")
        elif constraint.mine and constraint.passes_updates_on and self._is_replaced(change, constraint):
            # A row that is deleted last would have to get another value meanwhile, which the child's rows would follow.
            self._drop(constraint, "")
        else:
            self.holding.append((change, constraint))

    def _is_replaced(self, change: ListedChanges, constraint: Constraint) -> bool:
        """Whether another row gets the referenced values of a row to delete."""
        database, columns = self.database, [change.target.column(name) for name in constraint.referred]
        return set(constraint.referred) <= set(change.staged) and self._first(
            f"SELECT 1 FROM {database.qualified(change.work)} AS w"
            f" JOIN {database.qualified(change.target)} AS p ON {database.statements.match(change.key, 'p', 'w')}"
            f" JOIN {database.qualified(change.staging)} AS s ON {database.statements.equal(columns, 's', 'p')}"
            f" WHERE w.{OP} = '{Op.DELETE}' LIMIT 1"
        )

    def _list_last(self) -> None:
        """Mark the rows to delete last: those with child rows that are not deleted before; repeat up to the root tables."""
        database, moved = self.database, bool(self.holding)
        while moved:
            moved = False
            for change, constraint in self.holding:
                stays = self._not_listed(self.by_oid.get(constraint.child_oid), Op.DELETE)
                found = self.connection.exec_driver_sql(
                    f"UPDATE {database.qualified(change.work)} AS w SET {OP} = '{Op.DELETE_LAST}'"
                    f" WHERE w.{OP} = '{Op.DELETE}' AND EXISTS (SELECT FROM {database.qualified(change.target)} AS p"
                    f" JOIN {constraint.child_rows} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
                    f" WHERE {database.statements.match(change.key, 'p', 'w')}{stays})"
                )
                moved = moved or found.rowcount > 0

    def _staying(self, change: ListedChanges, constraint: Constraint, child: ListedChanges | None) -> tuple[int, int]:
        """Count the child's rows that will still refer to a deleted row, and those whose value no other row will have."""
        database = self.database
        goes = (
            f"FROM {database.qualified(change.work)} AS w"
            f" JOIN {database.qualified(change.target)} AS p ON {database.statements.match(change.key, 'p', 'w')}"
        )
        where = f" WHERE w.{OP} = '{Op.DELETE}'"
        refers = constraint.refers(database.quote, "p", "c")
        provided = "false"
        if set(constraint.referred) <= set(change.staged):
            there = constraint.refers(database.quote, "x", "c")
            provided = f"EXISTS (SELECT FROM {database.qualified(change.staging)} AS x WHERE {there})"
        counted = f"SELECT count(*), count(*) FILTER (WHERE NOT {provided})"
        found = [f"{counted} {goes} JOIN {constraint.child_rows} AS c ON {refers}{where}{self._not_listed(child, Op.DELETE)}"]
        if child is not None and set(constraint.names) <= set(child.staged):
            found[0] += (
                f" AND NOT EXISTS (SELECT FROM {database.qualified(child.staging)} AS s"
                f" WHERE {database.statements.equal(child.key, 's', 'c')})"
            )
            found.append(f"{counted} {goes} JOIN {database.qualified(child.staging)} AS c ON {refers}{where}")
        counts = [self.connection.exec_driver_sql(statement).one() for statement in found]
        return sum(row[0] for row in counts), sum(row[1] for row in counts)

    def _changeable(self, change: ListedChanges, constraint: Constraint) -> list[Column]:
        """Return the referenced columns that updates may change: written columns, and keys whose bytes may be rewritten."""
        names = [name for name in constraint.referred if name in change.written]
        return [change.target.column(name) for name in names if change.renamed or name not in {c.name for c in change.key}]

    def _plan_updates(self, change: ListedChanges, constraint: Constraint, columns: Sequence[Column]) -> None:
        if constraint.on_update == NO_ACTION and constraint.deferrable:
            return
        database = self.database
        child = self.by_oid.get(constraint.child_oid)
        same = " AND ".join(database.statements.same(column, "p", "s") for column in columns)
        touched = (
            f"SELECT count(*) FROM {database.qualified(change.work)} AS w"
            f" JOIN {database.qualified(change.target)} AS p ON {database.statements.equal(change.key, 'p', 'w')}"
            f" JOIN {database.qualified(change.staging)} AS s ON {database.statements.match(change.key, 's', 'w')}"
            f" JOIN {constraint.child_rows} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
            f" WHERE w.{OP} IN ('{Op.UPDATE}', '{Op.RENAME}') AND NOT ({same}){self._not_listed(child, Op.DELETE)}"
        )
        if constraint.on_update == NO_ACTION:
            equal = database.statements.equal([change.target.column(name) for name in constraint.referred], "p", "s")
            touched += f" AND NOT ({equal})" if set(constraint.referred) <= set(change.staged) else ""
        elif child is not None and constraint.on_update != RESTRICT:
            # The merge updates these rows after their parents.
            touched += (
                f" AND NOT EXISTS (SELECT FROM {database.qualified(child.work)} AS d"
                f" WHERE d.{OP} IN ('{Op.UPDATE}', '{Op.RENAME}') AND {database.statements.equal(child.key, 'd', 'c')})"
            )
        rows = self.connection.exec_driver_sql(touched).scalar_one()
        if not rows:
            return
        if constraint.on_update == NO_ACTION and not constraint.mine:
            # Another row may get the value in the same statement; if none does, the server raises an error.
            return
        action = ACTIONS[constraint.on_update]
        self._drop(
            constraint,
            f"{rows} of its rows refer to values of {str(change.target)!r} that change (ON UPDATE {action})",
        )

    def _drop(self, constraint: Constraint, reason: str, advice: str = "") -> None:
        """Plan to drop the constraint during the writes.

        :raises ReferencedRowsError: if this role may not drop it
        """
        if not constraint.mine:
            raise self._refused(constraint, reason, advice)
        if constraint not in self.dropped:
            self.dropped.append(constraint)

    def _refused(self, constraint: Constraint, reason: str, advice: str = "") -> ReferencedRowsError:
        inside = constraint.child_oid in self.by_oid
        advice = advice or (
            "The source has such rows without what they refer to, or its tables changed between two answers, or a mode, a window"
            f" or 'columns' of {constraint.child} leaves them as they are: change those rows"
            if inside
            else f"Sync {constraint.child} in the same run and transaction, if it is not yet; or change those rows"
        )
        return ReferencedRowsError(
            f"Foreign keys stay on, and {constraint.label} is in the way: {reason}. Nothing was changed. {advice};"
            f" or {self.remedy}",
            child=constraint.child,
        ).without_subject()

    def _lock(self, change: ListedChanges, constraints: Sequence[Constraint]) -> None:
        """Lock the rows to delete and the rows whose referenced values may change, so that no session adds references to them."""
        ops = [Op.DELETE, Op.RENAME]
        if any(self._changeable(change, constraint) for constraint in constraints):
            ops.append(Op.UPDATE)
        listed = ", ".join(f"'{op}'" for op in ops)
        self.connection.exec_driver_sql(
            f"SELECT count(*) FROM (SELECT 1 FROM {self.database.qualified(change.target)} AS p"
            f" JOIN {self.database.qualified(change.work)} AS w ON {self.database.statements.equal(change.key, 'p', 'w')}"
            f" WHERE w.{OP} IN ({listed}) FOR UPDATE OF p) AS locked"
        ).scalar_one()

    def _not_listed(self, child: ListedChanges | None, op: Op) -> str:
        """Return the condition that the child's row ``c`` is not listed under ``op``."""
        if child is None:
            return ""
        return (
            f" AND NOT EXISTS (SELECT FROM {self.database.qualified(child.work)} AS d"
            f" WHERE d.{OP} = '{op}' AND {self.database.statements.match(child.key, 'c', 'd')})"
        )

    def _state(self, constraint: Constraint) -> object:
        """Return a value that changes whenever this transaction changes or deletes rows of the child table."""
        if self.counted:
            return self.connection.exec_driver_sql(TOUCHED, (constraint.child_oid, constraint.child_oid)).one()[0]
        hashed = "count(*), sum(hashtextextended(ROW(c.*)::text, 0))"
        return self.connection.exec_driver_sql(f"SELECT {hashed} FROM {constraint.child_rows} AS c").one()

    def _first(self, statement: str) -> bool:
        return self.connection.exec_driver_sql(statement).first() is not None

    def _run(self, statement: str) -> None:
        self.connection.exec_driver_sql(statement)
