"""Describe the tables of an SQLite database by PRAGMAs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.catalog import Catalog
from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column, Kind, Table, UniqueKey
from airflow_provider_sync.databases.sqlite.affinities import kind_of, sizes_of
from airflow_provider_sync.databases.sqlite.dependents import find_dependents
from airflow_provider_sync.databases.sqlite.session import driver_of
from airflow_provider_sync.databases.sqlite.table_details import table_details
from airflow_provider_sync.databases.sqlite.text import logical_type
from airflow_provider_sync.exceptions import MissingTableError, TableError
from airflow_provider_sync.protocol.v2.types import LogicalType

_ROW_IDS = ("rowid", "_rowid_", "oid")
"""The names of SQLite's row id, the hidden integer that identifies a row; a column of the same name hides one of them."""

_PLAIN, _HIDDEN, _VIRTUAL, _STORED = range(4)
"""The last column of ``table_xinfo``."""


def describe_columns(connection: Connection, relation: str) -> tuple[Column, ...]:
    """Describe the columns of a view or query by their declared types; an expression's column by its affinity.

    The types are read from a temporary view and an empty temporary table, which are both rolled back.

    :param relation: the quoted name, or the query in parentheses
    """
    connection.exec_driver_sql("SAVEPOINT sync_columns")
    try:
        # A table gets the affinity of each expression as its type; a view in an older SQLite does not.
        connection.exec_driver_sql(f"CREATE TEMP VIEW _sync_view AS SELECT * FROM {relation}")
        connection.exec_driver_sql(f"CREATE TEMP TABLE _sync_table AS SELECT * FROM {relation} LIMIT 0")
        declared, stored = (
            _rows(connection, "SELECT name, type FROM pragma_table_xinfo(?, 'temp') ORDER BY cid", name)
            for name in ("_sync_view", "_sync_table")
        )
    finally:
        if driver_of(connection).in_transaction:
            connection.exec_driver_sql("ROLLBACK TO sync_columns")
            connection.exec_driver_sql("RELEASE sync_columns")
    return tuple(
        _column(name, sql_type or affinity, nullable=True, generated=False, required=False, sets_itself=False, collation=None)
        for (name, sql_type), (_, affinity) in zip(declared, stored, strict=True)
    )


def place_of(connection: Connection, name: str) -> tuple[str, str]:
    """Return schema and name of a table; if it does not exist, where it would be created."""
    schema, found = _resolve(connection, name)
    return ("main", name_in_main(name)) if found is None else (schema or "main", found[0])


def name_in_main(name: str) -> str:
    """Return the name of a new table without a leading ``main.``."""
    schema, _, table = name.partition(".")
    return table if schema.lower() == "main" and table else name


def is_strict(connection: Connection, table: Table) -> bool:
    """Whether a table is STRICT, so that it checks the types of its values; false if the table does not exist."""
    statement = "SELECT strict FROM pragma_table_list WHERE schema = ? AND name = ?"
    return any(strict for (strict,) in _rows(connection, statement, table.schema or "main", table.name))


def list_children(connection: Connection, schema: str, parent: str) -> list[str]:
    """Return the names of the tables whose foreign keys refer to ``parent``, which may be one of them."""
    rows = _rows(
        connection,
        "SELECT DISTINCT l.name FROM pragma_table_list AS l, pragma_foreign_key_list(l.name, l.schema) AS f"
        " WHERE l.schema = ? AND l.type = 'table' AND lower(f.\"table\") = lower(?)",
        schema,
        parent,
    )
    return [row[0] for row in rows]


def _rows(connection: Connection, statement: str, *values: str) -> Sequence[Any]:
    return connection.exec_driver_sql(statement, values).fetchall()


def _resolve(connection: Connection, name: str) -> tuple[str | None, Any]:
    """Find a table in the main database, or one named with its schema; ``None`` if there is neither."""
    found = _find(connection, "main", name)
    if found is None and "." in name:
        schema, _, rest = name.partition(".")
        return schema, _find(connection, schema, rest)
    return None, found


def _find(connection: Connection, schema: str, name: str) -> Any:
    """Return an object's name as created, its type, and whether it is WITHOUT ROWID; SQLite ignores the case of names."""
    rows = _rows(
        connection,
        "SELECT name, type, wr FROM pragma_table_list WHERE lower(schema) = lower(?) AND lower(name) = lower(?)"
        " ORDER BY name = ? DESC",
        schema,
        name,
        name,
    )
    return rows[0] if rows else None


