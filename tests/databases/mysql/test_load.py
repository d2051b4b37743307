"""Loading into MySQL and MariaDB: nothing is changed silently, and nothing hangs or leaks when one end fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import inf, nan

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.databases.schema import Row, Table, Value
from airflow_provider_sync.exceptions import TableError, TransportError
from tests.databases.mysql.databases import open_database
from tests.open_files import open_files
from tests.scenario import layout_of

WAYS_TO_LOAD = [
    "load-mariadb-mysqldb",
    "load-mariadb-pymysql",
    "insert-mariadb-mysqldb",
    "insert-mysql-mysqldb",
    "insert-mysql-pymysql",
]


@pytest.fixture(params=WAYS_TO_LOAD)
def database(request: pytest.FixtureRequest) -> Iterator[MySQLDatabase]:
    """Give a fresh database by each way of loading: LOAD DATA where it is allowed, INSERTs where it is not."""
    way, server, driver = request.param.split("-")
    with open_database(request.getfixturevalue(f"{server}_url"), driver, local_infile=way == "load") as opened:
        yield opened


REFUSED: list[tuple[str, Value]] = [
    ("INT", 1.5),
    ("INT", "1.5"),
    ("INT", "1e2"),
    ("INT", "x"),
    ("INT", ""),
    ("INT", 2**31),
    ("TINYINT UNSIGNED", -1),
    ("DECIMAL(6,2)", "1.105"),
    ("DECIMAL(6,2)", 1.105),
    ("DECIMAL(6,2)", 1e-7),
    ("DECIMAL(6,2)", "NaN"),
    ("DECIMAL(6,2)", "12345.00"),
    ("DOUBLE", inf),
    ("DOUBLE", nan),
    ("DOUBLE", 2**53 + 1),
    ("DOUBLE", "1234567890.12345678901234567"),
    ("DOUBLE(6,2)", 1.236),
    ("FLOAT", 0.1234567890123),
    ("VARCHAR(3)", "abcd"),
    ("VARCHAR(3)", "abc "),
    ("VARCHAR(3)", b"\xff"),
    ("VARCHAR(3)", "\ud800"),
    ("VARCHAR(3) CHARACTER SET latin1", "✓"),
    ("CHAR(3)", "a "),
    ("ENUM('a','b')", "1"),
    ("ENUM('a','b')", "A"),
    ("ENUM('a','b')", ""),
    ("SET('x','y')", "y,x"),
    ("SET('x','y')", "3"),
    ("SET('x','y')", "x,z"),
    ("DATE", "2024-01-01 10:00:00"),
    ("DATE", "2024-02-31"),
    ("DATE", "24-01-01"),
    ("DATETIME", "2024-01-01 10:00:00.5"),
    ("DATETIME(3)", "2024-01-01 10:00:00.1234"),
    ("DATETIME", "2024-01-01 10:00:00+05:00"),
    ("DATETIME", "infinity"),
    ("TIMESTAMP NULL", "1969-01-01 00:00:00"),
    ("TIME", "10:00:00.6"),
    ("TIME", "839:00:00"),
    ("YEAR", 24),
    ("YEAR", "1900"),
    ("JSON", "{bad"),
    ("BIT(4)", 16),
    ("BIT(4)", -1),
    ("VARBINARY(3)", b"abcd"),
    ("BINARY(3)", b"ab"),
    ("POINT", b"nothing"),
]


def staging_of(database: MySQLDatabase, connection: Connection, types: Sequence[str]) -> Table:
    """Create a target whose columns `c0`, `c1`, … have these types, and a staging table of it."""
    columns = ", ".join(f"c{number} {sql_type}" for number, sql_type in enumerate(types)).replace("%", "%%")
    connection.exec_driver_sql(f"CREATE TABLE target (id INT PRIMARY KEY, {columns}) CHARACTER SET utf8mb4")
    target = database.catalog.describe(connection, "target")
    return database.ddl.create_staging(connection, layout_of(target), name="_sync_1")


def refusal(database: MySQLDatabase, connection: Connection, staging: Table, row: Row) -> str:
    """Return the message with which a row is refused, or nothing."""
    try:
        database.loader.load(connection, staging, [[row]])
    except TableError as error:
        return f"retryable {error}" if error.retryable else str(error)
    return ""


def test_value_that_would_change_is_refused(database: MySQLDatabase) -> None:
    """A value that its column would round, cut, zero or reinterpret is an error that names it."""
    with database.connect(loading=True) as connection:
        staging = staging_of(database, connection, [sql_type for sql_type, _ in REFUSED])
        for number, (sql_type, value) in enumerate(REFUSED):
            row: list[Value] = [number, *[None] * len(REFUSED)]
            row[number + 1] = value
            found = refusal(database, connection, staging, tuple(row))
            assert found.startswith("Table '_sync_1'"), (sql_type, value)
            # The server does not say in which column it has no geometry.
            assert f"c{number}" in found or "geometry" in found, (sql_type, value, found)
        assert database.reader.count(connection, database.catalog.describe(connection, "target")) == 0


@pytest.mark.parametrize("sql_type", ["INT NOT NULL", "TIMESTAMP NOT NULL", "TEXT NOT NULL"])
def test_null_is_refused(database: MySQLDatabase, sql_type: str) -> None:
    """A forbidden NULL is an error before anything is sent, because MySQL would replace it."""
    with database.connect(loading=True) as connection:
        staging = staging_of(database, connection, [sql_type])
        with pytest.raises(TableError, match=r"'c0'.*NOT NULL"):
            database.loader.load(connection, staging, [[(1, None)]])
        assert database.reader.count(connection, staging) == 0


TAKEN: list[tuple[str, Value, Value]] = [
    ("INT", "0012", 12),
    ("INT", 12.0, 12),
    ("BIGINT UNSIGNED", "18446744073709551615", 2**64 - 1),
    ("DECIMAL(6,2)", 1, "1.00"),
    ("DECIMAL(6,2)", 1.5, "1.50"),
    ("DECIMAL(6,2)", "1.5000", "1.50"),
    ("DECIMAL(30,10)", 1e-7, "0.0000001000"),
    ("DOUBLE", 100, 100.0),
    ("DOUBLE", "0.1", 0.1),
    ("DOUBLE", 5e-324, 5e-324),
    ("FLOAT", 16777200, 16777200.0),
    ("VARCHAR(9)", 5, "5"),
    ("VARCHAR(9)", 1.5, "1.5"),
    ("VARCHAR(9)", "é📦".encode(), "é📦"),
    ("VARCHAR(9)", "\\N", "\\N"),
    ("VARCHAR(9)", "\x1d\x1e\x1f\\\t\n'\0", "\x1d\x1e\x1f\\\t\n'\0"),
    ("VARCHAR(9)", "NULL", "NULL"),
    ("VARCHAR(9)", "%s %", "%s %"),
    ("VARCHAR(9) CHARACTER SET latin1", "é€", "é€"),
    ("ENUM('a%','it''s','b\\\\c','')", "it's", "it's"),
    ("ENUM('a%','it''s','b\\\\c','')", "b\\c", "b\\c"),
    ("ENUM('a%','it''s','b\\\\c','')", "", ""),
    ("SET('x','y')", "x,y", "x,y"),
    ("SET('x','y')", "", ""),
    ("DATE", "2024-01-01 00:00:00", "2024-01-01"),
    ("DATE", "0000-00-00", "0000-00-00"),
    ("DATETIME", "2024-01-01 10:00:00.000000", "2024-01-01 10:00:00"),
    ("DATETIME(3)", "2024-01-01T10:00:00.5", "2024-01-01 10:00:00.500"),
    ("TIME(1)", "-100:00:00.50", "-100:00:00.5"),
    ("YEAR", 0, "0000"),
    ("YEAR", 2024, "2024"),
    ("BIT(64)", str(2**64 - 1), 2**64 - 1),
    ("BIT(9)", 256, 256),
    ("BLOB", "é\\", "é\\".encode()),
    ("BLOB", b"", b""),
    ("BLOB", bytes(range(256)), bytes(range(256))),
    ("JSON", "[1, 2]", "[1, 2]"),
]


def test_value_of_another_engine_is_taken(database: MySQLDatabase) -> None:
    """A value in another engine's notation arrives as the same value, beside NULLs."""
    nulls = [None] * len(TAKEN)
    with database.connect(loading=True) as connection:
        staging = staging_of(database, connection, [sql_type for sql_type, _, _ in TAKEN])
        database.loader.load(connection, staging, [[(1, *nulls), (2, *(value for _, value, _ in TAKEN)), (3, *nulls)]])
        [rows] = database.reader.read(connection, staging, staging.columns, order_by=["id"])
    assert rows == [(1, *nulls), (2, *(expected for _, _, expected in TAKEN)), (3, *nulls)]


