"""Describe queries that a source offers, and write the expressions that mask columns."""

from __future__ import annotations

from abc import abstractmethod
from hashlib import sha256
from typing import ClassVar

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.sql_text import Syntax
from airflow_provider_sync.databases.table_slice import TableSlice

_BLOCK = 64
"""Block size of SHA-256 in bytes."""


class Queries(DatabaseComponent):
    """Describes queries, and masks columns.

    Percent signs in parameters and results are not doubled; columns are quoted by :meth:`name`.
    """

    syntax: ClassVar[Syntax] = Syntax()
    """How this engine writes quotes and comments."""

    def name(self, column: Column) -> str:
        """Quote the name of a column."""
        return self.database.undoubled(self.quote(column.name))

    @abstractmethod
    def describe(self, connection: Connection, query: str) -> tuple[Column, ...]:
        """Describe the columns of a query's rows; no row is read.

        All columns are nullable. A column has the type ``""`` if the database does not know the type of its expression.

        :param query: one SELECT, already checked by :func:`~.sql_text.find_mistake_in_query`
        :raises TableError: if the database refuses the query
        """

    @abstractmethod
    def finds_ranges(self, connection: Connection, table_slice: TableSlice) -> bool:
        """Whether an index finds the rows of the slice's key range, according to the database's query plan.

        :param table_slice: slice of a view or query whose key is a single integer
        """

    @abstractmethod
    def hashed(self, column: Column, secret: bytes) -> str:
        """Return the expression of the HMAC-SHA-256 of a column's canonical text in UTF-8: 64 hex digits, NULL for NULL.

        Equal texts have equal hashes on every engine; values of a column without a type are hashed as text.
        """

    @abstractmethod
    def year(self, column: Column) -> str:
        """Return the expression of the year of a date or timestamp, an integer; of a timestamptz, in UTC."""

    def redacted(self, column: Column) -> str:
        """Return the expression of a fixed text in place of every value; NULL for NULL."""
        return f"CASE WHEN {self.database.is_null(self.name(column))} THEN NULL ELSE '***' END"

    def nothing(self, column: Column) -> str:
        """Return the expression of a NULL of the column's type."""
        return f"CASE WHEN 1 = 0 THEN {self.name(column)} END"


def hmac_blocks(secret: bytes) -> tuple[str, str]:
    """Return, in hex, the padded keys that HMAC-SHA-256 puts before the message and before the inner hash (RFC 2104)."""
    key = (sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in key).hex(), bytes(byte ^ 0x5C for byte in key).hex()
