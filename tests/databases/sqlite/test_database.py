"""What is SQLite's own: row ids, affinities, text that is not text, files and their locks."""

from __future__ import annotations

import math
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.schema import Kind, Row, Value
from airflow_provider_sync.databases.sqlite.affinities import NUMBER, Affinity, affinity_of, kind_of
from airflow_provider_sync.databases.version1_hash import hash_table
from airflow_provider_sync.exceptions import LockTimeoutError, MissingTableError, TableBusyError, TableError
from airflow_provider_sync.protocol.v1.rows import RowEncoder
from tests.scenario import Scenario

GOLDEN = Path(__file__).parents[2] / "golden"
VECTORS = [vector for vector in msgspec.json.decode((GOLDEN / "tables.json").read_bytes()) if vector["engine"] == "sqlite"]
UNSENDABLE = {"s_real": "d", "s_blob": "b"}


def hash_of(on: Scenario, table: str) -> str:
    """Hash a table."""
    with on.database.snapshot() as connection:
        return hash_table(on.database, connection, on.database.catalog.describe(connection, table))


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_recorded_rows(sqlite_on: Scenario, vector: dict[str, str]) -> None:
    """Rows are those of an existing server; where it lost some, the column is found before."""
    name = vector["name"]
    sqlite_on.run_script((GOLDEN / "tables" / f"{name}.sql").read_text())
    with sqlite_on.database.snapshot() as connection:
        table = sqlite_on.database.catalog.describe(connection, vector["table"])
        unsendable = sqlite_on.database.version1.find_unsendable(connection, table, table.columns)
        batches = list(sqlite_on.database.reader.read(connection, table, table.columns, order_by=table.primary_key))

    assert (unsendable.name if unsendable else None) == UNSENDABLE.get(name)
    if unsendable is None:
        encoder = RowEncoder([column.name for column in table.columns])
        assert b"".join(map(encoder.encode, batches)) == (GOLDEN / "tables" / f"{name}.ndjson").read_bytes()


@pytest.mark.parametrize(
    ("create", "row_id", "order"),
    [
        ("id INTEGER PRIMARY KEY, v", None, ("id",)),
        ("id INTEGER, v, PRIMARY KEY (id)", None, ("id",)),
        ("id INTEGER PRIMARY KEY DESC, v", "rowid", ("rowid",)),
        ("id INT PRIMARY KEY, v", "rowid", ("rowid",)),
        ("v, id TEXT PRIMARY KEY", "rowid", ("rowid",)),
        ("id TEXT PRIMARY KEY, RowID, v", "_rowid_", ("_rowid_",)),
        ("a, b, PRIMARY KEY (b, a)", "rowid", ("rowid",)),
    ],
)
def test_row_ids(sqlite_on: Scenario, create: str, row_id: str | None, order: tuple[str, ...]) -> None:
    """Rows are hashed in the order of their row id, which is the primary key only if that is its integer alias."""
    sqlite_on.execute(f"CREATE TABLE item ({create})")
    table = sqlite_on.describe("item")

    assert table.row_id == row_id
    assert sqlite_on.database.version1.hash_order(table) == order


def test_without_rowid(sqlite_on: Scenario) -> None:
    """A table WITHOUT ROWID is hashed in the order of its key, and merged normally."""
    sqlite_on.execute("CREATE TABLE item (a TEXT, b INTEGER, v, PRIMARY KEY (b, a)) WITHOUT ROWID")
    sqlite_on.execute("INSERT INTO item VALUES ('x', 2, 0), ('y', 1, 0), ('x', 1, 0)")
    sqlite_on.execute("CREATE TABLE same (a TEXT, b INTEGER, v, PRIMARY KEY (b, a))")
    sqlite_on.execute("INSERT INTO same SELECT * FROM item ORDER BY b, a")

    assert sqlite_on.database.version1.hash_order(sqlite_on.describe("item")) == ("b", "a")
    assert hash_of(sqlite_on, "item") == hash_of(sqlite_on, "same")

    counts = sqlite_on.sync("item", [("x", 2, 9), ("z", 1, 0)]).counts
    assert (counts.inserted, counts.updated, counts.deleted) == (1, 1, 2)
    assert sqlite_on.rows("item") == [("x", 2, 9), ("z", 1, 0)]


def test_text_keys_may_be_null(sqlite_on: Scenario) -> None:
    """A NULL in a text key, which SQLite allows, stops the merge, and nothing is written."""
    sqlite_on.execute("CREATE TABLE item (id TEXT PRIMARY KEY, v)", "INSERT INTO item VALUES (NULL, 1), ('a', 2)")

    with pytest.raises(TableError, match=r"'item'.*key column 'id'"):
        sqlite_on.sync("item", [("a", 3)])

    assert sqlite_on.rows("item") == [("a", 2), (None, 1)]