def test_one_empty_text_is_a_row(database: MySQLDatabase) -> None:
    """A table of one column distinguishes an empty text from no row."""
    with database.connect(loading=True) as connection:
        connection.exec_driver_sql("CREATE TABLE `100%%` (`%%s` VARCHAR(9) PRIMARY KEY)")
        table = database.catalog.describe(connection, "100%")
        assert database.loader.load(connection, table, [[("",), ("a",)]]) == 2
        assert list(database.reader.read(connection, table, table.columns)) == [[("",), ("a",)]]
        with pytest.raises(TableError, match=r"'%s'.*NULL"):
            database.loader.load(connection, table, [[(None,)]])


def test_duplicate_key_is_refused(database: MySQLDatabase) -> None:
    """A duplicate key is an error, for any way of loading and in any batch."""
    table = _table(database, "INT")
    with database.connect(loading=True) as connection, pytest.raises(TableError, match="Duplicate entry '1'"):
        database.loader.load(connection, table, [[(1, 1), (1, 2)]])


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ("ADD CONSTRAINT small CHECK (v < 5)", "Change that constraint of the target, or drop it."),
        ("PARTITION BY RANGE (id) (PARTITION few VALUES LESS THAN (5))", "Create a partition of the target for it."),
    ],
    ids=["check", "partition"],
)
def test_what_another_type_would_not_help(database: MySQLDatabase, change: str, advice: str) -> None:
    """A broken constraint and a missing partition have their own advice, not that of a value that does not fit its column."""
    table = _table(database, "INT")
    with database.connect() as connection:
        connection.exec_driver_sql(f"ALTER TABLE t {change}")
    with database.connect(loading=True) as connection, pytest.raises(TableError) as raised:
        database.loader.load(connection, table, [[(7, 7)]])
    # MySQL, and INSERTs, refuse the whole statement.
    refused = "The database refused" in str(raised.value)
    assert refused or str(raised.value).endswith(advice)


