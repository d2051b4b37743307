"""The types that a target's columns are widened to, judged without a database, and on every pair of engines."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.type_rules import map_type
from airflow_provider_sync.databases.wider_types import integer_range, wider_type
from airflow_provider_sync.protocol.v2.messages import ColumnDescription
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.releases.needs import needs
from tests.scenario import Scenario


def integer(bits: int, *, unsigned: bool = False) -> LogicalType:
    """Return an integer type."""
    return LogicalType(kind=LogicalKind.INTEGER, bits=bits, unsigned=unsigned)


def decimal(precision: int | None, scale: int | None) -> LogicalType:
    """Return a decimal type."""
    return LogicalType(kind=LogicalKind.DECIMAL, precision=precision, scale=scale)


def text(length: int | None, *, fixed_width: bool = False) -> LogicalType:
    """Return a text type."""
    return LogicalType(kind=LogicalKind.TEXT, length=length, fixed_width=fixed_width)


def seconds(kind: str, scale: int) -> LogicalType:
    """Return a type of times."""
    return LogicalType(kind=LogicalKind(kind), scale=scale)


TYPES_OF_COLUMNS = {
    "mysql": (
        *("TINYINT", "SMALLINT UNSIGNED", "MEDIUMINT", "INT", "BIGINT", "BIGINT UNSIGNED", "BOOLEAN", "YEAR", "BIT(9)"),
        *("DECIMAL(12,2)", "DECIMAL(65,30)", "FLOAT", "DOUBLE", "CHAR(9)", "VARCHAR(9)", "VARCHAR(400)", "TINYTEXT", "TEXT"),
        *("LONGTEXT", "ENUM('a','b')", "SET('a','b')", "BINARY(4)", "VARBINARY(9)", "BLOB", "LONGBLOB", "DATE", "TIME(3)"),
        *("DATETIME", "DATETIME(6)", "TIMESTAMP(6) NULL", "JSON", "INT(5) ZEROFILL"),
    ),
    "postgresql": (
        *("SMALLINT", "INTEGER", "BIGINT", "NUMERIC", "NUMERIC(12,2)", "NUMERIC(80,40)", "NUMERIC(5,-2)", "MONEY", "BOOLEAN"),
        *("REAL", "DOUBLE PRECISION", "CHAR(9)", "VARCHAR(9)", "VARCHAR(20000)", "VARCHAR", "TEXT", "NAME", "BYTEA", "UUID"),
        *("DATE", "TIME(3)", "TIMESTAMP(0)", "TIMESTAMP", "TIMESTAMPTZ", "JSON", "JSONB", "INET", "INTERVAL", "BIT(9)", "INT[]"),
    ),
    "sqlite": (
        *("INTEGER", "TINYINT", "BOOLEAN", "REAL", "DOUBLE", "DECIMAL(12,2)", "NUMERIC", "VARCHAR(9)", "VARCHAR(400)", "TEXT"),
        *("BLOB", "DATE", "TIME", "DATETIME", "TIMESTAMP", "JSON", "UUID"),
    ),
    "duckdb": (
        *("TINYINT", "USMALLINT", "INTEGER", "BIGINT", "UBIGINT", "HUGEINT", "BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL(38,10)"),
        *("VARCHAR(9)", "BLOB", "DATE", "TIME", "TIMESTAMP_S", "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMPTZ", "JSON", "UUID"),
        *("INTERVAL", "INTEGER[]", "ENUM('a', 'b')"),
    ),
}

DATE, FLOAT32, FLOAT64, INTEGER, BOOLEAN = (
    LogicalType(kind=LogicalKind(kind)) for kind in ("date", "float32", "float64", "integer", "boolean")
)
BYTES = LogicalType(kind=LogicalKind.BYTES, length=8)


@pytest.mark.parametrize(
    ("source", "target", "wider"),
    [
        (integer(64), integer(32), integer(64)),
        (integer(32, unsigned=True), integer(32), integer(33)),
        (integer(16), integer(32, unsigned=True), integer(33)),
        (integer(64, unsigned=True), integer(32, unsigned=True), integer(64, unsigned=True)),
        (INTEGER, integer(8), integer(64)),
        (decimal(12, 2), decimal(10, 2), decimal(12, 2)),
        (decimal(10, 4), decimal(10, 2), decimal(12, 4)),
        (decimal(None, None), decimal(10, 2), decimal(None, None)),
        (decimal(12, 2), integer(32), decimal(12, 2)),
        (decimal(6, 2), integer(32), decimal(12, 2)),
        (integer(64), decimal(5, 0), decimal(19, 0)),
        (FLOAT64, FLOAT32, FLOAT64),
        (text(50), text(20), text(50)),
        (text(None), text(20), text(None)),
        (text(20), text(20, fixed_width=True), text(20)),
        (text(30, fixed_width=True), text(20, fixed_width=True), text(30, fixed_width=True)),
        (LogicalType(kind=LogicalKind.BYTES), BYTES, LogicalType(kind=LogicalKind.BYTES)),
        (seconds("timestamp", 6), seconds("timestamp", 0), seconds("timestamp", 6)),
        (seconds("timestamptz", 3), seconds("timestamptz", 0), seconds("timestamptz", 3)),
        (seconds("timestamp", 3), DATE, seconds("timestamp", 3)),
    ],
)
def test_what_is_too_narrow_is_widened_without_loss(source: LogicalType, target: LogicalType, wider: LogicalType) -> None:
    """The wider type holds all values of both, needs no second change, and accepts the source."""
    assert wider_type(source, target) == wider
    assert wider_type(source, wider) is None
    assert wider_type(target, wider) is None
    column = Column(name="c", kind=Kind.OTHER, sql_type="c")
    map_type("t", source, column, wider)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (integer(32), integer(64)),
        (integer(64, unsigned=True), integer(64)),
        (decimal(10, 2), decimal(12, 2)),
        (decimal(5, 0), integer(32)),
        (decimal(None, None), integer(32)),
        (integer(32), decimal(12, 2)),
        (FLOAT32, FLOAT64),
        (FLOAT64, integer(32)),
        (text(20), text(50)),
        (text(20), integer(32)),
        (text(5), DATE),
        (integer(32), BOOLEAN),
        (DATE, seconds("timestamp", 0)),
        (seconds("timestamp", 0), seconds("timestamp", 6)),
        (seconds("timestamptz", 0), DATE),
        (seconds("timestamp", 0), seconds("timestamptz", 0)),
    ],
)
def test_nothing_is_narrowed_and_no_other_kind_is_taken(source: LogicalType, target: LogicalType) -> None:
    """A type that holds the source's values stays, and so does one that would lose values."""
    assert wider_type(source, target) is None