def test_generated_columns_of_both_kinds(sqlite_on: Scenario) -> None:
    """Virtual and stored generated columns are described, read and hashed, and never written."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, a INT AS (id + 1), b INT AS (id + 2) STORED, c INT)")
    sqlite_on.sync("item", [(1, 9)])

    assert [(column.sql_type, column.generated) for column in sqlite_on.describe("item").columns] == [
        ("INTEGER", False),
        ("INT", True),
        ("INT", True),
        ("INT", False),
    ]
    assert sqlite_on.rows("item") == [(1, 2, 3, 9)]


def test_partial_and_expression_indexes_are_no_keys(sqlite_on: Scenario) -> None:
    """A partial unique index, or one over an expression, is not a unique key."""
    sqlite_on.execute(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, v TEXT)",
        "CREATE UNIQUE INDEX some ON item (v) WHERE v > 'm'",
        "CREATE UNIQUE INDEX low ON item (lower(v))",
    )

    assert sqlite_on.describe("item").unique_keys == ()


def test_names_ignore_case(sqlite_on: Scenario) -> None:
    """A table is found by its name in any case, and has the name of its creation."""
    sqlite_on.execute("CREATE TABLE Item (id INTEGER PRIMARY KEY)")

    assert sqlite_on.describe("ITEM").name == "Item"


def test_attached_databases() -> None:
    """Tables of attached databases are described and merged under their schema."""
    engine = open_engine("sqlite://")
    on = Scenario(database_for(engine))
    on.execute(
        "ATTACH ':memory:' AS other",
        "CREATE TABLE other.item (id INTEGER PRIMARY KEY, v)",
        "INSERT INTO other.item VALUES (1, 1)",
    )
    on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")

    on.sync("other.item", [(1, 2), (2, 3)])

    assert str(on.describe("other.item")) == "other.item"
    assert on.rows("other.item") == [(1, 2), (2, 3)]
    assert on.rows("item") == []
    engine.dispose()


AFFINITIES = [
    ("INT", Affinity.INTEGER, Kind.INTEGER),
    ("BIGINT UNSIGNED", Affinity.INTEGER, Kind.INTEGER),
    ("VARCHAR(20)", Affinity.TEXT, Kind.TEXT),
    ("CLOB", Affinity.TEXT, Kind.TEXT),
    ("", Affinity.BLOB, Kind.OTHER),
    ("BLOB", Affinity.BLOB, Kind.BINARY),
    ("DOUBLE PRECISION", Affinity.REAL, Kind.DOUBLE),
    ("FLOAT", Affinity.REAL, Kind.DOUBLE),
    ("DECIMAL(10,2)", Affinity.NUMERIC, Kind.DECIMAL),
    ("BOOLEAN", Affinity.NUMERIC, Kind.BOOLEAN),
    ("DATETIME", Affinity.NUMERIC, Kind.DATETIME),
    ("VARBINARY(16)", Affinity.NUMERIC, Kind.BINARY),
    ("JSON", Affinity.NUMERIC, Kind.JSON),
]


@pytest.mark.parametrize(("sql_type", "affinity", "kind"), AFFINITIES, ids=[entry[0] or "no type" for entry in AFFINITIES])
def test_affinities(sqlite_on: Scenario, sql_type: str, affinity: Affinity, kind: Kind) -> None:
    """Affinities are SQLite's: it converts the text '1' by the column's affinity."""
    sqlite_on.execute(f"CREATE TABLE item (v {sql_type})", "INSERT INTO item VALUES ('1')")
    stored = {Affinity.TEXT: "text", Affinity.BLOB: "text", Affinity.REAL: "real"}.get(affinity, "integer")

    assert affinity_of(sql_type) == affinity
    assert kind_of(sql_type) == kind
    assert sqlite_on.scalar("SELECT typeof(v) FROM item") == stored


SURVIVE: list[tuple[str, Value, Value]] = [
    ("NUMERIC", "1.10", 1.1),
    ("NUMERIC", "5.00", 5),
    ("DECIMAL(30,2)", "9007199254740993.00", 2**53 + 1),
    ("DECIMAL(10,2)", "-0.01", -0.01),
    ("DECIMAL(10,2)", "n/a", "n/a"),
    ("INTEGER", "007", 7),
    ("INTEGER", str(2**63 - 1), 2**63 - 1),
    ("INTEGER", 1.5, 1.5),
    ("REAL", 3, 3.0),
    ("REAL", "0.1", 0.1),
    ("REAL", math.inf, math.inf),
    ("TEXT", "1234567890123456.7890", "1234567890123456.7890"),
    ("TEXT", 2**70, str(2**70)),
    ("TEXT", 0.1 + 0.2, "0.30000000000000004"),
    ("TEXT", b"\xff", b"\xff"),
    ("BLOB", "é", "é".encode()),
    ("BLOB", 1, 1),
    ("", "1.10", "1.10"),
    ("DATE", "2024-02-29", "2024-02-29"),
    ("DATETIME", "2024-02-29 01:02:03", "2024-02-29 01:02:03"),
    ("JSON", "[1]", "[1]"),
]


@pytest.mark.parametrize(("sql_type", "value", "stored"), SURVIVE, ids=str)
def test_values_survive_their_affinity(sqlite_on: Scenario, sql_type: str, value: Value, stored: Value) -> None:
    """A value is stored unchanged, or as the same number."""
    sqlite_on.execute(f"CREATE TABLE item (id INTEGER PRIMARY KEY, v {sql_type})")

    assert sqlite_on.sync("item", [(1, value)]).verified_rows

    assert sqlite_on.rows("item") == [(1, stored)]
    assert type(sqlite_on.rows("item")[0][1]) is type(stored)


REFUSED: list[tuple[str, Value]] = [
    ("NUMERIC", "1234567890123456.7890"),
    ("DECIMAL(30,2)", "12345678901234567.01"),
    ("DECIMAL(30,0)", str(2**64)),
    ("NUMERIC", "1e400"),
    ("NUMERIC", "1e999999999"),
    ("JSON", "12345678901234567890123"),
    ("INTEGER", 2**63),
    ("INTEGER", -(2**63) - 1),
    ("BLOB", 2**63),
    ("REAL", 2**53 + 1),
    ("REAL", "0.12345678901234567"),
    ("REAL", math.nan),
    ("TEXT", math.inf),
    ("TEXT", "\ud83d"),
]


@pytest.mark.parametrize(("sql_type", "value"), REFUSED, ids=ascii)
def test_values_that_would_not_survive(sqlite_on: Scenario, sql_type: str, value: Value) -> None:
    """A value that SQLite would round or lose is an error with table, column and remedy, and nothing is written."""
    sqlite_on.execute(f"CREATE TABLE item (id INTEGER PRIMARY KEY, v {sql_type})", "INSERT INTO item VALUES (1, 'old')")
    before = sqlite_on.rows("item")

    with pytest.raises(TableError, match=r"'item', column 'v'.*Declare the column TEXT"):
        sqlite_on.sync("item", [(1, None), (2, value)])

    assert sqlite_on.rows("item") == before
    assert sqlite_on.names() == ["item"]


def test_strict_tables(sqlite_on: Scenario) -> None:
    """The staging table of a STRICT table is STRICT: wrong values are refused when they are loaded, ANY keeps any."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, n INT, x ANY) STRICT")

    sqlite_on.sync("item", [(1, 1, "1.10"), (2, 2, b"\xff")])
    with pytest.raises(TableError, match="item"):
        sqlite_on.sync("item", [(1, "abc", None)])

    assert sqlite_on.rows("item") == [(1, 1, "1.10"), (2, 2, b"\xff")]


