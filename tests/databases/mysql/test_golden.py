"""The hashes and rows of a real server, computed and streamed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.protocol.v1.rows import RowEncoder
from airflow_provider_sync.protocol.v1.table_hash import TableHash
from tests.databases.mysql.databases import open_database
from tests.every_pair import every_pair
from tests.releases.needs import needs
from tests.scenario import layout_of

GOLDEN = Path(__file__).parents[2] / "golden"
VECTORS = [vector for vector in json.loads((GOLDEN / "tables.json").read_text()) if vector["engine"] == "mysql"]
NAMES = [vector["name"] for vector in VECTORS]

UNSENDABLE = {"binary_invalid": "b", "binary_mixed": "b", "geometry": "p"}
"""Rows that JSON cannot carry, with the column: an existing server loses them, ours refuses the table."""

NOT_ON_MYSQL = {
    "json": "MySQL refuses the number 1e400 in JSON, and normalises the rest",
    "dates": "MySQL's TIME ends at 838:59:59.000000",
}


def vector_of(name: str) -> dict[str, Any]:
    """Return the entry of `tables.json`."""
    return next(vector for vector in VECTORS if vector["name"] == name)


def load_vector(connection: Connection, name: str) -> None:
    """Run a table's SQL."""
    for statement in (GOLDEN / "tables" / f"{name}.sql").read_text().split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement.replace("%", "%%"))


@pytest.fixture(params=["mysqldb", "pymysql"])
def either_driver(request: pytest.FixtureRequest, mariadb_url: str) -> Iterator[MySQLDatabase]:
    """Give a fresh MariaDB database, through each driver."""
    with open_database(mariadb_url, request.param) as opened:
        yield opened


def described(database: MySQLDatabase, name: str) -> Table:
    """Create a table and describe it."""
    with database.connect() as connection:
        load_vector(connection, name)
    with database.connect() as connection:
        return database.catalog.describe(connection, vector_of(name)["table"])


def streamed_hash(database: MySQLDatabase, table: Table) -> str:
    """Hash a table from its rows."""
    texts = [database.version1.hash_text(column, table.columns) for column in table.columns]
    digest = TableHash()
    with database.snapshot() as connection:
        for batch in database.reader.read(connection, table, table.columns, order_by=database.version1.hash_order(table)):
            digest.update(
                [NULL if value is None else text(value) for text, value in zip(texts, row, strict=True)] for row in batch
            )
    return digest.hexdigest()


def key_of(vector: dict[str, Any], table: Table) -> list[str]:
    """Return the key that the rows were recorded in the order of."""
    primary = vector.get("primary", table.primary_key or ["id"])
    return [primary] if isinstance(primary, str) else list(primary)


def lines(database: MySQLDatabase, table: Table, columns: tuple[Column, ...], key: list[str]) -> bytes:
    """Return a table's rows as they go over the wire."""
    encoder = RowEncoder([column.name for column in columns])
    with database.snapshot() as connection:
        return b"".join(encoder.encode(batch) for batch in database.reader.read(connection, table, columns, order_by=key))


@pytest.mark.parametrize("name", NAMES)
def test_hash_in_mariadb(mariadb: MySQLDatabase, name: str) -> None:
    """MariaDB computes the hash of an existing server."""
    table = described(mariadb, name)
    with mariadb.snapshot() as connection:
        if name in ("double", "float"):
            needs(connection, "mariadb", (10, 6), "0 in SQL for a stored -0")
        found = mariadb.version1.hash_in_database(connection, table, table.columns)
    if table.primary_key:
        assert found == (vector_of(name)["hash"] or streamed_hash(mariadb, table))
    else:
        assert found is None


@pytest.mark.parametrize("name", NAMES)
def test_hash_streamed_from_mariadb(mariadb: MySQLDatabase, name: str) -> None:
    """Rows streamed from MariaDB have the hash of an existing server."""
    table = described(mariadb, name)
    if not table.primary_key:
        with pytest.raises(TableError, match="no primary key"):
            streamed_hash(mariadb, table)
        return
    found = streamed_hash(mariadb, table)
    # Where an existing server fails on a name, the database's own hash stands in.
    with mariadb.snapshot() as connection:
        assert found == (vector_of(name)["hash"] or mariadb.version1.hash_in_database(connection, table, table.columns))