def _describe(connection: Connection, schema: str | None, name: str, *, without_rowid: bool) -> Table:
    database = schema or "main"
    info = _rows(
        connection,
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?, ?) ORDER BY cid',
        name,
        database,
    )
    info = [row for row in info if row[5] != _HIDDEN]
    primary_key = tuple(row[0] for row in sorted(info, key=lambda row: row[4]) if row[4])
    unique_keys, collations, has_key_index = _indexes(connection, database, name)
    # Only an INTEGER PRIMARY KEY needs no index: it is another name of the row id.
    alias = bool(primary_key) and not without_rowid and not has_key_index
    columns = []
    for column, sql_type, not_null, default, position, hidden in info:
        generated = hidden in (_VIRTUAL, _STORED)
        nullable = not (not_null or (position and (alias or without_rowid)))
        columns.append(
            _column(
                column,
                sql_type,
                nullable=nullable,
                generated=generated,
                required=bool(not nullable and default is None and not generated and not (position and alias)),
                sets_itself=default is not None and default.upper() != "NULL",
                collation=collations.get(column),
            )
        )
    names = {column.name.lower() for column in columns}
    row_id = next((candidate for candidate in _ROW_IDS if candidate not in names), None)
    listed = f"{'temp' if database == 'temp' else _quoted(database)}.sqlite_schema"
    triggers = _rows(
        connection,
        f"SELECT name FROM {listed} WHERE type = 'trigger' AND lower(tbl_name) = lower(?) ORDER BY name",
        name,
    )
    # This may also match when the words are apart, or in a comment.
    conflicts = _rows(
        connection,
        f"SELECT 1 FROM {listed} WHERE lower(name) = lower(?) AND lower(sql) LIKE '%conflict%'",
        name,
    )
    refers = _rows(connection, "SELECT 1 FROM pragma_foreign_key_list(?, ?) LIMIT 1", name, database)
    return Table(
        name=name,
        schema=schema,
        columns=tuple(columns),
        primary_key=primary_key,
        unique_keys=tuple(unique_keys),
        foreign_keys=bool(refers or list_children(connection, database, name)),
        triggers=tuple(row[0] for row in triggers),
        resolves_conflicts=bool(conflicts),
        row_id=None if alias or without_rowid else row_id,
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _indexes(connection: Connection, schema: str, table: str) -> tuple[list[UniqueKey], dict[str, str], bool]:
    """Return the unique keys of plain columns, the collations of indexed columns, and whether the primary key has an index."""
    unique_keys: list[UniqueKey] = []
    collations: dict[str, str] = {}
    has_key_index = False
    indexes = _rows(connection, 'SELECT name, "unique", origin, partial FROM pragma_index_list(?, ?) ORDER BY seq', table, schema)
    for index, unique, origin, partial in indexes:
        if not unique:
            continue
        parts = _rows(connection, "SELECT cid, name, coll FROM pragma_index_xinfo(?, ?) WHERE key ORDER BY seqno", index, schema)
        if partial or any(cid < 0 for cid, _, _ in parts):
            continue
        for _, column, collation in parts:
            if collation.upper() != "BINARY":
                collations.setdefault(column, collation)
        if origin == "pk":
            has_key_index = True
        else:
            unique_keys.append(UniqueKey(name=index, columns=tuple(column for _, column, _ in parts)))
    return unique_keys, collations, has_key_index


def _column(
    name: str, sql_type: str, *, nullable: bool, generated: bool, required: bool, sets_itself: bool, collation: str | None
) -> Column:
    # table_xinfo appends these words to the type of generated columns.
    declared = sql_type.removesuffix("GENERATED ALWAYS").strip() if generated else sql_type
    kind = kind_of(declared)
    sizes = sizes_of(declared)
    decimal = kind is Kind.DECIMAL and bool(sizes)
    return Column(
        name=name,
        kind=kind,
        sql_type=declared,
        nullable=nullable,
        precision=sizes[0] if decimal else None,
        scale=(sizes[1] if len(sizes) > 1 else 0) if decimal else None,
        length=sizes[0] if sizes and kind in (Kind.TEXT, Kind.BINARY) else None,
        generated=generated,
        collation=collation,
        required=required,
        sets_itself=sets_itself,
    )


def _names(connection: Connection, schema: str, kind: str) -> list[str]:
    rows = _rows(connection, "SELECT name FROM pragma_table_list WHERE lower(schema) = lower(?) AND type = ?", schema, kind)
    return [row[0] for row in rows]


class SQLiteCatalog(Catalog):
    """Describes tables by PRAGMAs."""

    def describe(self, connection: Connection, name: str, *, views: bool = False) -> Table:
        """Describe the table called ``name``, or ``schema.name`` in an attached database."""
        schema, found = _resolve(connection, name)
        if found is None:
            # SQLite creates a missing file, so a mistyped path leads to an empty database.
            empty = not connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").all()
            advice = "It has no tables at all: is its path right?" if empty else "Create it, or correct its name."
            raise MissingTableError(f"There is no table {name!r} in the SQLite database.", advice)
        table, kind, without_rowid = found
        if kind == "view":
            if views:
                quoted = f"{_quoted(schema)}.{_quoted(table)}" if schema else _quoted(table)
                return Table(name=table, schema=schema, columns=describe_columns(connection, quoted), is_view=True)
            raise TableError(f"{name!r} is a view. Only tables can be synced: name the table that it reads from.")
        return _describe(connection, schema, table, without_rowid=bool(without_rowid))

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """See :func:`.table_details.table_details`."""
        return table_details(connection, table)

    def places_of(self, connection: Connection, names: Sequence[str]) -> list[tuple[str, str]]:
        """See :meth:`.Catalog.places_of`."""
        return [place_of(connection, name) for name in names]

    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """Return the sorted names of the tables in the main or an attached database, without SQLite's internal ones."""
        names = _names(connection, schema or "main", "table")
        return sorted(name for name in names if not name.startswith((STAGING_PREFIX, "sqlite_")))

    def list_views(self, connection: Connection) -> list[str]:
        """Return the sorted names of the views in the main database."""
        return sorted(_names(connection, "main", "view"))

    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """See :func:`.dependents.find_dependents`."""
        return find_dependents(connection, table, self.qualified(table))

    def logical_type(self, column: Column) -> LogicalType:
        """Return the logical type of a declared type; see :func:`.text.logical_type`."""
        return logical_type(column)