def test_staging_table_has_the_types_of_the_target(database: MySQLDatabase) -> None:
    """A staging table has the target's types, character sets and collations, without defaults and generated columns."""
    with database.connect(loading=True) as connection:
        connection.exec_driver_sql(
            "CREATE TABLE target (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, twice INT AS (n * 2) VIRTUAL, n INT(4) ZEROFILL,"
            " c CHAR(3) CHARACTER SET latin1 COLLATE latin1_german2_ci NOT NULL DEFAULT 'x', at TIMESTAMP(2) NOT NULL DEFAULT"
            " CURRENT_TIMESTAMP(2) ON UPDATE CURRENT_TIMESTAMP(2), at2 TIMESTAMP NULL DEFAULT NULL, j JSON,"
            " e ENUM('a''b','c\\\\d'), hidden INT INVISIBLE, g POINT) CHARACTER SET utf8mb4"
        )
        target = database.catalog.describe(connection, "target")
        # As MariaDB before 10.10 has it: a TIMESTAMP changes with every update unless its definition says otherwise.
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql("SET explicit_defaults_for_timestamp = OFF")
        made = database.ddl.create_staging(connection, layout_of(target, indexes=("n",)), name="_sync_1")
        found = database.catalog.describe(connection, "_sync_1")
        indexes = {row[2] for row in connection.exec_driver_sql("SHOW INDEX FROM _sync_1")}
        created = connection.exec_driver_sql("SHOW CREATE TABLE _sync_1").fetchone()[1]  # type: ignore[index]
    assert indexes == {"PRIMARY", "n"}
    assert [column.sql_type for column in found.columns] == [column.sql_type for column in target.columns]
    assert [column.kind for column in found.columns] == [column.kind for column in target.columns]
    assert [column.collation for column in found.columns] == [column.collation for column in target.columns]
    assert [column.nullable for column in made.columns] == [column.nullable for column in target.columns]
    assert not any(column.generated or column.invisible for column in found.columns)
    assert "ON UPDATE" not in created.upper()
    assert "AUTO_INCREMENT" not in created.upper()


