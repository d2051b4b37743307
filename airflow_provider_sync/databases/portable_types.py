"""Column types for this package's tables, such as the history, that behave the same on every supported database.

SQLAlchemy chooses the variant when it writes the statement.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, DateTime, Integer, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

_MYSQL = ("mysql", "mariadb")


def exact_text(length: int) -> TypeEngine[str]:
    """Return a case-sensitive type for texts of at most ``length`` characters."""
    return String(length).with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), *_MYSQL)


def long_text() -> TypeEngine[str]:
    """Return a type for texts of some megabytes."""
    return Text().with_variant(mysql.MEDIUMTEXT(), *_MYSQL)


def microseconds() -> DateTime:
    """Return a type for a date and time, without a time zone, that keeps microseconds."""
    return DateTime().with_variant(mysql.DATETIME(fsp=6), *_MYSQL)


def row_number() -> TypeEngine[int]:
    """Return a 64-bit integer type for a primary key that the database counts up."""
    return BigInteger().with_variant(Integer, "sqlite")
