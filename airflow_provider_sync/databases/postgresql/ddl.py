"""Create and drop tables on PostgreSQL, and change columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from airflow_provider_sync.databases.contract.ddl import Ddl, StagingLayout, WidenedColumn
from airflow_provider_sync.databases.postgresql import type_names
from airflow_provider_sync.databases.postgresql.errors import error_message, translated
from airflow_provider_sync.databases.postgresql.event_triggers import undo_event_triggers
from airflow_provider_sync.databases.postgresql.session import doubled, run, undoubled
from airflow_provider_sync.databases.schema import OP, Column, Kind, Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SyncError, TableError
from airflow_provider_sync.protocol.v2.messages import ColumnDescription
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_TEMPORARY = "pg_temp"

_BUILT_IN = re.compile(r"(smallint|integer|real|numeric|character|date|time|timestamp)\b")
"""Types that can be too narrow for the source's values, as the server writes them."""

_INDEXES = """
SELECT format('%%I.%%I', n.nspname, c.relname), pg_get_indexdef(i.indexrelid), quote_ident(k.conname), pg_get_constraintdef(k.oid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = to_regclass(%s) ORDER BY i.indisprimary DESC, c.relname
"""


class PostgreSQLDdl(Ddl):
    """Creates UNLOGGED and temporary tables."""

    def sql_type(self, logical: LogicalType, *, key: bool) -> str:
        """See :func:`.type_names.sql_type`."""
        return type_names.sql_type(logical)

    def wider_type(self, column: Column, logical: LogicalType, *, key: bool) -> str | None:
        """See :meth:`.Ddl.wider_type`; ``None`` for a domain, an enum or any other user-defined type."""
        if column.is_domain or not _BUILT_IN.match(column.sql_type):
            return None
        wider = type_names.sql_type(logical)
        if wider == "TEXT" and logical.kind is not LogicalKind.TEXT:
            return None  # only text holds the values, but text is another kind
        return wider if wider.lower().replace(" ", "") != column.sql_type.replace(" ", "") else None

    def alike(self, name: str) -> str:
        """Return the name unchanged: names that differ in any character are different columns."""
        return name

    def change_actions(self, added: Sequence[ColumnDescription], widened: Sequence[WidenedColumn]) -> list[str]:
        """See :meth:`.Ddl.change_actions`; names the collation, which a column would lose with its type."""
        collated = [
            msgspec.structs.replace(entry, sql_type=f"{entry.sql_type} COLLATE {entry.column.collation.replace('%', '%%')}")
            if entry.column.collation
            else entry
            for entry in widened
        ]
        return super().change_actions(added, collated)

    def create_staging(self, connection: Connection, layout: StagingLayout, *, name: str, temporary: bool = False) -> Table:
        """See :meth:`.Ddl.create_staging`. A permanent staging table is UNLOGGED: a crash of the server empties it."""
        schema = _TEMPORARY if temporary else layout.target.schema
        staging = Table(name=name, schema=schema, columns=layout.columns, primary_key=layout.primary_key)
        definitions = [_definition(self.quote, column) + ("" if column.nullable else " NOT NULL") for column in layout.columns]
        definitions.append(f"PRIMARY KEY ({self.columns(layout.primary_key)})")
        with translated():
            connection.exec_driver_sql(
                f"CREATE {'TEMPORARY' if temporary else 'UNLOGGED'} TABLE {self.qualified(staging)} ({', '.join(definitions)})"
            )
            functions = self._undo_event_triggers(connection, staging)
            for column in layout.indexes:
                self._index(connection, layout.target, staging, column)
        return msgspec.structs.replace(staging, functions=functions)

    def _undo_event_triggers(self, connection: Connection, made: Table) -> tuple[str, ...]:
        try:
            return undo_event_triggers(connection, self.qualified(made), tuple(column.name for column in made.columns))
        except BaseException:
            with suppress(SQLAlchemyError, SyncError):
                self.drop(connection, made)
            raise

    def _index(self, connection: Connection, target: Table, staging: Table, column: str) -> None:
        try:
            connection.exec_driver_sql(f"CREATE INDEX ON {self.qualified(staging)} ({self.quote(column)})")
        except DBAPIError as error:
            self.drop(connection, staging)
            raise TableError(
                f"Table {str(target)!r}: column {column!r} cannot be indexed: {error_message(error)}.",
                NOTHING_CHANGED,
                "Leave it out of `import_indexes`.",
            ) from error

    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the table in the session's temporary schema; commits do not drop it."""
        op = Column(name=OP, kind=Kind.CHAR, sql_type="character(1)", nullable=False, length=1)
        columns = (op, *(target.column(column) for column in key))
        work = Table(name=name, schema=_TEMPORARY, columns=columns, primary_key=(OP, *key))
        definitions = ", ".join(f"{_definition(self.quote, column)} NOT NULL" for column in columns)
        with translated():
            connection.exec_driver_sql(
                f"CREATE TEMPORARY TABLE {self.qualified(work)} ({definitions}, PRIMARY KEY ({self.columns(work.primary_key)}))"
                " ON COMMIT PRESERVE ROWS"
            )
            self._undo_event_triggers(connection, work)
        return work

    def change_key_statements(self, connection: Connection, table: Table, key: Sequence[str]) -> tuple[str, ...]:
        """Return statements that drop the constraint by its name and add another one."""
        with translated():
            name = connection.exec_driver_sql(
                f"SELECT conname FROM pg_constraint WHERE contype = 'p' AND conrelid = {_oid(self.qualified(table))}"
            ).scalar()
        dropped = "" if name is None else f"DROP CONSTRAINT {self.quote(name)}, "
        return (f"ALTER TABLE {self.qualified(table)} {dropped}ADD PRIMARY KEY ({self.columns(key)})",)

    def drop(self, connection: Connection, table: Table) -> None:
        """Drop a staging or work table, if it exists."""
        with translated():
            super().drop(connection, table)

    def set_indexes_aside(self, connection: Connection, table: Table) -> list[str]:
        """Drop the indexes, which locks the table until the transaction ends; none if the table is in use or the user may not."""
        qualified, later = self.qualified(table), []
        try:
            with self.database.translate_errors(), self.database.savepoint(connection):
                connection.exec_driver_sql(f"LOCK TABLE {qualified} IN ACCESS EXCLUSIVE MODE NOWAIT")
                for index, definition, name, constraint in connection.exec_driver_sql(_INDEXES, (undoubled(qualified),)).all():
                    if name is None:
                        run(connection, f"DROP INDEX {index}")
                        later.append(doubled(definition))
                    else:
                        run(connection, f"ALTER TABLE {undoubled(qualified)} DROP CONSTRAINT {name}")
                        later.append(f"ALTER TABLE {qualified} ADD CONSTRAINT {doubled(name)} {doubled(constraint)}")
        except TableError:
            # A reader, a foreign key or another owner prevents this, but none of them prevents the load.
            return []
        return later

    def lock_whole(self, connection: Connection, table: Table) -> None:
        """Lock the table against all other sessions, readers included, until the transaction ends."""
        with translated():
            connection.exec_driver_sql(f"LOCK TABLE {self.qualified(table)}")


def _oid(qualified: str) -> str:
    """Return the expression of a table's OID."""
    return "'" + qualified.replace("'", "''") + "'::regclass"


def _definition(quote: Callable[[str], str], column: Column) -> str:
    """Write name, type and collation; a join with the target fails if the collations differ."""
    # The server has quoted type and collation, so percent signs are not doubled yet, as the driver expects.
    kind = column.sql_type + (f" COLLATE {column.collation}" if column.collation else "")
    return f"{quote(column.name)} {kind.replace('%', '%%')}"
