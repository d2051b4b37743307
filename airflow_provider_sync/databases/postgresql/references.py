"""Foreign keys of PostgreSQL that stay on during a merge: no action of theirs touches a row that is not to change.

For each constraint that points to a merged table, and each row of that table that goes or whose referenced values change::

    no row refers to it                               nothing to do
    only rows that are deleted, or re-pointed, too    the row is deleted last (``L``)
    rows that stay, which find their value elsewhere  the constraint is dropped and made again, where the role may
    any other row                                     refused, before anything is written

The rows are locked first, so that nobody makes another one refer to them meanwhile. A child table that this role cannot read
is watched by the server's own counters of the transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.postgresql.constraints import (
    ACTIONS,
    INVOLVED,
    TOUCHED,
    Constraint,
    constraints_to,
)
from airflow_provider_sync.databases.postgresql.errors import FOREIGN_KEY_VIOLATION, error_message, sqlstate
from airflow_provider_sync.databases.postgresql.session import doubled, undoubled
from airflow_provider_sync.databases.schema import OP, Column, Op, Table
from airflow_provider_sync.exceptions import ReferencedRowsError

_NO_ACTION, _RESTRICT = "a", "r"


def kept(
    database: Database, connection: Connection, changes: Sequence[ListedChanges], remedy: str
) -> AbstractContextManager[None]:
    """See that the writes that follow fire no action on a row that stays; what has to be deleted last is listed so.

    :param remedy: what lets this role switch foreign keys off
    :return: to be entered around the writes
    :raises ReferencedRowsError: before anything is written, when rows would be changed or lose what they refer to
    """
    return _References(database, connection, changes, remedy).plan()


def references_to_listed(database: Database, connection: Connection, change: ListedChanges, op: Op) -> str | None:
    """Return a constraint by which a row refers to one of those that are listed under ``op``; ``None`` where none does."""
    for constraint in constraints_to(connection, undoubled(database.qualified(change.target))):
        if constraint.on_delete == _NO_ACTION and constraint.deferrable:
            continue
        if not constraint.readable:
            return constraint.label
        statement = (
            f"SELECT 1 FROM {database.qualified(change.work)} AS w"
            f" JOIN {database.qualified(change.target)} AS p ON {database.statements.match(change.key, 'p', 'w')}"
            f" JOIN {doubled(constraint.child)} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
            f" WHERE w.{OP} = '{op}' LIMIT 1"
        )
        if connection.exec_driver_sql(statement).first():
            return constraint.label
    return None


def joined(database: Database, connection: Connection, tables: Mapping[int, Table], number: int) -> list[list[int]]:
    """Group tables by the foreign keys between them.

    :param tables: those that have foreign keys, by their numbers
    :param number: how many there are with the others, each of which is a group
    """
    owner: dict[int, int] = {}
    for place, table in tables.items():
        name = undoubled(database.qualified(table))
        owner |= dict.fromkeys(connection.exec_driver_sql(INVOLVED, (name, name)).scalars(), place)
    group = list(range(number))
    for place, table in tables.items():
        for constraint in constraints_to(connection, undoubled(database.qualified(table))):
            other = owner.get(constraint.child_oid)
            if other is not None:
                low, high = sorted((group[place], group[other]))
                group = [low if entry == high else entry for entry in group]
    return [[entry for entry in range(number) if group[entry] == first] for first in sorted(set(group))]


def written_last(database: Database, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
    """Name the columns of each table that refer to a table which is written after it, and that may be NULL until then.

    Constraints that are deferred, or dropped for the time, need nothing.
    """
    found: list[set[str]] = [set() for _ in changes]
    references = _References(database, connection, changes, "")
    for change in changes:
        touched = change.inserted or change.deleted
        for constraint in constraints_to(connection, undoubled(database.qualified(change.target))) if touched else ():
            if (child := references.needed_before(change, constraint)) and not constraint.mine:
                columns = map(child.target.column, constraint.names)
                keys = {column.name for column in child.key}
                nullable = [column.name for column in columns if column.nullable and column.name not in keys]
                found[changes.index(child)] |= set(nullable) & set(child.written)
    return [frozenset(columns) for columns in found]


class _References:
    """The foreign keys of one merge."""

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

    def plan(self) -> AbstractContextManager[None]:
        """Decide about every constraint; nothing is written but work tables."""
        for change in self.changes:
            if not (change.deleted or change.updated or change.inserted):
                continue
            constraints = constraints_to(self.connection, undoubled(self.database.qualified(change.target)))
            for constraint in constraints:
                self._plan_ring(change, constraint)
            if not constraints or not (change.deleted or change.updated):
                continue
            self._lock(change, constraints)
            for constraint in constraints:
                if constraint.child_oid not in self.by_oid and not change.target.triggers:
                    self.watched[constraint.child_oid] = constraint
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
        """Drop what has to be dropped, make it again in the end, and see that no child was touched."""
        for constraint in self.dropped:
            self._run(f"ALTER TABLE {doubled(constraint.child)} DROP CONSTRAINT {doubled(constraint.quoted)}")
        before = {oid: self._touched(oid) for oid in self.watched}
        yield
        for oid, touched in before.items():
            if self._touched(oid) != touched:
                raise self._refused(self.watched[oid], "an action of it changed rows there")
        if self.dropped:
            # What is still to be checked would be in the way of ALTER TABLE.
            self._run("SET CONSTRAINTS ALL IMMEDIATE")
        for constraint in self.dropped:
            self._restore(constraint)

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

    def _plan_ring(self, change: ListedChanges, constraint: Constraint) -> None:
        """Let rows come before those that they refer to, and go after them, where tables refer to each other in a ring."""
        if constraint.mine and self.needed_before(change, constraint) and constraint not in self.dropped:
            self.dropped.append(constraint)

    def needed_before(self, change: ListedChanges, constraint: Constraint) -> ListedChanges | None:
        """Return the child's changes, if they are written before the new rows of ``change`` to which they may refer.

        Its rows then go after those to which they refer.
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
            f" JOIN {doubled(constraint.child)} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
            f" WHERE w.{OP} = '{Op.DELETE}' LIMIT 1"
        ):
            return
        staying, orphans = self._staying(change, constraint, child)
        if orphans:
            action = ACTIONS[constraint.on_delete]
            raise self._refused(
                constraint, f"{orphans} of its rows refer to rows of {str(change.target)!r} that go (ON DELETE {action})"
            )
        if staying:
            self._drop(constraint, f"{staying} of its rows refer to rows of {str(change.target)!r} that others replace")
        elif not (constraint.on_delete == _NO_ACTION and constraint.deferrable):
            self.holding.append((change, constraint))

    def _list_last(self) -> None:
        """List the rows to be deleted last: those to which others refer that do not go at first; so on, up to the roots."""
        database, moved = self.database, bool(self.holding)
        while moved:
            moved = False
            for change, constraint in self.holding:
                stays = self._not_listed(self.by_oid.get(constraint.child_oid), Op.DELETE)
                found = self.connection.exec_driver_sql(
                    f"UPDATE {database.qualified(change.work)} AS w SET {OP} = '{Op.DELETE_LAST}'"
                    f" WHERE w.{OP} = '{Op.DELETE}' AND EXISTS (SELECT FROM {database.qualified(change.target)} AS p"
                    f" JOIN {doubled(constraint.child)} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
                    f" WHERE {database.statements.match(change.key, 'p', 'w')}{stays})"
                )
                moved = moved or found.rowcount > 0

    def _staying(self, change: ListedChanges, constraint: Constraint, child: ListedChanges | None) -> tuple[int, int]:
        """Count the child's rows that in the end still refer to a row that goes, and those among them that find no other."""
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
        found = [f"{counted} {goes} JOIN {doubled(constraint.child)} AS c ON {refers}{where}{self._not_listed(child, Op.DELETE)}"]
        if child is not None and set(constraint.names) <= set(child.staged):
            found[0] += (
                f" AND NOT EXISTS (SELECT FROM {database.qualified(child.staging)} AS s"
                f" WHERE {database.statements.equal(child.key, 's', 'c')})"
            )
            found.append(f"{counted} {goes} JOIN {database.qualified(child.staging)} AS c ON {refers}{where}")
        counts = [self.connection.exec_driver_sql(statement).one() for statement in found]
        return sum(row[0] for row in counts), sum(row[1] for row in counts)

    def _changeable(self, change: ListedChanges, constraint: Constraint) -> list[Column]:
        """Return the referenced columns that updates may change: those that are written, and keys that have many forms."""
        names = [name for name in constraint.referred if name in change.written]
        return [change.target.column(name) for name in names if change.renamed or name not in {c.name for c in change.key}]

    def _plan_updates(self, change: ListedChanges, constraint: Constraint, columns: Sequence[Column]) -> None:
        if constraint.on_update == _NO_ACTION and constraint.deferrable:
            return
        database = self.database
        child = self.by_oid.get(constraint.child_oid)
        same = " AND ".join(database.statements.same(column, "p", "s") for column in columns)
        touched = (
            f"SELECT count(*) FROM {database.qualified(change.work)} AS w"
            f" JOIN {database.qualified(change.target)} AS p ON {database.statements.equal(change.key, 'p', 'w')}"
            f" JOIN {database.qualified(change.staging)} AS s ON {database.statements.match(change.key, 's', 'w')}"
            f" JOIN {doubled(constraint.child)} AS c ON {constraint.refers(database.quote, 'p', 'c')}"
            f" WHERE w.{OP} IN ('{Op.UPDATE}', '{Op.RENAME}') AND NOT ({same}){self._not_listed(child, Op.DELETE)}"
        )
        if constraint.on_update == _NO_ACTION:
            equal = " AND ".join(f"p.{database.quote(name)} = s.{database.quote(name)}" for name in constraint.referred)
            touched += f" AND NOT ({equal})" if set(constraint.referred) <= set(change.staged) else ""
        elif child is not None and constraint.on_update != _RESTRICT:
            # These rows get their own values after their parents got theirs.
            touched += (
                f" AND NOT EXISTS (SELECT FROM {database.qualified(child.work)} AS d"
                f" WHERE d.{OP} IN ('{Op.UPDATE}', '{Op.RENAME}') AND {database.statements.equal(child.key, 'd', 'c')})"
            )
        rows = self.connection.exec_driver_sql(touched).scalar_one()
        if not rows:
            return
        if constraint.on_update == _NO_ACTION and not constraint.mine:
            # Another row may take the value in the same statement; otherwise the server refuses.
            return
        action = ACTIONS[constraint.on_update]
        self._drop(
            constraint,
            f"{rows} of its rows refer to values of {str(change.target)!r} that change (ON UPDATE {action})",
        )

    def _drop(self, constraint: Constraint, reason: str) -> None:
        """Take the constraint away for the time of the writes.

        :raises ReferencedRowsError: when this role may not
        """
        if not constraint.mine:
            raise self._refused(constraint, reason)
        if constraint not in self.dropped:
            self.dropped.append(constraint)

    def _refused(self, constraint: Constraint, reason: str) -> ReferencedRowsError:
        inside = constraint.child_oid in self.by_oid
        advice = (
            "The source has such rows without what they refer to, or its tables changed between two answers"
            if inside
            else f"Synchronise {constraint.child} in the same run and transaction, or change those rows"
        )
        return ReferencedRowsError(
            f"Foreign keys stay on, and {constraint.label} is in the way: {reason}. Nothing was changed. {advice};"
            f" or {self.remedy}",
            child=constraint.child,
        ).without_subject()

    def _lock(self, change: ListedChanges, constraints: Sequence[Constraint]) -> None:
        """Lock the rows that go or whose referenced values may change, so that no other row comes to refer to them."""
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
        """Return a condition: the child's row ``c`` is not listed under ``op``."""
        if child is None:
            return ""
        return (
            f" AND NOT EXISTS (SELECT FROM {self.database.qualified(child.work)} AS d"
            f" WHERE d.{OP} = '{op}' AND {self.database.statements.match(child.key, 'c', 'd')})"
        )

    def _touched(self, oid: int) -> int:
        return int(self.connection.exec_driver_sql(TOUCHED, (oid, oid)).one()[0])

    def _first(self, statement: str) -> bool:
        return self.connection.exec_driver_sql(statement).first() is not None

    def _run(self, statement: str) -> None:
        self.connection.exec_driver_sql(statement)
