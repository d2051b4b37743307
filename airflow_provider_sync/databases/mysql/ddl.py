"""Create, change and drop tables on MySQL and MariaDB; staging and work tables have exactly the target's column types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.contract.ddl import Ddl, StagingLayout, WidenedColumn
from airflow_provider_sync.databases.mysql import type_names
from airflow_provider_sync.databases.mysql.catalog import MySQLTable
from airflow_provider_sync.databases.mysql.errors import DENIED, error_number, error_text
from airflow_provider_sync.databases.mysql.server_facts import MySQLComponent
from airflow_provider_sync.databases.mysql.values import members
from airflow_provider_sync.databases.schema import OP, Column, Kind, Table
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import ColumnDescription
from airflow_provider_sync.protocol.v2.types import LogicalType

_MAX_INDEX_BYTES = 3072
"""Longest key of InnoDB, in bytes, in the row format DYNAMIC with pages of 16 KB."""

_BYTES_PER_CHARACTER = {"latin1": 1, "ascii": 1, "ucs2": 2, "utf8mb3": 3, "utf8": 3}
_SECONDS = re.compile(r"^(?:DATETIME|TIMESTAMP)\((\d)\)")
_NOW = re.compile(r"(DEFAULT|ON UPDATE) current_timestamp(?:\(\d*\))?", re.IGNORECASE)
"""The current time in a column definition; it must have as many digits as the column."""

_VERSION_COMMENT = re.compile(r"\s*/\*.*?\*/")
_OP = Column(name=OP, kind=Kind.CHAR, sql_type="char(1)", nullable=False, length=1, charset="ascii", collation="ascii_bin")


def staging_table(layout: StagingLayout, name: str, *, temporary: bool = False) -> MySQLTable:
    """Return the description of a staging table in its target's schema: plain columns, NOT NULL if they are in the key."""
    target = layout.target
    return MySQLTable(
        name=name,
        schema=target.schema,
        columns=tuple(
            msgspec.structs.replace(
                column,
                nullable=column.nullable and column.name not in layout.primary_key,
                generated=False,
                invisible=False,
            )
            for column in layout.columns
        ),
        primary_key=layout.primary_key,
        prefixes=target.prefixes if isinstance(target, MySQLTable) else {},
        temporary=temporary,
    )


def work_table(target: Table, key: Sequence[str], name: str) -> MySQLTable:
    """Return the description of the temporary table that lists keys of ``target``, each with an :class:`~.schema.Op`."""
    listed = StagingLayout(target=target, columns=(_OP, *map(target.column, key)), primary_key=(OP, *key))
    return staging_table(listed, name, temporary=True)


def create_table(table: MySQLTable, qualified: str, quote: Callable[[str], str], *, indexes: Sequence[str] = ()) -> str:
    """Return the CREATE TABLE of a staging or work table.

    :param qualified: the table's quoted name
    :param indexes: names of columns that each get an index
    """
    parts = [_definition(column, quote) for column in table.columns]
    parts.append(f"PRIMARY KEY ({_key_parts(table, table.primary_key, quote)})")
    parts += [f"KEY ({_key_parts(table, (name,), quote)})" for name in indexes]
    kind = "TEMPORARY TABLE" if table.temporary else "TABLE"
    return f"CREATE {kind} {qualified} ({', '.join(parts)}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC"


def _definition(column: Column, quote: Callable[[str], str]) -> str:
    # MariaDB shows COMPRESSED as such a comment, but does not accept it before the character set.
    sql_type = _VERSION_COMMENT.sub("", column.sql_type)
    if column.kind in (Kind.ENUM, Kind.SET):
        # Remove duplicate members, which a server without strict mode accepts in a definition.
        known = dict.fromkeys(members(column))
        sql_type = f"{column.kind}({','.join(_literal(member) for member in known)})"
    parts = [quote(column.name), sql_type.replace("%", "%%")]
    if column.charset and column.collation:
        parts.append(f"CHARACTER SET {column.charset} COLLATE {column.collation}")
    parts.append("NULL" if column.nullable else "NOT NULL")
    if column.kind is Kind.TIMESTAMP and not column.nullable:
        parts.append(type_names.NO_UPDATES)
    if column.kind is Kind.JSON and column.charset:
        parts.append(f"CHECK (json_valid({quote(column.name)}))")
    return " ".join(parts)


