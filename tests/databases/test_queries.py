"""What each engine says of a query."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.scenario import Scenario

TYPES = {
    "postgresql": 'b BIGINT, n NUMERIC(12,2), any_n NUMERIC, v VARCHAR(20), c CHAR(5), x TEXT COLLATE "C", t TIMESTAMP(3),'
    " z TIMESTAMPTZ, bits BIT(5), bytes BYTEA, j JSONB, u UUID, f REAL, d DATE, y BOOLEAN",
    "mysql": "b BIGINT UNSIGNED, n DECIMAL(12,2), v VARCHAR(20) CHARACTER SET latin1, c CHAR(5), x TEXT, t DATETIME(3),"
    " z TIMESTAMP NULL, bits BIT(5), bytes BLOB, few VARBINARY(9), f FLOAT, g DOUBLE, h DOUBLE(7,3), d DATE, i TIME(2), y YEAR,"
    " e ENUM('a','b'), s SET('x','y')",
    "sqlite": "b BIGINT, n DECIMAL(12,2), v VARCHAR(20), x TEXT, t DATETIME, bytes BLOB, y BOOLEAN, untyped",
    "duckdb": "b BIGINT, n DECIMAL(12,2), v VARCHAR(20), x TEXT, t TIMESTAMP, bytes BLOB, y BOOLEAN, j JSON, l INTEGER[]",
}


@pytest.mark.parametrize("driver", ["", "pymysql", "psycopg2"])
def test_columns(request: pytest.FixtureRequest, driver: str, database_url: str) -> None:
    """A query's columns have the types of the selected columns, with every driver."""
    backend = database_url.partition("+")[0].partition(":")[0]
    if driver:
        if not driver.startswith(backend.replace("postgresql", "psycopg").replace("mysql", "pymysql")):
            pytest.skip("a driver of another engine")
        database_url = f"{backend}+{driver}:{database_url.partition(':')[2]}"
    engine = open_engine(database_url)
    on = Scenario(database_for(engine))
    types = TYPES[on.dialect]
    if backend == "sqlite" and sqlite3.sqlite_version_info >= (3, 41):
        # Newer releases say that the column of a query is a BLOB where the table gives it no type.
        types = types.removesuffix(", untyped")
    on.execute(f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, {types})")
    catalog = on.database.catalog
    with on.database.snapshot() as connection:
        table = catalog.describe(connection, "t")
        found = on.database.queries.describe(connection, "SELECT * FROM t -- all")
    engine.dispose()
    assert [column.name for column in found] == [column.name for column in table.columns]
    for column, same in zip(table.columns, found, strict=True):
        expected = catalog.logical_type(column)
        if driver == "psycopg2" and column.name == "t":
            # The driver does not say how many digits of a second a column has.
            expected = msgspec.structs.replace(expected or LogicalType(kind=LogicalKind.TIMESTAMP), scale=6)
        assert catalog.logical_type(same) == expected, column.name
        assert _details(same) == _details(column)
        assert same.nullable


def _details(column: Column) -> tuple[object, ...]:
    return column.kind, column.length, column.charset, column.collation, column.unsigned


def test_expressions(on: Scenario) -> None:
    """An expression has the type that the database derives for it."""
    types = {"mysql": "CHAR", "postgresql": "TEXT", "sqlite": "TEXT", "duckdb": "TEXT"}
    query = f"WITH w AS (SELECT 1 AS a) SELECT CAST(a AS {types[on.dialect]}) AS text, a = 1 AS same FROM w ORDER BY a LIMIT 1"
    with on.database.snapshot() as connection:
        text, same = on.database.queries.describe(connection, query)
    kinds = {
        "mysql": LogicalKind.INTEGER,
        "postgresql": LogicalKind.BOOLEAN,
        "sqlite": LogicalKind.ANY,
        "duckdb": LogicalKind.BOOLEAN,
    }
    for column, kind in ((text, LogicalKind.TEXT), (same, kinds[on.dialect])):
        logical = on.database.catalog.logical_type(column)
        assert logical is not None
        assert logical.kind is kind
