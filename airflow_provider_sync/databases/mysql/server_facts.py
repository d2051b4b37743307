"""Facts about a MySQL or MariaDB server, queried once and shared by all connections."""

from __future__ import annotations

import re
from hashlib import sha1
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.mysql import binlog
from airflow_provider_sync.databases.mysql.errors import NO_FUNCTION, error_number
from airflow_provider_sync.databases.mysql.type_names import BY_BYTES

if TYPE_CHECKING:
    from airflow_provider_sync.databases.mysql.database import MySQLDatabase

_NUMBER = re.compile(r"\d+")
_HAS_0900_BIN = (8, 0, 17)
_PROBE = "sync"

_PACKET = "sync_max_allowed_packet"
"""Key in a connection's ``info`` of the session's ``max_allowed_packet``."""


class Server:
    """Facts about one server, queried over the first connection that needs them."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._ignores_case: bool | None = None
        self._sha1: bool | None = None
        self._logs_statements: bool | None = None

    def is_mariadb(self, connection: Connection) -> bool:
        """Whether the server is MariaDB rather than MySQL."""
        if self._version is None:
            self._version = str(connection.exec_driver_sql("SELECT VERSION()").scalar_one()).lower()
        return "mariadb" in self._version

    @property
    def exact_collation(self) -> str:
        """A collation that also compares trailing spaces, if the server has one and its version is known."""
        if self._version is None:
            return BY_BYTES
        if "mariadb" in self._version:
            return "utf8mb4_nopad_bin"
        numbers = tuple(int(number) for number in _NUMBER.findall(self._version)[:3])
        return "utf8mb4_0900_bin" if numbers >= _HAS_0900_BIN else BY_BYTES

    def logs_statements(self, connection: Connection) -> bool:
        """Whether sessions log statements by the server's default; see :mod:`.binlog`."""
        if self._logs_statements is None:
            self._logs_statements = binlog.logs_statements(connection)
        return self._logs_statements

    def ignores_case(self, connection: Connection) -> bool:
        """Whether names of tables and databases that differ only in case are one (``lower_case_table_names``)."""
        if self._ignores_case is None:
            self._ignores_case = bool(connection.exec_driver_sql("SELECT @@lower_case_table_names").scalar_one())
        return self._ignores_case

    def has_sha1(self, connection: Connection) -> bool:
        """Whether the server has SHA1(), which MySQL 9.6 moved to a component that is not installed by default.

        Without the component, a stored function of this name in the database is called instead, whatever it returns.
        """
        if self._sha1 is None:
            try:
                found = connection.exec_driver_sql(f"SELECT SHA1('{_PROBE}')").scalar_one()
            except SQLAlchemyError as error:
                if error_number(error) not in NO_FUNCTION:
                    raise
                self._sha1 = False
            else:
                self._sha1 = found == sha1(_PROBE.encode(), usedforsecurity=False).hexdigest()
        return self._sha1

    def characters_for_keys(self, connection: Connection) -> int:
        """Return the maximum characters of a list of keys in a statement, besides the expressions of all columns."""
        return packet_bytes(connection) // 2


def packet_bytes(connection: Connection) -> int:
    """Return the session's ``max_allowed_packet`` in bytes, which cannot change during a session."""
    if _PACKET not in connection.info:
        connection.info[_PACKET] = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
    return int(connection.info[_PACKET])


class MySQLComponent(DatabaseComponent):
    """A component that needs facts about the server."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.server = cast("MySQLDatabase", database).server
