"""Version 1 hashes and sends rows in the order of their key's column, whatever form its values are read in."""

from __future__ import annotations

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.databases.version1_hash import hash_table
from tests.databases.postgresql.databases import run

ORDERED = {
    "numeric": ["-10", "-9", "0.5", "1", "2", "10", "11", "100", "NaN"],
    "numeric(20)": ["1", "2", "10", "11", "18446744073709551615"],
    "numeric(5,2)": ["-1.5", "9.99", "10.00"],
    "money": ["-5", "2", "10"],
    "bigint": ["-2", "1", "10"],
    "oid": ["2", "10"],
    "real": ["-1.5", "2", "10", "Infinity"],
    "double precision": ["-1.5", "2", "10", "1e300"],
    "boolean": ["false", "true"],
    "date": ["0044-03-15 BC", "0800-12-25", "2024-02-29", "12024-01-01", "infinity"],
    "time": ["00:00", "00:00:00.5", "23:59"],
    "timestamp": ["-infinity", "0044-03-15 BC", "2024-02-29 01:00", "12024-01-01"],
    "timestamptz": ["0044-03-15 00:00+00 BC", "2024-02-29 01:00+14", "2024-02-29 01:00-12", "12024-01-01 00:00+00"],
    "interval": ["1 hour", "2 days", "10 days", "1 year"],
    "uuid": ["00000000-0000-0000-0000-00000000000a", "a0000000-0000-0000-0000-000000000000"],
    "bytea": [r"\x00", r"\x5c", r"\xff"],
    "bit(8)": ["00000001", "00000010", "10000000"],
    "inet": ["9.0.0.1", "10.0.0.1", "192.168.0.1", "::1"],
    "cidr": ["9.0.0.0/8", "10.0.0.0/8"],
    "mood": ["zero", "one", "a"],
    "text": ["A", "B", "a", "é"],
}
"""By type of the key: values in their order."""


def test_rows_come_in_the_order_of_the_key(database: PostgreSQLDatabase) -> None:
    """The order is that of the column, not of its text: 2 comes before 10."""
    run(database, "CREATE TYPE mood AS ENUM ('zero', 'one', 'a')")
    found = {}
    for number, (sql_type, values) in enumerate(ORDERED.items()):
        listed = ", ".join(f"('{value}', {place})" for place, value in reversed(list(enumerate(values))))
        run(database, f"CREATE TABLE t{number} (id {sql_type} PRIMARY KEY, place int)", f"INSERT INTO t{number} VALUES {listed}")
        with database.snapshot() as connection:
            table = database.catalog.describe(connection, f"t{number}")
            rows = [row for batch in database.reader.read(connection, table, table.columns, order_by=["id"]) for row in batch]
        found[sql_type] = [values[place] for _, place in rows if isinstance(place, int)]

    assert found == ORDERED


def test_the_hash_of_a_numeric_key(database: PostgreSQLDatabase) -> None:
    """Rows under a numeric key have the hash of the same rows under an integer key."""
    run(database, "CREATE TABLE n (id numeric(20,0) PRIMARY KEY, a int)", "CREATE TABLE i (id bigint PRIMARY KEY, a int)")
    run(database, *(f"INSERT INTO {name} SELECT i, i FROM generate_series(1, 12) i" for name in "ni"))
    with database.snapshot() as connection:
        hashes = {hash_table(database, connection, database.catalog.describe(connection, name), None) for name in "ni"}
    assert len(hashes) == 1
