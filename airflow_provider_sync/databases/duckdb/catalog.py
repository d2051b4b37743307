"""Describe the tables of a DuckDB database by its catalog functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.catalog import Catalog
from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.duckdb.dependents import find_dependents
from airflow_provider_sync.databases.duckdb.indexes import indexed_columns
from airflow_provider_sync.databases.duckdb.session import driver_of
from airflow_provider_sync.databases.duckdb.table_details import table_details
from airflow_provider_sync.databases.duckdb.text import logical_type
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column, Kind, Table, UniqueKey
from airflow_provider_sync.exceptions import MissingTableError, TableError
from airflow_provider_sync.protocol.v2.types import LogicalType

_RELATIONS = """
SELECT schema_name, table_name, 'table' AS kind FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL
SELECT schema_name, view_name, 'view' FROM duckdb_views() WHERE database_name = current_database()
"""
# DuckDB ignores the case of names.
_FIND = (
    f"SELECT schema_name, table_name, kind FROM ({_RELATIONS})"
    " WHERE lower(schema_name) = lower(coalesce(?, current_schema())) AND lower(table_name) = lower(?)"
)
_LIST = f"SELECT table_name FROM ({_RELATIONS}) WHERE lower(schema_name) = lower(coalesce(?, current_schema()))"
_VIEWS = """
SELECT view_name FROM duckdb_views()
WHERE database_name = current_database() AND schema_name = current_schema() AND NOT internal
"""
_COLUMNS = """
SELECT column_name, data_type, is_nullable, column_default, is_generated FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index
"""
_CONSTRAINTS = """
SELECT constraint_type, constraint_name, constraint_column_names FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY constraint_index
"""
_UNIQUE_INDEXES = """
SELECT index_name, sql FROM duckdb_indexes()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? AND is_unique AND NOT is_primary
ORDER BY index_name
"""
_TRIGGERS = """
SELECT trigger_name FROM duckdb_triggers()
WHERE database_name = current_database() AND schema_name = ? AND lower(table_name) = lower(?) ORDER BY trigger_name
"""
_CHILDREN = """
SELECT 1 FROM duckdb_constraints() WHERE database_name = current_database() AND schema_name = ?
AND constraint_type = 'FOREIGN KEY' AND lower(referenced_table) = lower(?) LIMIT 1
"""

_KINDS = {
    "TINYINT": Kind.INTEGER,
    "SMALLINT": Kind.INTEGER,
    "INTEGER": Kind.INTEGER,
    "BIGINT": Kind.INTEGER,
    "UTINYINT": Kind.INTEGER,
    "USMALLINT": Kind.INTEGER,
    "UINTEGER": Kind.INTEGER,
    "UBIGINT": Kind.INTEGER,
    "HUGEINT": Kind.DECIMAL,
    "UHUGEINT": Kind.DECIMAL,
    "BOOLEAN": Kind.BOOLEAN,
    "FLOAT": Kind.FLOAT,
    "DOUBLE": Kind.DOUBLE,
    "VARCHAR": Kind.TEXT,
    "JSON": Kind.JSON,
    "BLOB": Kind.BINARY,
    "DATE": Kind.DATE,
    "TIME": Kind.TIME,
    "TIMESTAMP": Kind.DATETIME,
    "TIMESTAMP_S": Kind.DATETIME,
    "TIMESTAMP_MS": Kind.DATETIME,
    "TIMESTAMP_NS": Kind.DATETIME,
    "TIMESTAMP WITH TIME ZONE": Kind.TIMESTAMP,
    "UUID": Kind.UUID,
}
_SCALES = {"TIMESTAMP_S": 0, "TIMESTAMP_MS": 3, "TIMESTAMP_NS": 9}
"""Digits of a second, for types that do not have six."""

_HUGE_DIGITS = 39
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


class DuckDBCatalog(Catalog):
    """Describes tables of the current database by catalog functions."""

    def describe(self, connection: Connection, name: str, *, views: bool = False) -> Table:
        """Describe a table, or a view if views are accepted."""
        schema, found = _resolve(connection, name)
        if found is None:
            raise MissingTableError(f"There is no table {name!r} in the DuckDB database.", "Create it, or correct its name.")
        place, table, kind = found
        if kind == "view" and not views:
            raise TableError(f"{name!r} is a view. Only tables can be synced: name the table that it reads from.")
        described = _describe(connection, place if schema else None, place, table)
        return msgspec.structs.replace(described, is_view=kind == "view")

    def places_of(self, connection: Connection, names: Sequence[str]) -> list[tuple[str, str]]:
        """See :meth:`.Catalog.places_of`."""
        return [place_of(connection, name) for name in names]

    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """Return the sorted names of the tables in a schema, by default the current one."""
        rows = _rows(connection, f"{_LIST} AND kind = 'table'", schema)
        return sorted(name for (name,) in rows if not name.startswith(STAGING_PREFIX))

    def list_views(self, connection: Connection) -> list[str]:
        """Return the sorted names of the views in the current schema, without DuckDB's own."""
        return sorted(name for (name,) in _rows(connection, _VIEWS))

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """See :func:`.table_details.table_details`."""
        return table_details(connection, table, table.schema or place_of(connection, table.name)[0])

    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """See :func:`.dependents.find_dependents`."""
        return find_dependents(connection, table, table.schema or place_of(connection, table.name)[0])

    def logical_type(self, column: Column) -> LogicalType:
        """Return the logical type; see :func:`.text.logical_type`."""
        return logical_type(column)


