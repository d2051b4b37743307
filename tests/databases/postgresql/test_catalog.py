"""PostgreSQL: what a description finds by way of partitions, and that it does not make the server expect millions of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import event

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from tests.databases.postgresql.databases import run

MOST_ROWS = 500_000
"""With thirty million, a description took three times as long."""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a node of a plan, and all below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def test_few_rows_are_expected(database: PostgreSQLDatabase) -> None:
    """No statement that describes a table is planned for millions of rows."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
    asked: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: asked.append((sql, values)))
    with database.connect() as connection:
        asked.clear()
        database.catalog.describe(connection, "t")
        found = {}
        for sql, values in list(asked):
            ((plan,),) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}", values).scalars().all()
            found[sql] = max(node["Plan Rows"] for node in nodes(plan["Plan"]))
    assert len(found) >= 4
    assert {sql: expected for sql, expected in found.items() if expected > MOST_ROWS} == {}


def test_functions_of_partition_keys(database: PostgreSQLDatabase) -> None:
    """A function in the partition key of any level is found for the table, and for each partition below it."""
    run(
        database,
        "DROP FUNCTION IF EXISTS upper_key, lower_key",
        *(
            f"CREATE FUNCTION {name}(INT) RETURNS INT IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'"
            for name in ("upper_key", "lower_key")
        ),
        "CREATE TABLE t (id INT NOT NULL, v INT) PARTITION BY LIST (upper_key(id))",
        "CREATE TABLE part PARTITION OF t DEFAULT PARTITION BY LIST (lower_key(v))",
        "CREATE TABLE leaf PARTITION OF part DEFAULT",
    )
    with database.connect() as connection:
        for name in ("t", "part", "leaf"):
            assert database.catalog.describe(connection, name).functions == ("lower_key", "upper_key")
    run(database, "DROP TABLE t", "DROP FUNCTION upper_key, lower_key")