def test_long_keys_are_indexed_in_part(database: MySQLDatabase) -> None:
    """Too long keys are indexed by their prefixes, as in the target."""
    with database.connect(loading=True) as connection:
        connection.exec_driver_sql(
            "CREATE TABLE target (k TEXT, l VARCHAR(900), b BLOB, PRIMARY KEY (k(20), b(7))) CHARACTER SET utf8mb4"
        )
        target = database.catalog.describe(connection, "target")
        for number, key in enumerate((["k", "b"], ["l"], ["l", "k"], ["b"])):
            staging = database.ddl.create_staging(connection, layout_of(target, key), name=f"_sync_{number}")
            database.ddl.create_work_table(connection, target, key, name=f"_sync_w{number}")
            assert database.loader.load(connection, staging, [[("k" * 30, "l" * 900, b"b"), ("j" * 30, "m" * 900, b"c")]]) == 2


def test_many_rows_of_many_batches(database: MySQLDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than one statement can hold arrive, in batches of any size."""
    monkeypatch.setattr("airflow_provider_sync.databases.mysql.load_data.LOAD_BYTES", 100_000)
    monkeypatch.setattr("airflow_provider_sync.databases.mysql.load_data.INSERT_BYTES", 100_000)
    batches: list[list[Row]] = [
        [(number, f"{number} ✓" * 5) for number in range(start, start + 700)] for start in range(0, 7000, 700)
    ]
    batches.insert(3, [])
    with database.connect(loading=True) as connection:
        table = _table(database, "VARCHAR(99)")
        assert database.loader.load(connection, table, batches) == 7000
        found = [row for batch in database.reader.read(connection, table, table.columns, order_by=["id"]) for row in batch]
    assert found == [row for batch in batches for row in batch]


def test_failing_source_ends_the_load(database: MySQLDatabase) -> None:
    """An error of the source is raised to the caller; no thread or descriptor stays."""
    table = _table(database, "LONGTEXT")

    def batches() -> Iterator[Sequence[Row]]:
        yield [(1, "x" * 1_000_000)]
        raise BrokenPipeError("the network went away")

    with database.connect(loading=True) as connection:
        threads, opened = set(threading.enumerate()), open_files()
        with pytest.raises(BrokenPipeError, match="the network went away"):
            database.loader.load(connection, table, batches())
        assert set(threading.enumerate()) <= threads
        assert open_files() <= opened
        # The connection is still in step with the server.
        assert connection.exec_driver_sql("SELECT 42").scalar_one() == 42


def test_failing_server_ends_the_load(database: MySQLDatabase) -> None:
    """If the server ends the statement, the source is not read further, and nothing hangs."""
    table = _table(database, "LONGTEXT")
    # One runs all the time, or none does between two batches.
    kind = "QUERY" if database.engine.url.query["local_infile"] == "1" else "CONNECTION"

    def batches() -> Iterator[Sequence[Row]]:
        for number in range(1000):
            if number == 3:
                with database.connect(loading=True) as other:
                    other.exec_driver_sql(f"KILL {kind} {thread}")
            yield [(number, "x" * 1_000_000)]
        pytest.fail("the whole source was read")

    threads, opened = set(threading.enumerate()), open_files()
    with pytest.raises(TransportError) as raised, database.connect(loading=True) as connection:  # noqa: PT012
        thread = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
        database.loader.load(connection, table, batches())
    assert raised.value.retryable
    assert set(threading.enumerate()) <= threads
    assert open_files() <= opened


def test_failing_transaction_takes_the_rows_back(database: MySQLDatabase) -> None:
    """Rows loaded within a transaction are rolled back with it."""
    table = _table(database, "DATETIME")
    with database.connect(loading=True) as connection:
        with pytest.raises(TableError), database.transaction(connection):  # noqa: PT012
            database.loader.load(connection, table, [[(1, "2024-01-01 00:00:00")]])
            database.loader.load(connection, table, [[(2, "2024-02-31 00:00:00")]])
        assert database.reader.count(connection, table) == 0


def test_row_too_large_for_a_statement(mysql_url: str) -> None:
    """A row that no INSERT can hold is an error that names the setting, before it is sent."""
    with open_database(mysql_url) as database, database.connect(loading=True) as connection:
        table = _table(database, "LONGBLOB")
        packet = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())
        with pytest.raises(TableError, match="max_allowed_packet"):
            database.loader.load(connection, table, [[(1, b"x" * (packet // 2))]])
        assert database.reader.count(connection, table) == 0


def _table(database: MySQLDatabase, sql_type: str) -> Table:
    with database.connect(loading=True) as connection:
        connection.exec_driver_sql(f"CREATE TABLE t (id INT PRIMARY KEY, v {sql_type}) CHARACTER SET utf8mb4")
        return database.catalog.describe(connection, "t")