def test_a_type_that_is_not_enforced_is_never_too_narrow() -> None:
    """SQLite's declared types never change, because SQLite stores any value in any column."""
    target = LogicalType(kind=LogicalKind.TEXT, length=5, enforced=False)
    assert wider_type(text(50), target) is None


def test_ranges_of_integers() -> None:
    """An integer without bits has 64."""
    assert integer_range(integer(8)) == (-128, 127)
    assert integer_range(integer(8, unsigned=True)) == (0, 255)
    assert integer_range(INTEGER) == (-(2**63), 2**63 - 1)


@pytest.mark.quick_on("mysql", "postgresql")
def test_what_create_table_makes_is_wide_enough(pair_urls: tuple[str, str]) -> None:
    """A column created from the source's description never needs widening, on any pair of engines."""
    engines = [open_engine(url) for url in pair_urls]
    source, target = (Scenario(database_for(engine)) for engine in engines)
    types = TYPES_OF_COLUMNS[source.dialect]
    with source.database.connect() as connection:
        needs(connection, "postgresql", (15,), "negative scales")
    source.execute(f"CREATE TABLE t ({', '.join(f'c{place} {name}' for place, name in enumerate(types))}, id INT PRIMARY KEY)")
    columns = [
        ColumnDescription(name=column.name, type=logical, nullable=column.nullable)
        for column in source.describe("t").columns
        if (logical := source.database.catalog.logical_type(column))
    ]
    target.execute(target.database.ddl.create_table_statement("u", columns, ["id"]))
    made = target.describe("u")
    asked = {}
    for described in columns:
        column = made.column(described.name)
        logical = target.database.catalog.logical_type(column)
        wider = None if logical is None else wider_type(described.type, logical)
        asked[described.name] = wider and target.database.ddl.wider_type(column, wider, key=False)
    for engine in engines:
        engine.dispose()
    assert {name: sql_type for name, sql_type in asked.items() if sql_type} == {}
    assert len(columns) == len(types) + 1