def redefined(lines: Iterable[str], widened: WidenedColumn, quote: Callable[[str], str]) -> str:
    """Return a column's whole definition with a wider type, since MODIFY COLUMN drops what it does not name, such as a comment.

    :param lines: lines of SHOW CREATE TABLE
    :raises TableError: if the server writes the column in an unexpected form
    """
    column = widened.column
    before = f"  {quote(column.name)} {column.sql_type}".replace("%%", "%")
    for line in lines:
        if line.startswith(before):
            rest, comment, text = line.removeprefix(before).rstrip().removesuffix(",").partition(" COMMENT '")
            if digits := _SECONDS.search(widened.sql_type):
                rest = _NOW.sub(rf"\1 CURRENT_TIMESTAMP({digits[1]})", rest)
            return f"{quote(column.name)} {widened.sql_type}{(rest + comment + text).replace('%', '%%')}"
    raise TableError(f"The definition of column {column.name!r} could not be read. Widen it to {widened.sql_type} yourself.")


def _literal(member: str) -> str:
    return "'" + member.replace("\\", "\\\\").replace("'", "''") + "'"


def _key_parts(table: MySQLTable, names: Sequence[str], quote: Callable[[str], str]) -> str:
    """List the columns of an index; a column that is too long for InnoDB gets a prefix length.

    A unique index on a prefix may treat different rows as equal; loading them is then an error, so no row is lost silently.
    """
    columns = [table.column(name) for name in names]
    sizes = [_key_bytes(column) for column in columns]
    share = _MAX_INDEX_BYTES // len(columns)
    parts = []
    for column, size in zip(columns, sizes, strict=True):
        prefix = table.prefixes.get(column.name)
        if prefix is None and size > share and (sum(sizes) > _MAX_INDEX_BYTES or _is_blob(column)):
            prefix = share // _bytes_per_character(column)
        parts.append(quote(column.name) + (f"({prefix})" if prefix else ""))
    return ", ".join(parts)


def _is_blob(column: Column) -> bool:
    return "text" in column.sql_type or "blob" in column.sql_type


def _key_bytes(column: Column) -> int:
    if _is_blob(column):
        return _MAX_INDEX_BYTES + 1
    if column.kind in (Kind.CHAR, Kind.TEXT, Kind.BINARY):
        return (column.length or 0) * _bytes_per_character(column)
    return 16


def _bytes_per_character(column: Column) -> int:
    return 1 if column.kind is Kind.BINARY else _BYTES_PER_CHARACTER.get(column.charset or "", 4)