@pytest.mark.parametrize("name", NAMES)
def test_rows_from_mariadb(either_driver: MySQLDatabase, name: str) -> None:
    """Rows streamed from MariaDB are sent like by an existing server, and unsendable tables are found."""
    table = described(either_driver, name)
    with either_driver.snapshot() as connection:
        unsendable = either_driver.version1.find_unsendable(connection, table, table.visible)
    assert (unsendable.name if unsendable else None) == UNSENDABLE.get(name)
    if name not in UNSENDABLE:
        expected = (GOLDEN / "tables" / f"{name}.ndjson").read_bytes()
        assert lines(either_driver, table, table.visible, key_of(vector_of(name), table)) == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_ON_MYSQL])
def test_mysql(mysql: MySQLDatabase, name: str) -> None:
    """MySQL streams the same rows and the same hash, although it cannot compute it."""
    table = described(mysql, name)
    with mysql.snapshot() as connection:
        assert mysql.version1.hash_in_database(connection, table, table.columns) is None
        unsendable = mysql.version1.find_unsendable(connection, table, table.visible)
    assert (unsendable.name if unsendable else None) == UNSENDABLE.get(name)
    if name not in UNSENDABLE:
        expected = (GOLDEN / "tables" / f"{name}.ndjson").read_bytes()
        assert lines(mysql, table, table.visible, key_of(vector_of(name), table)) == expected
    if vector_of(name)["hash"]:
        assert streamed_hash(mysql, table) == vector_of(name)["hash"]


FLOATING = ("double", "float", "one_null_row", "rows_1001")
"""Tables whose hash MySQL leaves to the stream, since it writes some of their numbers otherwise."""


def test_hash_in_mysql(mysql: MySQLDatabase) -> None:
    """A MySQL with SHA1, before 9.6, computes the same hashes, except for FLOAT and DOUBLE."""
    component = "COMPONENT 'file://component_classic_hashing'"
    tables = {name: described(mysql, name) for name in NAMES if name not in NOT_ON_MYSQL}
    with mysql.connect() as connection:
        connection.exec_driver_sql(f"INSTALL {component}")
        try:
            found = {name: mysql.version1.hash_in_database(connection, table, table.columns) for name, table in tables.items()}
        finally:
            connection.exec_driver_sql(f"UNINSTALL {component}")
    expected = {name: vector_of(name)["hash"] for name in tables}
    streamed = {name: streamed_hash(mysql, tables[name]) for name in ("odd_columns", "reserved_name")}
    assert found == {**expected, **streamed, **dict.fromkeys(FLOATING)}


@every_pair(
    name=[name for name in NAMES if vector_of(name)["rows"]],
    local_infile=[True, False],
    server=["mariadb", "mysql"],
)
def test_staging_holds_every_value(name: str, local_infile: bool, server: str, request: pytest.FixtureRequest) -> None:
    """A staging table stores the rows of every table unchanged."""
    if server == "mysql" and name in NOT_ON_MYSQL:
        pytest.skip(NOT_ON_MYSQL[name])
    with open_database(request.getfixturevalue(f"{server}_url"), local_infile=local_infile) as database:
        table = described(database, name)
        key = key_of(vector_of(name), table)
        with database.snapshot() as connection:
            rows = [row for batch in database.reader.read(connection, table, table.columns, order_by=key) for row in batch]
        if name == "enumset":
            # A value that the ENUM does not have, put there without strict mode, cannot be written again.
            rows = [row for row in rows if row[0] != 6]
        with database.connect(loading=True) as connection:
            staging = database.ddl.create_staging(connection, layout_of(table, key), name="_sync_golden")
            assert database.loader.load(connection, staging, [rows[:2], [], rows[2:]]) == len(rows)
        with database.snapshot() as connection:
            staged = [row for batch in database.reader.read(connection, staging, staging.columns, order_by=key) for row in batch]
        assert staged == rows