def test_text_that_is_not_utf8(sqlite_on: Scenario) -> None:
    """Broken text is read, hashed and merged as bytes, and found to be unsendable."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
    sqlite_on.execute("INSERT INTO item VALUES (1, 'ok', CAST(x'61ff' AS TEXT))")
    table = sqlite_on.describe("item")
    with sqlite_on.database.snapshot() as connection:
        found = sqlite_on.database.version1.find_unsendable(connection, table, table.columns)

    assert found is not None
    assert found.name == "b"
    assert sqlite_on.rows("item") == [(1, "ok", b"a\xff")]
    sqlite_on.execute("CREATE TABLE same (id INTEGER PRIMARY KEY, a TEXT, b BLOB)", "INSERT INTO same VALUES (1, 'ok', x'61ff')")
    assert hash_of(sqlite_on, "item") == hash_of(sqlite_on, "same")


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_read_only_files(sqlite_on: Scenario, journal: str) -> None:
    """A read-only file can be read and hashed."""
    sqlite_on.execute(
        "CREATE TABLE item (id INTEGER PRIMARY KEY)", "INSERT INTO item VALUES (1)", f"PRAGMA journal_mode = {journal}"
    )
    expected = hash_of(sqlite_on, "item")
    engine = open_engine(f"sqlite:///file:{sqlite_on.database.engine.url.database}?mode=ro&uri=true")
    read_only = Scenario(database_for(engine))

    assert hash_of(read_only, "item") == expected
    with pytest.raises(TableError, match="readonly"):
        read_only.execute("DELETE FROM item")
    assert sqlite_on.rows("item") == [(1,)]
    engine.dispose()


def test_a_database_that_another_process_writes_to(sqlite_on: Scenario) -> None:
    """If another process writes for too long, the error is transient, and nothing is written."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    other = sqlite3.connect(str(sqlite_on.database.engine.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with sqlite_on.database.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        with (
            pytest.raises(TableBusyError, match="reading or writing") as raised,
            sqlite_on.database.translate_errors(),
        ):
            sqlite_on.sync("item", [(1,)], connection=connection)

    assert raised.value.retryable
    other.close()
    assert sqlite_on.rows("item") == []
    assert sqlite_on.names() == ["item"]


