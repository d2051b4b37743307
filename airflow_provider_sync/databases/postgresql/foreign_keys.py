"""Handle PostgreSQL's foreign keys during a merge: switch them off where that is safe, and count orphans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from airflow_provider_sync.databases.contract.foreign_keys import ForeignKeys
from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.postgresql import references
from airflow_provider_sync.databases.postgresql.constraints import followed, joined
from airflow_provider_sync.databases.postgresql.errors import (
    FOREIGN_KEY_VIOLATION,
    INSUFFICIENT_PRIVILEGE,
    error_message,
    sqlstate,
    translated,
)
from airflow_provider_sync.databases.postgresql.session import undoubled
from airflow_provider_sync.databases.postgresql.text import is_null
from airflow_provider_sync.databases.schema import Op, Table
from airflow_provider_sync.exceptions import (
    ReferencedRowsError,
    TableError,
)

# Includes triggers and constraints of partitions, which fire as well.
_NEEDED_IN_REPLICA_ROLE = """
WITH involved(oid) AS (SELECT to_regclass(%s)::oid UNION SELECT relid FROM pg_partition_tree(to_regclass(%s)))
SELECT 'trigger ' || quote_ident(t.tgname) FROM pg_trigger t JOIN involved i ON i.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'R')
UNION ALL
SELECT 'deferrable constraint ' || quote_ident(c.conname) FROM pg_constraint c JOIN involved i ON i.oid = c.conrelid
WHERE c.contype IN ('p', 'u', 'x') AND c.condeferrable
UNION ALL
SELECT 'rule ' || quote_ident(r.rulename) FROM pg_rewrite r JOIN involved i ON i.oid = r.ev_class
WHERE r.ev_enabled IN ('O', 'R') AND r.rulename <> '_RETURN'
LIMIT 1
"""

# Includes a partition's own constraints, but not its copies of the parent's. A constraint is not about rows of tables that
# inherit from child or parent, hence ONLY, which would leave out partitions. Servers before PostgreSQL 18 enforce all of them.
# Tables that this role may not read are left out.
_CONSTRAINTS = """
WITH involved AS (SELECT to_regclass(%s)::oid AS oid UNION SELECT relid FROM pg_partition_tree(to_regclass(%s))
                  UNION SELECT relid FROM pg_partition_ancestors(to_regclass(%s)))