class MySQLDdl(MySQLComponent, Ddl):
    """Creates, changes and drops InnoDB tables."""

    rolls_back = False

    table_options = " ENGINE=InnoDB ROW_FORMAT=DYNAMIC"
    """Named since the server's default engine may not roll back, and its default row format may be too small for long keys."""

    def alike(self, name: str) -> str:
        """Ignore case also beyond ASCII, but not accents."""
        return name.lower()

    def sql_type(self, logical: LogicalType, *, key: bool) -> str:
        """See :func:`.type_names.sql_type`."""
        return type_names.sql_type(logical, key=key, collation=self.server.exact_collation)

    def change_key_statements(self, connection: Connection, table: Table, key: Sequence[str]) -> tuple[str, ...]:
        """Change the key in one statement, since an AUTO_INCREMENT column must always have an index."""
        dropped = "DROP PRIMARY KEY, " if table.primary_key else ""
        return (f"ALTER TABLE {self.qualified(table)} {dropped}ADD PRIMARY KEY ({self.columns(key)})",)

    def definition(self, sql_type: str, *, required: bool) -> str:
        """See :func:`.type_names.definition`."""
        return type_names.definition(sql_type, required=required)

    def try_create(self, connection: Connection, name: str, statement: str) -> None:
        """Create a temporary table instead, which is dropped even if the session is killed."""
        connection.exec_driver_sql(statement.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))
        connection.exec_driver_sql(f"DROP TEMPORARY TABLE {self.quoted_name(name)}")

    def wider_type(self, column: Column, logical: LogicalType, *, key: bool) -> str | None:
        """See :func:`.type_names.wider_type`."""
        return type_names.wider_type(column, logical, key=key)

    def change_columns(
        self, connection: Connection, table: Table, added: Sequence[ColumnDescription], widened: Sequence[WidenedColumn]
    ) -> None:
        """Run a single ALTER TABLE, which is atomic; several statements would commit one by one."""
        actions = self.change_actions(added, ())
        if widened:
            _, statement = connection.exec_driver_sql(f"SHOW CREATE TABLE {self.qualified(table)}").one()
            lines = statement.splitlines()
            actions += [f"MODIFY COLUMN {redefined(lines, entry, self.quote)}" for entry in widened]
        connection.exec_driver_sql(f"ALTER TABLE {self.qualified(table)} {', '.join(actions)}")

    def create_staging(self, connection: Connection, layout: StagingLayout, *, name: str, temporary: bool = False) -> Table:
        """Create an empty InnoDB table in the target's database, with the layout's columns and key."""
        table = staging_table(layout, name, temporary=temporary)
        statement = create_table(table, self.qualified(table), self.quote, indexes=layout.indexes)
        connection.exec_driver_sql(statement)
        if not temporary:
            self._check_usable(connection, table, layout.target)
        return table

    def _check_usable(self, connection: Connection, table: Table, target: Table) -> None:
        """Check that the user may write to a new staging table, and drop it if not.

        A user gets no privileges on a table by creating it: only those on the whole database apply.

        :raises TableError: naming the privileges
        """
        name = self.qualified(table)
        try:
            connection.exec_driver_sql(f"INSERT INTO {name} SELECT * FROM {name} WHERE FALSE")
            connection.exec_driver_sql(f"DELETE FROM {name} WHERE FALSE")
        except SQLAlchemyError as error:
            if error_number(error) not in DENIED:
                raise
            with suppress(SQLAlchemyError):  # the user may lack the privilege DROP, too
                self.drop(connection, table)
            raise TableError(
                f"Table {str(target)!r}: the user may create a staging table beside it, but may not use it: {error_text(error)}"
                f" (error {error_number(error)}). Privileges on single tables do not cover staging tables, whose names are new in"
                " each run: grant SELECT, INSERT, UPDATE and DELETE on the whole database. If no steps are used, 'staging:"
                " temporary' and CREATE TEMPORARY TABLES will do instead."
            ) from error

    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the temporary table that lists the keys to change."""
        table = work_table(target, key, name)
        connection.exec_driver_sql(create_table(table, self.qualified(table), self.quote))
        return table

    def drop(self, connection: Connection, table: Table) -> None:
        """Drop a staging or work table if it exists; a temporary table needs no DROP privilege."""
        kind = "TEMPORARY TABLE" if isinstance(table, MySQLTable) and table.temporary else "TABLE"
        connection.exec_driver_sql(f"DROP {kind} IF EXISTS {self.qualified(table)}")

    def drop_targets(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Drop all tables with one statement, which takes all locks before it drops one; several would commit one by one."""
        with naming_table(", ".join(map(str, tables))), self.database.translate_errors():
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {', '.join(map(self.qualified, tables))}")

    def drop_if_empty(self, connection: Connection, table: Table) -> None:
        """Drop a table if it is empty; hold LOCK TABLES if the user may, since a DROP ends a transaction and its locks."""
        name = self.qualified(table)
        with suppress(SQLAlchemyError):  # the user may lack the privilege LOCK TABLES
            connection.exec_driver_sql(f"LOCK TABLES {name} WRITE")
        try:
            unchanged = self.database.catalog.describe(connection, str(table)) == table
            if unchanged and self.database.reader.is_empty(connection, table):
                connection.exec_driver_sql(f"DROP TABLE {name}")
        finally:
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql("UNLOCK TABLES")
