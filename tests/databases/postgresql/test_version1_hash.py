"""The hash of version 1, which is what MySQL gives for the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.protocol.v1.table_hash import TableHash
from tests.databases.postgresql.databases import run
from tests.databases.postgresql.test_values import load

GOLDEN = Path(__file__).parents[2] / "golden"


def hashed(database: PostgreSQLDatabase, name: str = "t") -> str:
    """Return the version 1 hash, made from the rows."""
    chain = TableHash()
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, name)
        write = [database.version1.hash_text(column, table.columns) for column in table.columns]
        for batch in database.reader.read(connection, table, table.columns, order_by=database.version1.hash_order(table)):
            chain.update([[NULL if v is None else w(v) for w, v in zip(write, row, strict=True)] for row in batch])
    return chain.hexdigest()


_GOLDEN = {
    "basic": "id integer PRIMARY KEY, a varchar(50), b integer",
    "module_test": "id bigint PRIMARY KEY, test_1 integer, test_2 varchar(255), test_3 varchar(255), test_4 char(1)",
    "empty": "id integer PRIMARY KEY, a text",
    "bigint": "id bigint PRIMARY KEY, a bigint, u numeric(20)",
    "double": "id integer PRIMARY KEY, d double precision",
    "bit": "id integer PRIMARY KEY, b1 bit(1), b8 bit(8), b16 bit(16), b64 bit(64)",
    "binary_utf8": "id integer PRIMARY KEY, b bytea, v bytea",
}


@pytest.mark.parametrize("name", _GOLDEN)
def test_equal_rows_have_the_hash_of_mysql(database: PostgreSQLDatabase, name: str) -> None:
    """Rows of an existing server, loaded into similar columns, have its hash."""
    run(database, f"CREATE TABLE t ({_GOLDEN[name]})")
    lines = (GOLDEN / "tables" / f"{name}.ndjson").read_text().splitlines()
    load(database, *(tuple(json.loads(line).values()) for line in lines))
    entry = next(entry for entry in json.loads((GOLDEN / "tables.json").read_text()) if entry["name"] == name)
    assert hashed(database) == entry["hash"]


def test_every_kind_is_hashed_as_mysql_renders_it(database: PostgreSQLDatabase) -> None:
    """Decimals keep their scale, booleans are 1 and 0, timestamps their digits, reals six digits."""
    run(
        database,
        """CREATE TABLE t (id integer PRIMARY KEY, n numeric(10,2), b boolean, ts timestamp(3), tz timestamptz, f real, c char(5),
           u uuid, bt bit(12), e text)""",
        """INSERT INTO t VALUES (1, 1.1, true, '2024-01-01', '2024-01-01 09:00+09', 16777217, 'ü',
           'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', B'000000000101', '')""",
    )
    expected = TableHash()
    expected.update(
        [[b"1", b"1.10", b"1", b"2024-01-01 00:00:00.000", b"2024-01-01 00:00:00.000000", b"16777200", "ü".encode(),
          b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", b"\x00\x05", b""]]
    )  # fmt: skip
    assert hashed(database) == expected.hexdigest()
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        assert database.version1.hash_in_database(connection, table, table.columns) is None
