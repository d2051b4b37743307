"""The hash of version 1 on MySQL and MariaDB: the statement that computes it in the database, and values as it takes them in.

The statement is the one that existing servers run, so that text goes in with the same bytes; the rest of the module gives
the same value from streamed rows.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from airflow_provider_sync.databases.mysql.text import UTF8, utf8_text
from airflow_provider_sync.databases.schema import Column, Kind, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.protocol.v1.numbers import fixed_float, mysql_double, mysql_float

_BINARY = frozenset({Kind.BINARY, Kind.BIT, Kind.GEOMETRY})
"""One such column makes the whole row text binary, and all others go in with the bytes that they are stored with."""

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
    """Return whether the text of a row of these columns is binary."""
    return any(column.kind in _BINARY for column in row)


def chain(columns: Sequence[Column], source: str, quote: Callable[[str], str], *, mariadb: bool) -> str | None:
    """Return the query that chains the rows of ``source`` into ``@sync_chain``, which must be ``''`` before.

    It answers 1 when a row was too large for the server's packets, and the chain therefore wrong; NULL for no rows.

    :param source: what stands behind FROM
    :return: ``None`` where the server's text of a column is not the one that is hashed
    """
    if not mariadb and any(column.kind in (Kind.FLOAT, Kind.DOUBLE) and column.scale is None for column in columns):
        # The text is MariaDB's, which the protocol has. MySQL writes a FLOAT as 1e14 instead of 100000000000000, a small DOUBLE
        # of many digits with an exponent, and within an expression it cuts a DOUBLE to 22 characters.
        return None
    binary = is_binary(columns)
    fields = ", ".join(_field(column, quote(column.name), binary=binary) for column in columns)
    # MAX, not the MIN of existing servers: a row over max_allowed_packet makes NULL once, and the chain starts anew.
    return f"SELECT MAX((@sync_chain := SHA1(CONCAT_WS('|', @sync_chain, {fields}))) IS NULL) FROM {source}"


def _field(column: Column, name: str, *, binary: bool) -> str:
    # The text is the same, but utf16 next to utf8mb4 is an illegal mix on MariaDB.
    text = name if binary else utf8_text(column, name)
    return f"IFNULL({text}, '{NULL.decode()}')" if column.nullable else text


def text_of(column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
    """Return the function that renders a value that was read from ``column`` as the bytes that are hashed.

    :param row: all columns that are hashed
    :raises TableError: for a character set whose bytes are not known here, next to a binary column
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
            # MySQL's latin1 is cp1252 with the five bytes that cp1252 leaves undefined standing for themselves.
            return b"".join(bytes([ord(c)]) if "\x80" <= c <= "\x9f" else codec.encode(c)[0] for c in text)

    return render
