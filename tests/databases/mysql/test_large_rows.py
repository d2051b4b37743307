"""Rows as large as a packet, and many of them: digested and read in bounded memory, through either driver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.databases.mysql.row_text import always_fits
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Partitioning
from tests.databases.canonical_rows import (
    EVERYTHING,
    all_digests,
    expected_digests,
    insert,
    read,
    slice_of,
)
from tests.scenario import Scenario

SIXTEEN_MB = 16 * 1024 * 1024


@pytest.fixture(params=["mysqldb", "pymysql"])
def with_driver(request: pytest.FixtureRequest, mariadb_url: str) -> Iterator[Scenario]:
    """Give a fresh database of MariaDB, reached through either driver."""
    engine = open_engine(mariadb_url.replace("mysqldb", request.param))
    yield Scenario(MySQLDatabase(engine))
    engine.dispose()


@pytest.mark.parametrize(
    "partitioning",
    [EVERYTHING, Partitioning(scheme="key_range", segment_count=1, low=1, high=3)],
    ids=lambda partitioning: partitioning.scheme,
)
@pytest.mark.parametrize("size", [SIXTEEN_MB // 2 - 1000, SIXTEEN_MB - 1000, SIXTEEN_MB - 8])
def test_rows_larger_than_a_packet(mariadb_url: str, size: int, partitioning: Partitioning) -> None:
    """A row that exceeds the server's packets is an error, and never left out of a digest."""
    on = Scenario(MySQLDatabase(open_engine(mariadb_url)))
    if int(on.scalar("SELECT @@max_allowed_packet")) != SIXTEEN_MB:
        pytest.skip("The server's max_allowed_packet is not the one that it is shipped with.")
    on.execute(
        "CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v LONGBLOB, w LONGTEXT)",
        "INSERT INTO item VALUES (1, 'x', 'y')",
        f"INSERT INTO item VALUES (2, REPEAT('b', {size}), 'z')",
        "INSERT INTO item VALUES (3, 'x', REPEAT('é', 1000))",
    )
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        if 2 * size < SIXTEEN_MB - 1000:
            rows = read(on.database, connection, table_slice)
            assert all_digests(on.database, connection, table_slice) == expected_digests(table_slice, rows)
            return
        with pytest.raises(TableError, match="max_allowed_packet"):
            on.database.digests.digest_segments(connection, table_slice, partitioning)
        with pytest.raises(TableError, match="max_allowed_packet"):
            all_digests(on.database, connection, table_slice, partitioning)


@pytest.mark.parametrize("by_key", [False, True], ids=["whole", "by key"])
@pytest.mark.parametrize("column", ["LONGBLOB", "LONGTEXT CHARACTER SET latin1"])
@pytest.mark.parametrize("times", [0.3, 0.6])
def test_large_texts_are_sent_or_refused(on: Scenario, times: float, column: str, by_key: bool) -> None:
    """A value whose text is longer than its bytes arrives as it is, or is an error if a packet cannot hold it: never NULL."""
    length = int(int(on.scalar("SELECT @@max_allowed_packet")) * times)
    on.execute(
        f"CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v {column})",
        f"INSERT INTO item VALUES (1, REPEAT(x'e9', {length})), (2, NULL)",
    )
    table_slice = slice_of(on.database, on.describe("item"))
    keys = [("1",), ("2",)] if by_key else None

    lines: list[bytes] = []
    refusal = ""
    with on.database.snapshot() as connection:
        try:
            lines = b"".join(block for _, block in on.database.reader.read_text(connection, table_slice, keys)).splitlines()
        except TableError as error:
            refusal = str(error)

    if times > 0.5 and refusal:
        assert "max_allowed_packet" in refusal
    else:
        assert sorted(map(len, lines)) == [len("2\t\\N"), len("1\t") + 2 * length]


def test_texts_through_either_driver(with_driver: Scenario) -> None:
    """Both drivers give the same bytes, and convert values of later statements as before."""
    on = with_driver
    on.execute(
        "CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v TEXT, w DECIMAL(9,2), x BLOB, y DATETIME(6))",
        r"INSERT INTO item VALUES (1, 'é\t\\', 1.5, x'00ff', '2024-02-29'), (2, NULL, NULL, NULL, NULL)",
    )
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        digests = all_digests(on.database, connection, table_slice)
        later = connection.exec_driver_sql("SELECT 1, 'é', 1.5e0").one()

    assert rows == [(b"1", "é\t\\".encode(), b"1.50", b"00ff", b"2024-02-29 00:00:00.000000"), (b"2", None, None, None, None)]
    assert digests == expected_digests(table_slice, rows)
    assert tuple(later) == (1, "é", 1.5)


def test_a_reader_that_stops(with_driver: Scenario) -> None:
    """After a reader stops, the connection can be used."""
    on = with_driver
    on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v TEXT)")
    insert(on.database, on.describe("item"), [(number, "x" * 500) for number in range(20_000)])
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        blocks = on.database.reader.read_text(connection, table_slice)
        next(blocks)
        blocks.close()
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM item").scalar_one() == 20_000


def test_large_rows_come_one_by_one(with_driver: Scenario) -> None:
    """The memory of a block does not grow with the size of its rows."""
    on = with_driver
    on.execute("CREATE TABLE item (id INT NOT NULL PRIMARY KEY, v LONGTEXT)")
    on.execute(*(f"INSERT INTO item VALUES ({number}, REPEAT('x', 300000))" for number in range(150)))
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        sizes = [len(block) for _, block in on.database.reader.read_text(connection, table_slice)]

    assert sum(sizes) > 45_000_000
    assert max(sizes[1:]) < 2_000_000


@pytest.mark.parametrize(
    ("columns", "packet", "fits"),
    [
        ("id INT, v VARCHAR(60), w DECIMAL(65, 30), x DATETIME(6), y DOUBLE", 2048, True),
        ("id INT, v VARCHAR(600)", 2048, False),  # 2,400 bytes
        ("id INT, v VARBINARY(1000)", 2048, False),
        ("id INT, v ENUM('a', 'longer'), w SET('a', 'b'), x BIT(64)", 2048, True),
        ("id INT, v TEXT, w BLOB", 16 * 2**20, True),
        ("id INT, v LONGTEXT", 16 * 2**20, False),
        ("id INT, v JSON", 16 * 2**20, False),
        ("id INT, v POINT", 16 * 2**20, False),
        (f"id INT, {', '.join(f'c{number} INT' for number in range(20))}", 2048, False),
    ],
)
def test_rows_that_always_fit(on: Scenario, columns: str, packet: int, fits: bool) -> None:
    """Rows certainly fit a packet only if the declared lengths of all columns do."""
    on.execute(f"CREATE TABLE item ({columns}, PRIMARY KEY (id))")
    assert always_fits(slice_of(on.database, on.describe("item")).columns, packet) == fits