def test_a_database_that_another_process_reads(sqlite_on: Scenario) -> None:
    """A reader is in the way of a commit, unless the database is in WAL mode: the error must not say that the reader writes."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)", "INSERT INTO item VALUES (1)")
    other = sqlite3.connect(str(sqlite_on.database.engine.url.database), isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM item").fetchall()

    with sqlite_on.database.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        with pytest.raises(TableBusyError, match="reading or writing the database"), sqlite_on.database.translate_errors():
            sqlite_on.sync("item", [(1,), (2,)], connection=connection)
    other.close()


def test_a_reader_delays_only_the_commit(sqlite_on: Scenario) -> None:
    """If more is written than fits into the page cache, the transaction waits for a reader once, and not for each page."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO item VALUES (0, 'zero')")
    database = sqlite_on.database
    other = sqlite3.connect(str(database.engine.url.database), isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM item").fetchall()

    with database.connect() as connection:
        connection.exec_driver_sql("PRAGMA cache_size = 10")
        connection.exec_driver_sql("PRAGMA busy_timeout = 1500")  # some builds of SQLite wait in whole seconds
        began = time.monotonic()
        rows = [(number, "x" * 1000) for number in range(1, 200)]
        with pytest.raises(LockTimeoutError), database.translate_errors(), database.transaction(connection):
            connection.exec_driver_sql("INSERT INTO item VALUES (?, ?)", rows)
        assert 0.9 < time.monotonic() - began < 60
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 1500
    other.close()
    assert sqlite_on.rows("item") == [(0, "zero")]


def test_a_database_without_tables_has_another_path(tmp_path: Path) -> None:
    """An error for an empty database asks for its path; one with tables asks for the table's name."""
    database = database_for(open_engine(f"sqlite:///{tmp_path / 'typo.db'}"))
    with database.snapshot() as connection, pytest.raises(MissingTableError, match="no tables at all: is its path right"):
        database.catalog.describe(connection, "orders")
    with sqlite3.connect(tmp_path / "typo.db") as other:
        other.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    other.close()
    with database.snapshot() as connection, pytest.raises(MissingTableError, match="correct its name"):
        database.catalog.describe(connection, "orders")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A file of another kind is refused with SQLite's message."""
    file = tmp_path / "text.db"
    file.write_text("no database at all, " * 100)
    engine = open_engine(f"sqlite:///{file}")

    with pytest.raises(TableError, match="not a database"), database_for(engine).snapshot():
        pytest.fail("opened")
    engine.dispose()


def test_orphans_are_called_by_their_columns(sqlite_on: Scenario) -> None:
    """Constraints without a name are identified by their columns."""
    sqlite_on.execute(
        "CREATE TABLE parent (a INTEGER, b INTEGER, PRIMARY KEY (a, b))",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER REFERENCES child,"
        " FOREIGN KEY (a, b) REFERENCES parent (a, b))",
    )
    rows: list[Row] = [(1, 1, 1, None), (2, 2, 2, 9), (3, None, 2, 1)]

    assert sqlite_on.sync("child", rows).orphans == {"child.a_b": 2, "child.c": 1}


@pytest.mark.timeout(20)
def test_a_long_text_of_digits_is_no_number_in_no_time() -> None:
    """A megabyte of digits and another character is quickly found to be no number."""
    for text in ("1" * 1_000_000, "1." + "1" * 1_000_000, "." + "1" * 1_000_000, " " * 1_000_000, "1" + " " * 1_000_000):
        assert NUMBER.fullmatch(f"{text}x") is None
    for number in ("1", "-1.", "+.5", "1.5e-7", " 12\n", "1E5"):
        assert NUMBER.fullmatch(number)
