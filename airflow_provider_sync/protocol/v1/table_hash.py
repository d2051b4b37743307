"""Compute the version 1 hash of a table from a stream of its rows, for databases that cannot compute it themselves.

The engines in ``databases`` turn values into bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha1

from airflow_provider_sync.protocol.v1 import EMPTY, NULL
from airflow_provider_sync.protocol.v1.numbers import mysql_double, php_float
from airflow_provider_sync.protocol.v1.rows import Row, Value


class TableHash:
    """The chain ``crc = sha1_hex(crc + "|" + fields joined by "|")`` over the rows of a table in the order of its key."""

    def __init__(self) -> None:
        self._chain = b""

    def update(self, rows: Iterable[Sequence[bytes]]) -> None:
        """Add rows.

        :param rows: the fields of each row as bytes, NULL as :data:`~airflow_provider_sync.protocol.v1.NULL`
        """
        chain = self._chain
        for row in rows:
            chain = sha1(b"%b|%b" % (chain, b"|".join(row)), usedforsecurity=False).hexdigest().encode()
        self._chain = chain

    def copy(self) -> TableHash:
        """Return an independent copy, which continues after the same rows."""
        other = TableHash()
        other._chain = self._chain
        return other

    def hexdigest(self) -> str:
        """Return the hash of the rows so far: 40 hex digits, or ``--EMPTY--`` without rows."""
        return self._chain.decode() or EMPTY


class AnswerHash:
    """The version 1 hash of the rows in an answer, computed by the client from their JSON values.

    It equals the hash of ``/getTableHash`` if the server hashes all values as it sends them, which holds for nearly all columns.
    The exceptions are BIT, FLOAT with many digits, text in another character set beside binary columns, and columns that are
    hashed but not sent. So an equal hash proves that the rows are those of the source; a different one proves nothing.
    """

    def __init__(self) -> None:
        self._mysql = TableHash()
        self._sqlite: TableHash | None = None  # separate from the first float on, which SQLite servers write differently

    def update(self, rows: Sequence[Row]) -> None:
        """Add rows as :class:`.RowReader` yields them."""
        if not rows:
            return
        columns = list(zip(*rows, strict=True))
        if self._sqlite is None and any(float in set(map(type, values)) for values in columns):
            self._sqlite = self._mysql.copy()
        self._mysql.update(zip(*(_fields(values, mysql_double) for values in columns), strict=True))
        if self._sqlite is not None:
            self._sqlite.update(zip(*(_fields(values, php_float) for values in columns), strict=True))

    def matches(self, source_hash: str) -> bool:
        """Whether a server with exactly these rows would send this hash."""
        return source_hash in (self._mysql.hexdigest(), (self._sqlite or self._mysql).hexdigest())

    def hexdigest(self) -> str:
        """Return a hash that is equal for answers with the same rows, whatever the server hashes."""
        return self._mysql.hexdigest()


def _fields(values: Sequence[Value], number: Callable[[float], str]) -> Iterable[bytes]:
    types = set(map(type, values))
    if types == {str}:
        return [str(value).encode("utf-8", "surrogatepass") for value in values]
    if types == {int}:
        return [str(value).encode() for value in values]
    return [_field(value, number) for value in values]


def _field(value: Value, number: Callable[[float], str]) -> bytes:
    if value is None:
        return NULL
    if isinstance(value, bytes):
        return value
    return (number(value) if isinstance(value, float) else str(value)).encode("utf-8", "surrogatepass")
