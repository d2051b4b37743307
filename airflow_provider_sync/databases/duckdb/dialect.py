"""A minimal SQLAlchemy dialect for DuckDB, with only what this package needs.

It connects, runs statements, and lists tables and foreign keys. SQLAlchemy finds it under the name ``duckdb+sync`` by the entry
point in ``pyproject.toml``, so it does not conflict with other dialects for DuckDB.
``docs/explanation/decisions/duckdb.md`` says why it exists.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import duckdb
from sqlalchemy import URL, Connection
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import ArgumentError

MEMORY = ":memory:"
"""The path of an in-memory database, which ends with its connection."""

_FOREIGN_KEYS = """
SELECT constraint_name, constraint_column_names, referenced_table, referenced_column_names FROM duckdb_constraints()
WHERE constraint_type = 'FOREIGN KEY' AND database_name = current_database() AND schema_name = ? AND table_name = ?
"""
_SCHEMAS = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database()"
_TABLES = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ?"


class DuckDBCursor:
    """A DB-API cursor. DuckDB's own cursor would be another connection, outside of the transaction."""

    arraysize = 1
    rowcount = -1
    lastrowid = None

    def __init__(self, driver: duckdb.DuckDBPyConnection) -> None:
        self._driver = driver

    @property
    def description(self) -> Any:
        """Describe the columns of the result."""
        return self._driver.description

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""
        self._driver.execute(statement, parameters)

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each set of parameters."""
        self._driver.executemany(statement, parameters)

    def fetchone(self) -> Any:
        """Return the next row."""
        return self._driver.fetchone()

    def fetchmany(self, size: int = 1) -> Any:
        """Return the next rows."""
        return self._driver.fetchmany(size)

    def fetchall(self) -> Any:
        """Return all remaining rows."""
        return self._driver.fetchall()

    def close(self) -> None:
        """Do nothing: the next statement ends a result that was not read completely."""


class DuckDBConnection:
    """A DB-API connection.

    :ivar driver: the driver's own connection
    :ivar autocommit: whether SQLAlchemy leaves transactions to explicit statements
    """

    def __init__(self, driver: duckdb.DuckDBPyConnection) -> None:
        self.driver = driver
        self.autocommit = False

    def cursor(self) -> DuckDBCursor:
        """Return a cursor of this connection."""
        return DuckDBCursor(self.driver)

    def begin(self) -> None:
        """Begin a transaction, unless transactions are explicit."""
        if not self.autocommit:
            self.driver.begin()

    def commit(self) -> None:
        """Commit, unless transactions are explicit."""
        if not self.autocommit:
            self.driver.commit()

    def rollback(self) -> None:
        """Roll back the transaction, if one is open."""
        with suppress(duckdb.TransactionException):
            self.driver.rollback()

    def close(self) -> None:
        """Close the connection; the process closes the file with its last connection."""
        self.driver.close()


class DuckDBDialect(DefaultDialect):
    """The SQLAlchemy dialect of DuckDB."""

    name = "duckdb"
    driver = "sync"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_native_boolean = True
    supports_sane_rowcount = False
    supports_sane_multi_rowcount = False

    @classmethod
    def import_dbapi(cls) -> Any:
        """Return the driver."""
        return duckdb

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """Return path and options; all connections of a process to one file need the same options."""
        path = url.database or MEMORY
        options = dict(url.query)
        read_only = str(options.pop("read_only", "false")).lower()
        if read_only not in ("true", "1", "false", "0"):
            raise ArgumentError("invalid value of read_only")
        file = path if path == MEMORY else os.path.realpath(path)
        return [], {"database": file, "read_only": read_only in ("true", "1"), "config": options}

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Open a connection; the connections of one process share the database."""
        return DuckDBConnection(duckdb.connect(*arguments, **options))

    def get_driver_connection(self, connection: Any) -> Any:
        """Return the driver's own connection."""
        return connection.driver

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction of SQLAlchemy; see :meth:`DuckDBConnection.begin`."""
        dbapi_connection.begin()

    def get_isolation_level_values(self, dbapi_conn: Any) -> Any:
        """List the isolation levels; every transaction of DuckDB sees one consistent state of the database."""
        return ("REPEATABLE READ", "AUTOCOMMIT")

    def get_default_isolation_level(self, dbapi_conn: Any) -> Any:
        """Return the level of new connections."""
        return "REPEATABLE READ"

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """Return the level of a connection."""
        return "AUTOCOMMIT" if dbapi_connection.autocommit else "REPEATABLE READ"

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """Choose between SQLAlchemy's transactions and explicit ones."""
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        return tuple(int(part) for part in duckdb.__version__.split(".")[:2])

    def _get_default_schema_name(self, connection: Connection) -> str:
        return str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())

    def get_schema_names(self, connection: Connection, **_: Any) -> list[str]:
        """List the schemas of the file."""
        return list(connection.exec_driver_sql(_SCHEMAS).scalars())

    def get_table_names(self, connection: Connection, schema: str | None = None, **_: Any) -> list[str]:
        """List the tables of a schema."""
        return list(connection.exec_driver_sql(_TABLES, (schema or self.default_schema_name,)).scalars())

    def has_table(self, connection: Connection, table_name: str, schema: str | None = None, **_: Any) -> bool:
        """Whether there is a table with this name."""
        return table_name in self.get_table_names(connection, schema)

    def get_foreign_keys(self, connection: Connection, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        """List the foreign keys of a table; in DuckDB they cannot cross schemas."""
        rows = connection.exec_driver_sql(_FOREIGN_KEYS, (schema or self.default_schema_name, table_name)).all()
        return [
            {
                "name": name,
                "constrained_columns": list(columns),
                "referred_schema": schema,
                "referred_table": parent,
                "referred_columns": list(referred),
                "options": {},
            }
            for name, columns, parent, referred in rows
        ]
