"""The version 1 hash of a table is the one that existing servers give."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine

from airflow_provider_sync.config import TableConfig, TargetTable
from airflow_provider_sync.databases.version1_hash import hash_table, load_hasher
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from airflow_provider_sync.protocol.v1 import EMPTY
from tests.scenario import Scenario

NULL = "NULL9cf4-973a-4539-a5f2-8d4bde0aNULL"


def chained(rows: list[str]) -> str:
    """Compute the hash of rows whose fields are joined already, straight from the protocol's words."""
    chain = ""
    for row in rows:
        chain = hashlib.sha1(f"{chain}|{row}".encode()).hexdigest()
    return chain


def hash_of(on: Scenario, table: str, *columns: str) -> str:
    """Hash a table, or some of its columns."""
    with on.database.snapshot() as connection:
        described = on.database.catalog.describe(connection, table)
        wanted = [described.column(name) for name in columns] if columns else None
        return hash_table(on.database, connection, described, wanted)


def test_chain_over_rows_in_key_order(on: Scenario) -> None:
    """Rows are hashed in the order of the primary key, with NULL and text of any alphabet."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(30), price DECIMAL(8,2), day DATE)")
    prices = {"sqlite": ("1.1", "20")}.get(on.dialect, ("1.10", "20.00"))
    on.sync("item", [(2, "é😀|", "20.00", "2024-02-29"), (-1, None, "1.10", None)])

    assert hash_of(on, "item") == chained([f"-1|{NULL}|{prices[0]}|{NULL}", f"2|é😀||{prices[1]}|2024-02-29"])


def test_columns_are_chosen_and_ordered(on: Scenario) -> None:
    """Only the given columns are hashed, in the given order."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, a VARCHAR(30), b INTEGER)")
    on.sync("item", [(1, "x", 5), (2, "y", 6)])

    assert hash_of(on, "item", "b", "a") == chained(["5|x", "6|y"])


def test_generated_columns_are_hashed(on: Scenario) -> None:
    """Every column is hashed, including computed ones."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, twice INTEGER GENERATED ALWAYS AS (id * 2) {STORED})",
        "INSERT INTO item (id) VALUES (4)",
    )

    assert hash_of(on, "item") == chained(["4|8"])


def test_empty_table(on: Scenario) -> None:
    """An empty table has a word instead of a hash."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY)")

    assert hash_of(on, "item") == EMPTY


def test_more_rows_than_a_batch(on: Scenario) -> None:
    """The hash does not depend on the batches."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)")
    on.sync("item", [(number, number % 7 or None) for number in range(11_000)])

    assert hash_of(on, "item") == chained([f"{number}|{number % 7 or NULL}" for number in range(11_000)])


def test_table_without_a_primary_key(on: Scenario) -> None:
    """A table without a primary key has no order, so it is refused by name."""
    on.execute("CREATE TABLE item (id INTEGER)")

    with pytest.raises(TableError, match=r"'item'.*primary key"):
        hash_of(on, "item")


GOLDEN = Path(__file__).parents[1] / "golden"
VECTORS = [vector for vector in msgspec.json.decode((GOLDEN / "tables.json").read_bytes()) if vector["engine"] == "sqlite"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_recorded_hashes(sqlite_on: Scenario, vector: dict[str, str]) -> None:
    """Tables on SQLite have the hashes of an existing server."""
    sqlite_on.run_script((GOLDEN / "tables" / f"{vector['name']}.sql").read_text())

    assert hash_of(sqlite_on, vector["table"]) == vector["hash"]


class Hasher:
    """A user's hasher."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Hash nothing."""
        return f"{engine.dialect.name} {table.name}"


def test_a_users_hasher(sqlite_on: Scenario) -> None:
    """A class named by its import path gets engine and table."""
    hasher = load_hasher(f"{__name__}.Hasher")

    assert hasher.hash(sqlite_on.database.engine, TargetTable(name="item")) == "sqlite item"


@pytest.mark.parametrize("path", ["nope", "no.such.module", f"{__name__}.Nope", "builtins.dict", "builtins.memoryview"])
def test_hashers_that_cannot_be_made(path: str) -> None:
    """An import path that does not exist, or is not a hasher, is refused with the path."""
    with pytest.raises(ConfigurationError, match=path):
        load_hasher(path)
