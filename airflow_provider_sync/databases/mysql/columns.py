"""Describe columns by information_schema of MySQL and MariaDB, as :class:`Column`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Row, bindparam, text

from airflow_provider_sync.databases.schema import Column, Kind

_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), Kind.INTEGER),
    "decimal": Kind.DECIMAL,
    "float": Kind.FLOAT,
    "double": Kind.DOUBLE,
    "char": Kind.CHAR,
    **dict.fromkeys(("varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    "enum": Kind.ENUM,
    "set": Kind.SET,
    "json": Kind.JSON,
    "uuid": Kind.UUID,
    "date": Kind.DATE,
    "time": Kind.TIME,
    "datetime": Kind.DATETIME,
    "timestamp": Kind.TIMESTAMP,
    "year": Kind.YEAR,
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"), Kind.BINARY),
    "bit": Kind.BIT,
    **dict.fromkeys(("geometry", "point", "linestring", "polygon"), Kind.GEOMETRY),
    **dict.fromkeys(("multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection"), Kind.GEOMETRY),
}

_SIZES = re.compile(r"\w+\((\d+)")
_JSON_CHECK = re.compile(r"json_valid\(`(.*)`\)", re.IGNORECASE)

COLUMNS = text(
    "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, CHARACTER_MAXIMUM_LENGTH,"
    " NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, GENERATION_EXPRESSION"
    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = :schema AND TABLE_NAME IN :names ORDER BY ORDINAL_POSITION"
).bindparams(bindparam("names", expanding=True))


def find_json_columns(checks: Iterable[str]) -> frozenset[str]:
    """Return the names of MariaDB's JSON columns, which are LONGTEXT columns with a JSON check."""
    matches = (_JSON_CHECK.fullmatch(clause) for clause in checks)
    return frozenset(match[1].replace("``", "`") for match in matches if match)


def column_from(row: Row[Any], json_columns: Collection[str]) -> Column:
    """Build a column from a row of the list of columns.

    :param json_columns: names of the columns to describe as JSON, whatever their type
    """
    kind = Kind.JSON if row.COLUMN_NAME in json_columns else _KINDS.get(row.DATA_TYPE, Kind.OTHER)
    # "DEFAULT_GENERATED" does not mean a generated column, but a default that is an expression.
    generated = bool(row.GENERATION_EXPRESSION) or "VIRTUAL GENERATED" in row.EXTRA or "STORED GENERATED" in row.EXTRA
    nullable = row.IS_NULLABLE == "YES"
    numeric = kind in (Kind.DECIMAL, Kind.FLOAT, Kind.DOUBLE)
    zerofill = "zerofill" in row.COLUMN_TYPE
    width = _SIZES.match(row.COLUMN_TYPE) if zerofill and kind is Kind.INTEGER else None
    return Column(
        name=row.COLUMN_NAME,
        kind=kind,
        sql_type=row.COLUMN_TYPE,
        nullable=nullable,
        precision=int(width[1]) if width else row.NUMERIC_PRECISION if numeric else None,
        scale=row.NUMERIC_SCALE if numeric else row.DATETIME_PRECISION,
        length=row.NUMERIC_PRECISION if kind is Kind.BIT else row.CHARACTER_MAXIMUM_LENGTH,
        unsigned="unsigned" in row.COLUMN_TYPE and (numeric or kind is Kind.INTEGER),
        zerofill=zerofill and (numeric or kind is Kind.INTEGER),
        charset=row.CHARACTER_SET_NAME,
        collation=row.COLLATION_NAME,
        generated=generated,
        invisible="INVISIBLE" in row.EXTRA,
        system=row.GENERATION_EXPRESSION in ("ROW START", "ROW END"),
        required=not (nullable or generated or "auto_increment" in row.EXTRA or row.COLUMN_DEFAULT is not None),
        # MariaDB gives "NULL" for a column without a default.
        sets_itself=row.COLUMN_DEFAULT not in (None, "NULL") or "on update" in row.EXTRA.lower(),
    )
