"""Describe queries, by the server's description of their results, and mask columns on MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from airflow_provider_sync.databases.contract.queries import Queries, hmac_blocks
from airflow_provider_sync.databases.mysql import lookup
from airflow_provider_sync.databases.mysql.errors import error_number, translated
from airflow_provider_sync.databases.mysql.text import canonical_text, logical_type
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.sql_text import Syntax
from airflow_provider_sync.databases.table_slice import TableSlice

_TYPES: Mapping[int, tuple[Kind, str]] = {
    0: (Kind.DECIMAL, "decimal"),
    1: (Kind.INTEGER, "tinyint"),
    2: (Kind.INTEGER, "smallint"),
    3: (Kind.INTEGER, "int"),
    4: (Kind.FLOAT, "float"),
    5: (Kind.DOUBLE, "double"),
    7: (Kind.TIMESTAMP, "timestamp"),
    8: (Kind.INTEGER, "bigint"),
    9: (Kind.INTEGER, "mediumint"),
    10: (Kind.DATE, "date"),
    11: (Kind.TIME, "time"),
    12: (Kind.DATETIME, "datetime"),
    13: (Kind.YEAR, "year"),
    14: (Kind.DATE, "date"),
    16: (Kind.BIT, "bit"),
    245: (Kind.JSON, "json"),
    246: (Kind.DECIMAL, "decimal"),
    255: (Kind.GEOMETRY, "geometry"),
}
"""Kinds by the type numbers in results; all other types are text or bytes."""

_CHAR = 254
_BINARY_CHARSET = "binary"
_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_ANY_SCALE = 31
"""The server's number of digits after the point for a float without a fixed number of them."""

_BYTES_PER_CHARACTER = 4
_LONGEST = 65_535
"""Maximum bytes of a VARCHAR; longer types have no declared length."""

_LOOK_UPS = frozenset(
    {"system", "const", "eq_ref", "ref", "ref_or_null", "range", "index_merge", "unique_subquery", "index_subquery"}
)
"""Access types in a plan that read a table by an index."""

_VIEW_NO_EXPLAIN = 1345
"""The user may not see a view's plan, which needs SHOW VIEW, and SELECT on the underlying tables; reading it does not."""


class MySQLQueries(Queries):
    """Describes queries and masks columns. Queries run in a read-only transaction, in which functions cannot write."""

    syntax = Syntax(quotes="'\"`", backslashes=True, hash_comments=True, code_comments=True)

    def describe(self, connection: Connection, query: str) -> tuple[Column, ...]:
        """Describe the columns by the types of an empty result, and character sets by functions that need no row."""
        with translated(), connection.connection.driver_connection.cursor() as cursor:  # type: ignore[union-attr]  # just connected
            cursor.execute(f"SELECT * FROM ({query}\n) AS t LIMIT 0")
            found = _result(cursor)
            names = [self.database.undoubled(self.quote(entry[0])) for entry in found]
            asked = ", ".join(f"CHARSET(t.{name}), COLLATION(t.{name})" for name in names)
            empty = f"(SELECT * FROM ({query}\n) AS q LIMIT 0)"
            cursor.execute(f"SELECT {asked} FROM (SELECT 1) AS one LEFT JOIN {empty} AS t ON TRUE")
            texts = cursor.fetchone()
        return tuple(
            _column(name, code, length, scale, flags, charset=texts[2 * place], collation=texts[2 * place + 1])
            for place, (name, code, length, scale, flags) in enumerate(found)
        )

    def finds_ranges(self, connection: Connection, table_slice: TableSlice) -> bool:
        """Whether the plan reads every table by an index; false if the user may not see a view's plan."""
        condition = lookup.in_window(table_slice, self.quote)
        statement = f"SELECT 1 FROM {self.relation(table_slice.table)} AS t WHERE {condition}"
        try:
            plan = connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}")
        except DBAPIError as error:
            if error_number(error) == _VIEW_NO_EXPLAIN:
                return False
            raise
        return all(step.type is None or step.type in _LOOK_UPS for step in plan)

    def hashed(self, column: Column, secret: bytes) -> str:
        """Compute the HMAC with two calls of the server's SHA2."""
        inner, outer = hmac_blocks(secret)
        text = canonical_text(column, logical_type(column), self.name(column))
        message = f"CAST({text} AS BINARY)"
        return f"SHA2(CONCAT(x'{outer}', UNHEX(SHA2(CONCAT(x'{inner}', {message}), 256))), 256)"

    def year(self, column: Column) -> str:
        """Extract the year of a date or timestamp; sessions are in UTC."""
        return f"CAST(YEAR({self.name(column)}) AS SIGNED)"


def _result(cursor: Any) -> list[tuple[str, int, int, int, int]]:
    """Return name, type, length in bytes, digits after the point and flags of each column of a cursor's result."""
    if hasattr(cursor, "description_flags"):
        return [
            # mysqlclient returns lengths as signed numbers.
            (entry[0], entry[1], entry[3] & 0xFFFF_FFFF, entry[5], flags)
            for entry, flags in zip(cursor.description, cursor.description_flags, strict=True)
        ]
    # pymysql's description has lengths in characters, and no flags.
    return [(field.name, field.type_code, field.length, field.scale, field.flags) for field in cursor._result.fields]


def _column(name: str, code: int, length: int, scale: int, flags: int, *, charset: str, collation: str) -> Column:
    unsigned = bool(flags & _UNSIGNED)
    if code not in _TYPES:
        return _text(name, code, length, flags, charset, collation)
    kind, sql_type = _TYPES[code]
    is_float = kind in (Kind.FLOAT, Kind.DOUBLE)
    fixed = kind is Kind.DECIMAL or (is_float and scale != _ANY_SCALE)
    precision = None
    if fixed:
        # A decimal's length includes its point and its sign.
        precision = length if is_float else length - (scale > 0) - (not unsigned)
        sql_type = f"{sql_type}({precision},{scale})"
    return Column(
        name=name,
        kind=kind,
        sql_type=f"{sql_type} unsigned" if unsigned and kind in (Kind.INTEGER, Kind.DECIMAL) else sql_type,
        precision=precision,
        scale=scale if fixed or kind in (Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP) else None,
        length=length if kind is Kind.BIT else None,
        unsigned=unsigned and kind in (Kind.INTEGER, Kind.DECIMAL),
    )


def _text(name: str, code: int, length: int, flags: int, charset: str, collation: str) -> Column:
    if charset == _BINARY_CHARSET:
        size = length if length <= _LONGEST else None
        return Column(name=name, kind=Kind.BINARY, sql_type=f"varbinary({size})" if size else "longblob", length=size)
    characters = length // _BYTES_PER_CHARACTER if length <= _LONGEST * _BYTES_PER_CHARACTER else None
    kind = Kind.ENUM if flags & _ENUM else Kind.SET if flags & _SET else Kind.CHAR if code == _CHAR else Kind.TEXT
    sql_type = "longtext" if characters is None else f"{'char' if kind is Kind.CHAR else 'varchar'}({characters})"
    return Column(name=name, kind=kind, sql_type=sql_type, length=characters, charset=charset, collation=collation)