def place_of(connection: Connection, name: str) -> tuple[str, str]:
    """Return schema and name of a table; if it does not exist, where it would be created."""
    schema, found = _resolve(connection, name)
    if found is not None:
        return found[0], found[1]
    current = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    return (schema, name.partition(".")[2]) if schema else (str(current), name)


def describe_query(connection: Connection, query: str) -> tuple[Column, ...]:
    """Describe the columns of a query's rows; all are nullable."""
    rows = driver_of(connection).execute(f"DESCRIBE {query}").fetchall()
    names = [row[0].lower() for row in rows]
    if double := next((name for name in names if names.count(name) > 1), None):
        # As a subquery, the query would have other column names than it was written with.
        raise TableError(f"DuckDB: several columns are called {double!r}").without_subject()
    return tuple(_column(name, sql_type, True, None, False, in_key=False) for name, sql_type, *_ in rows)


def _resolve(connection: Connection, name: str) -> tuple[str | None, Any]:
    """Find a table in the current schema, or one named with its schema; ``None`` if there is neither."""
    found = _rows(connection, _FIND, None, name)
    if found or "." not in name:
        return None, found[0] if found else None
    schema, _, rest = name.partition(".")
    found = _rows(connection, _FIND, schema, rest)
    return schema, found[0] if found else None


def _rows(connection: Connection, statement: str, *values: str | None) -> Sequence[Any]:
    return connection.exec_driver_sql(statement, values).all()


def _describe(connection: Connection, schema: str | None, place: str, name: str) -> Table:
    constraints = _rows(connection, _CONSTRAINTS, place, name)
    primary_key = next((tuple(columns) for kind, _, columns in constraints if kind == "PRIMARY KEY"), ())
    columns = tuple(_column(*row, in_key=row[0] in primary_key) for row in _rows(connection, _COLUMNS, place, name))
    unique_keys = [
        UniqueKey(name=constraint, columns=tuple(names)) for kind, constraint, names in constraints if kind == "UNIQUE"
    ]
    for index, sql in _rows(connection, _UNIQUE_INDEXES, place, name):
        if indexed := indexed_columns(sql, columns):
            unique_keys.append(UniqueKey(name=index, columns=indexed))
    refers = any(kind == "FOREIGN KEY" for kind, _, _ in constraints)
    return Table(
        name=name,
        schema=schema,
        columns=columns,
        primary_key=primary_key,
        unique_keys=tuple(unique_keys),
        foreign_keys=refers or bool(_rows(connection, _CHILDREN, place, name)),
        triggers=tuple(name for (name,) in _rows(connection, _TRIGGERS, place, name)),
    )


def _column(name: str, sql_type: str, nullable: bool, default: str | None, generated: bool, *, in_key: bool) -> Column:
    decimal = _DECIMAL.fullmatch(sql_type)
    kind = Kind.DECIMAL if decimal else Kind.ENUM if sql_type.startswith("ENUM(") else _KINDS.get(sql_type, Kind.OTHER)
    precision = scale = None
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
    elif kind is Kind.DECIMAL:
        precision, scale = _HUGE_DIGITS, 0
    elif kind in (Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP):
        scale = _SCALES.get(sql_type, 6)
    nullable = nullable and not in_key
    return Column(
        name=name,
        kind=kind,
        sql_type=sql_type,
        nullable=nullable,
        precision=precision,
        scale=scale,
        unsigned=kind is Kind.INTEGER and sql_type.startswith("U"),
        generated=bool(generated),
        required=not nullable and default is None and not generated,
        sets_itself=default is not None and default.upper() != "NULL",
    )