SELECT k.conname::text, child.relname::text,
       CASE child.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || k.conrelid::regclass::text,
       CASE parent.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || k.confrelid::regclass::text,
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.conkey) WITH ORDINALITY AS c(attnum, position)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY c.position),
       ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.confkey) WITH ORDINALITY AS c(attnum, position)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum ORDER BY c.position),
       ARRAY(SELECT coalesce(' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(l.collname), '')
                    || ' OPERATOR(' || quote_ident(s.nspname) || '.' || o.oprname || ') '
             FROM unnest(k.confkey, k.conpfeqop) WITH ORDINALITY AS c(attnum, operator, position)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum
             JOIN pg_operator o ON o.oid = c.operator JOIN pg_namespace s ON s.oid = o.oprnamespace
             LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = l.collnamespace
             ORDER BY c.position)
FROM pg_constraint k JOIN pg_class child ON child.oid = k.conrelid JOIN pg_class parent ON parent.oid = k.confrelid
WHERE k.contype = 'f' AND k.conparentid = 0
      AND (k.conrelid IN (SELECT oid FROM involved) OR k.confrelid IN (SELECT oid FROM involved))
      AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
      AND has_table_privilege(k.conrelid, 'SELECT') AND has_table_privilege(k.confrelid, 'SELECT')
      AND NOT row_security_active(k.conrelid) AND NOT row_security_active(k.confrelid)
ORDER BY child.relname, k.conname
"""


_STAYS_ON = "sync_foreign_keys_stay_on"
"""Key in a connection's ``info`` of the reason why foreign keys stay on."""


class _Reason(msgspec.Struct, frozen=True):
    """Why foreign keys stay on.

    :ivar violated: what users can do about a violated foreign key
    :ivar remedy: what would allow switching them off, as the end of a sentence
    """

    violated: str
    remedy: str


def stays_on(connection: Connection) -> str | None:
    """Return, inside of :meth:`.ForeignKeys.switched_off`, what would allow to switch foreign keys off; ``None`` if they are."""
    reason: _Reason | None = connection.info.get(_STAYS_ON)
    return None if reason is None else reason.remedy


class PostgreSQLForeignKeys(ForeignKeys):
    """Switches foreign keys off, or defers them: see :class:`.PostgreSQLDatabase`."""

    @contextmanager
    def switched_off(self, connection: Connection, tables: Sequence[Table]) -> Iterator[None]:
        """Switch foreign keys off if the role may and nothing else would be lost; see :class:`.PostgreSQLDatabase`."""
        driver: Any = connection.connection.driver_connection
        why_not = self._switch_off(connection, tables)
        connection.info[_STAYS_ON] = why_not
        try:
            yield
        except Exception as error:
            if sqlstate(error) != FOREIGN_KEY_VIOLATION or isinstance(error, ReferencedRowsError):
                raise
            message = f"PostgreSQL: {error_message(error)}. {why_not.violated if why_not else ''}".rstrip()
            raise TableError(message).without_subject() from error
        finally:
            # Use the driver: SQLAlchemy would open another connection if this one is lost.
            if why_not is None and not driver.closed:
                with driver.cursor() as cursor:
                    cursor.execute("RESET session_replication_role")

    def _switch_off(self, connection: Connection, tables: Sequence[Table]) -> _Reason | None:
        """Set the replica role; return ``None``, or the reason why it was not set."""
        if not any(table.foreign_keys for table in tables):
            return _Reason("It appeared while the table was being merged. Try again.", "try again.")
        for table in tables:
            name = undoubled(self.qualified(table))
            needed = connection.exec_driver_sql(_NEEDED_IN_REPLICA_ROLE, (name, name)).scalar()
            if needed:
                return _Reason(
                    f"Foreign keys stay on while table {str(table)!r} has the {needed}, which would be off with them."
                    " Sync the referenced tables first, or together with this one, or declare the constraint DEFERRABLE.",
                    f"let foreign keys be switched off: the {needed} of {str(table)!r} would be off with them, and keeps them"
                    " on.",
                )
        try:
            connection.exec_driver_sql("SET session_replication_role = replica")
        except DBAPIError as error:
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise
            role = connection.exec_driver_sql("SELECT quote_ident(current_user)").scalar_one()
            grant = (
                f"let this role switch foreign keys off: GRANT SET ON PARAMETER session_replication_role TO {role}"
                " (PostgreSQL 15 and newer; before, only a superuser may)."
            )
            return _Reason(
                "Sync the referenced tables first, or together with this one, declare the constraint DEFERRABLE, or " + grant,
                grant,
            )
        return None

    def references_kept(self, connection: Connection, changes: Sequence[ListedChanges]) -> AbstractContextManager[None]:
        """If foreign keys stay on, protect the rows that refer to changed rows; see :mod:`.references`."""
        remedy = stays_on(connection)
        if remedy is None or not any(change.target.foreign_keys for change in changes):
            return nullcontext()
        return references.kept(self.database, connection, changes, remedy)

    def may_act(self, connection: Connection) -> bool:
        """Whether foreign keys stay on."""
        return stays_on(connection) is not None

    def written_last(self, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
        """Find cycles of foreign keys, if they stay on."""
        if len(changes) < 2 or stays_on(connection) is None:
            return super().written_last(connection, changes)
        return references.written_last(self.database, connection, changes)

    def to_itself(self, connection: Connection, change: ListedChanges) -> frozenset[str]:
        """See :func:`.references.to_itself`."""
        return references.to_itself(self.database, connection, change)

    def merged_together(self, names: Sequence[str]) -> list[list[int]]:
        """Group the tables that are connected by foreign keys that this role cannot switch off."""
        with self.database.connect() as connection:
            found: dict[int, Table] = {}
            for number, name in enumerate(names):
                with suppress(TableError):
                    found[number] = self.database.catalog.describe(connection, name)
            bound = {number: table for number, table in found.items() if table.foreign_keys}
            if len(bound) < 2:
                return super().merged_together(names)
            with self.switched_off(connection, list(bound.values())):
                if stays_on(connection) is None:
                    return super().merged_together(names)
            return joined(self.database, connection, bound, len(names))

    def followed(self, connection: Connection, change: ListedChanges) -> frozenset[str]:
        """See :func:`.constraints.followed`."""
        return followed(connection, undoubled(self.qualified(change.target)))

    def why_not_replace(self, connection: Connection, change: ListedChanges) -> str | None:
        """Look also for rows that refer to the replaced ones, if foreign keys stay on."""
        if (reason := super().why_not_replace(connection, change)) or not change.target.foreign_keys:
            return reason
        if stays_on(connection) is None:
            return None
        constraint = references.references_to_listed(self.database, connection, change, Op.REPLACE)
        return constraint and f"rows refer to them by {constraint}"

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count rows without a parent, for each foreign key of the table and each one that refers to it.

        A foreign key with a NULL refers to no row, and is not an orphan (MATCH SIMPLE). Constraints are left out if the role does
        not see all rows of both tables.
        """
        with translated():
            counts = {}
            for constraint, name, child, parent, columns, referred, operators in connection.exec_driver_sql(
                _CONSTRAINTS, (undoubled(self.qualified(table)),) * 3
            ).all():
                present = " AND ".join(f"NOT ({is_null(f'c.{column}')})" for column in columns)
                # Use the parent's collation, as the constraint itself does.
                pairs = zip(referred, operators, columns, strict=True)
                points = " AND ".join(f"p.{there}{operator}c.{here}" for there, operator, here in pairs)
                statement = (
                    f"SELECT count(*) FROM {child} c WHERE {present} AND NOT EXISTS (SELECT FROM {parent} p WHERE {points})"
                )
                # The server has quoted these names, so percent signs are not doubled yet, as the driver expects.
                number = connection.exec_driver_sql(statement.replace("%", "%%")).scalar_one()
                if number:
                    counts[f"{name}.{constraint}"] = int(number)
            return counts
