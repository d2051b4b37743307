"""Compute the version 1 hash on MySQL and MariaDB, in the database or from streamed rows.

In the database it is computed by the statement that existing servers run, so that the same bytes are hashed. The other
functions compute the same hash from streamed rows.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.contract.version1 import Version1
from airflow_provider_sync.databases.mysql import time_zone
from airflow_provider_sync.databases.mysql.catalog import MySQLTable
from airflow_provider_sync.databases.mysql.errors import (
    MIXED_COLLATIONS,
    error_number,
)
from airflow_provider_sync.databases.mysql.read import not_utf8, read_rows
from airflow_provider_sync.databases.mysql.server_facts import MySQLComponent
from airflow_provider_sync.databases.mysql.text import UTF8, has_gaps, utf8_text
from airflow_provider_sync.databases.schema import Column, Kind, Row, Table, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1 import EMPTY, NULL
from airflow_provider_sync.protocol.v1.numbers import fixed_float, mysql_double, mysql_float
from airflow_provider_sync.time_zones import UTC, TimeZone

_BINARY = frozenset({Kind.BINARY, Kind.BIT, Kind.GEOMETRY})
"""Kinds that make the whole row text binary, so that text columns are hashed in their stored encoding."""

_CODECS = {
    "latin1": "cp1252",
    "latin2": "iso8859-2",
    "latin5": "iso8859-9",
    "latin7": "iso8859-13",
    "greek": "iso8859-7",
    "hebrew": "iso8859-8",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "cp1256": "cp1256",
    "cp1257": "cp1257",
    "cp850": "cp850",
    "cp852": "cp852",
    "cp866": "cp866",
    "koi8r": "koi8-r",
    "koi8u": "koi8-u",
    "macroman": "mac-roman",
    "macce": "mac-latin2",
    "tis620": "tis-620",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "ucs2": "utf-16-be",
    "utf32": "utf-32-be",
    "sjis": "shift-jis",
    "cp932": "cp932",
    "ujis": "euc-jp",
    "eucjpms": "euc-jp",
    "euckr": "cp949",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "gb18030": "gb18030",
    "big5": "big5",
}


def is_binary(row: Sequence[Column]) -> bool:
    """Whether the text of a row with these columns is binary."""
    return any(column.kind in _BINARY for column in row)


def chain(columns: Sequence[Column], source: str, quote: Callable[[str], str], *, mariadb: bool) -> str | None:
    """Return the query that chains the hashes of the rows of ``source`` in ``@sync_chain``, which must be ``''`` before.

    The query returns 1 if a row was too large for the server's packets, so that the hash is wrong; NULL if there are no rows.

    :param source: the FROM clause without its keyword
    :return: ``None`` if the server's text of a column is not the text that version 1 hashes
    """
    if not mariadb and any(column.kind in (Kind.FLOAT, Kind.DOUBLE) and column.scale is None for column in columns):
        # Version 1 hashes MariaDB's text. MySQL writes a FLOAT as 1e14 instead of 100000000000000, a small DOUBLE
        # of many digits with an exponent, and within an expression it truncates a DOUBLE to 22 characters.
        return None
    binary = is_binary(columns)
    fields = ", ".join(_field(column, quote(column.name), binary=binary) for column in columns)
    # MAX, unlike the MIN of existing servers: a row over max_allowed_packet makes one result NULL, then the chain restarts.
    return f"SELECT MAX((@sync_chain := SHA1(CONCAT_WS('|', @sync_chain, {fields}))) IS NULL) FROM {source}"


def _field(column: Column, name: str, *, binary: bool) -> str:
    # The conversion does not change the text, but MariaDB refuses to concatenate utf16 and utf8mb4.
    text = name if binary else utf8_text(column, name)
    return f"IFNULL({text}, '{NULL.decode()}')" if column.nullable else text


def _plain(value: Value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _float(column: Column) -> Callable[[Value], bytes]:
    shortest = mysql_float if column.kind is Kind.FLOAT else mysql_double
    scale = column.scale
    width = column.precision or 0

    def render(value: Value) -> bytes:
        number = float(value or 0)
        text = shortest(number) if scale is None else fixed_float(number, scale)
        return (text.zfill(width) if column.zerofill else text).encode()

    return render


def _encoder(column: Column) -> Callable[[Value], bytes]:
    try:
        codec = codecs.lookup(_CODECS[str(column.charset)])
    except (KeyError, LookupError):
        raise TableError(
            f"Column {column.name!r} has the character set {column.charset!r}, whose bytes the hash needs because another"
            " column is binary. Convert it to utf8mb4, or leave one of the two out with `columns`."
        ) from None

    def render(value: Value) -> bytes:
        text = str(value)
        try:
            return codec.encode(text)[0]
        except UnicodeEncodeError:
            if column.charset != "latin1":
                raise
            # MySQL's latin1 is cp1252, but maps the five bytes that cp1252 leaves undefined to the same code points.
            return b"".join(bytes([ord(c)]) if "\x80" <= c <= "\x9f" else codec.encode(c)[0] for c in text)

    return render


class MySQLVersion1(MySQLComponent, Version1):
    """Computes the hash by the statement that existing servers run."""

    def default_time_zone(self, connection: Connection) -> str | None:
        """Return the server's ``time_zone``; see :func:`.time_zone.default_time_zone` if that is the machine's zone."""
        return time_zone.default_time_zone(connection)

    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """Compute the version 1 hash inside the database; ``None`` if SHA1 or the exact text is not available.

        A zone other than UTC must be an offset, since the server may not know zone names, or may have older rules.
        """
        if not table.primary_key or table.query is not None or not self.server.has_sha1(connection):
            return None
        if zone.is_utc or not any(column.kind is Kind.TIMESTAMP for column in columns):
            return self._chain_in_database(connection, table, columns)
        if zone.offset not in time_zone.OFFSETS:
            return None
        with time_zone.session_in(connection, zone.offset):
            return self._chain_in_database(connection, table, columns)

    def _chain_in_database(self, connection: Connection, table: Table, columns: Sequence[Column]) -> str | None:
        connection.exec_driver_sql("SET @sync_chain = ''")
        empty = True
        for partition in self._scanned(table, columns, mariadb=self.server.is_mariadb(connection)):
            # Scan in the order of the PRIMARY index, even if another index covers all columns.
            condition = self.database.current(table)
            source = f"{self.qualified(table)}{partition} USE INDEX (PRIMARY){f' WHERE {condition}' if condition else ''}"
            statement = chain(columns, source, self.quote, mariadb=self.server.is_mariadb(connection))
            if statement is None:
                return None
            try:
                broken = connection.exec_driver_sql(statement).scalar()
            except SQLAlchemyError as error:
                if error_number(error) in MIXED_COLLATIONS:
                    return None
                raise
            if broken:
                return None
            empty = empty and broken is None
        return EMPTY if empty else str(connection.exec_driver_sql("SELECT @sync_chain").scalar_one())

    def _scanned(self, table: Table, columns: Sequence[Column], *, mariadb: bool) -> list[str]:
        """Return the PARTITION clauses of a table in the order in which existing servers scan its partitions."""
        if not isinstance(table, MySQLTable) or not table.partitions:
            return [""]
        if mariadb and {column.name for column in columns} <= set(table.primary_key):
            return [""]  # MariaDB reads only the index then, across all partitions at once
        return [f" PARTITION ({self.quote(name)})" for name in table.partitions]

    def read_in_hash_order(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Iterator[list[Row]]:
        """Stream the rows partition by partition, each in the order in which existing servers scan it."""
        order = self.hash_order(table)
        descending = table.descending if isinstance(table, MySQLTable) else ()
        for partition in self._scanned(table, columns, mariadb=self.server.is_mariadb(connection)):
            yield from read_rows(self.database, connection, table, columns, order, partition, descending)

    def hash_order(self, table: Table) -> Sequence[str]:
        """Return the columns of the PRIMARY index; empty for a storage engine that does not scan in key order."""
        if not table.primary_key:
            raise TableError(f"Table {str(table)!r} has no primary key, which version 1 of the protocol needs. Add one.")
        if isinstance(table, MySQLTable) and not table.keeps_key_order:
            return ()
        return table.primary_key

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that renders a value as the bytes to hash.

        :raises TableError: if a binary column requires the stored bytes, but the character set is not supported here
        """
        if column.kind is Kind.BIT:
            size = ((column.length or 1) + 7) // 8
            return lambda value: int(value or 0).to_bytes(size, "big")
        if column.kind in _BINARY:
            return _plain
        if column.kind in (Kind.FLOAT, Kind.DOUBLE):
            return _float(column)
        if column.charset in UTF8 or not is_binary(row):
            return _plain
        return _encoder(column)

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first column with bytes that are not UTF-8, or not characters of its character set; otherwise ``None``."""
        mariadb = self.server.is_mariadb(connection)
        asked = ((place, self._unsendable(column, mariadb=mariadb)) for place, column in enumerate(columns))
        conditions = {place: condition for place, condition in asked if condition}
        if not conditions:
            return None
        cases = " ".join(f"WHEN {condition} THEN {place}" for place, condition in conditions.items())
        found = connection.exec_driver_sql(
            f"SELECT CASE {cases} END FROM {self.relation(table)} AS t WHERE ({') OR ('.join(conditions.values())}) LIMIT 1"
        ).scalar()
        return None if found is None else columns[found]

    def _unsendable(self, column: Column, *, mariadb: bool) -> str | None:
        name = self.quote(column.name)
        if column.kind in (Kind.BINARY, Kind.GEOMETRY):
            # VECTOR and geometries can be converted to a character set only from binary.
            return not_utf8(f"CAST({name} AS BINARY)", mariadb=mariadb)
        return has_gaps(column, name)
