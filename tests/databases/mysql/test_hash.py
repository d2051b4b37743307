"""The hash of version 1 on MySQL and MariaDB: the same inside the database and from the stream."""

from __future__ import annotations

from hashlib import sha1

import pytest

from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.databases.mysql.version1 import MySQLVersion1
from airflow_provider_sync.databases.version1_hash import hash_table
from airflow_provider_sync.exceptions import (
    TableError,
)
from airflow_provider_sync.protocol.v1 import NULL
from tests.databases.mysql.databases import open_database, run
from tests.releases.needs import lacks


def test_a_row_too_large_for_the_server_is_hashed_from_the_stream(mariadb: MySQLDatabase) -> None:
    """If one row exceeds the server's packets, the hash is computed from the stream."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a LONGTEXT, b LONGTEXT)",
        "INSERT INTO t VALUES (1, 'x', 'y'), (2, REPEAT('a', 9000000), REPEAT('b', 9000000)), (3, 'x', NULL)",
    )
    expected = ""
    for row in (b"1|x|y", b"2|" + b"a" * 9000000 + b"|" + b"b" * 9000000, b"3|x|" + NULL):
        expected = sha1(expected.encode() + b"|" + row).hexdigest()
    with mariadb.snapshot() as connection:
        table = mariadb.catalog.describe(connection, "t")
        assert mariadb.version1.hash_in_database(connection, table, table.columns) is None
        assert hash_table(mariadb, connection, table) == expected


@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_a_stored_function_of_this_name_is_not_called(server: str, request: pytest.FixtureRequest) -> None:
    """If the database has a function SHA1, which MySQL without its own would call, the hash is still the protocol's."""
    with open_database(request.getfixturevalue(f"{server}_url")) as database:
        run(
            database,
            "CREATE FUNCTION sha1 (s LONGTEXT) RETURNS CHAR(40) DETERMINISTIC RETURN LEFT(SHA2(s, 256), 40)",
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9))",
            "INSERT INTO t VALUES (1, 'x')",
        )
        with database.snapshot() as connection:
            table = database.catalog.describe(connection, "t")
            assert hash_table(database, connection, table) == sha1(b"|1|x").hexdigest()


PARTITIONS = {
    "range": "RANGE (id) (PARTITION b VALUES LESS THAN (4), PARTITION a VALUES LESS THAN MAXVALUE)",
    "list": "LIST (id) (PARTITION `z%%` VALUES IN (2, 4, 6), PARTITION a VALUES IN (1, 3, 5, 7))",
    "hash": "HASH (id) PARTITIONS 3",
    "key": "KEY (id) PARTITIONS 3",
    "sub": "RANGE (id) SUBPARTITION BY HASH (id) SUBPARTITIONS 2"
    " (PARTITION y VALUES LESS THAN (4), PARTITION x VALUES LESS THAN (9))",
}


DESCENDING = {
    "column": "PRIMARY KEY (id DESC)",
    "second": "PRIMARY KEY (a, id DESC)",
    "first": "PRIMARY KEY (a DESC, id)",
    "partitioned": f"PRIMARY KEY (id DESC)) PARTITION BY {PARTITIONS['range'].removesuffix(')')}",
}


def check_hash_order(server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, create: str) -> None:
    """Check that a table is hashed in the order in which existing servers scan it, in the database and from streamed rows."""
    with open_database(request.getfixturevalue(f"{server}_url")) as database:
        run(
            database,
            create,
            "INSERT INTO t VALUES (5, 1, 'x'), (3, 2, NULL), (4, 0, ''), (7, 4, 'q'), (1, 4, 'y'), (2, 5, 'z'), (6, 0, 'w')",
        )
        # What SHA1 is not there for on MySQL: the order in which the statement of existing servers takes the rows.
        scanned = "SELECT MIN((@seen := CONCAT_WS(',', @seen, id, a, v)) IS NULL) FROM t USE INDEX (PRIMARY)"
        with database.snapshot() as connection:
            connection.exec_driver_sql("SET @seen = NULL")
            connection.exec_driver_sql(scanned)
            # Old releases take it for binary.
            seen = connection.exec_driver_sql("SELECT CAST(@seen AS CHAR)").scalar_one()
            table = database.catalog.describe(connection, "t")
            read = [row for batch in database.version1.read_in_hash_order(connection, table, table.columns) for row in batch]
            assert ",".join(str(value) for row in read for value in row if value is not None) == seen
            inside = database.version1.hash_in_database(connection, table, table.columns)
            monkeypatch.setattr(MySQLVersion1, "hash_in_database", lambda *_: None)
            outside = hash_table(database, connection, table)
        expected = ""
        for row in read:
            fields = [NULL if value is None else str(value).encode() for value in row]
            expected = sha1(expected.encode() + b"|" + b"|".join(fields)).hexdigest()
        assert outside == expected
        assert inside == (expected if server == "mariadb" else None)


@pytest.mark.parametrize("kind", PARTITIONS)
@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_partitioned_table_is_hashed_as_it_is_scanned(
    kind: str, server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are hashed partition after partition by key, as by existing servers, in both ways."""
    partitions = PARTITIONS[kind].replace("%%", "%")
    create = f"CREATE TABLE t (id INT PRIMARY KEY, a INT, v VARCHAR(9)) PARTITION BY {partitions}"
    check_hash_order(server, request, monkeypatch, create)


@pytest.mark.parametrize("kind", DESCENDING)
@pytest.mark.parametrize("server", ["mariadb", "mysql"])
def test_descending_key_is_hashed_as_it_is_scanned(
    kind: str, server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the primary key has a descending column, the hash has that order, in both ways."""
    create = f"CREATE TABLE t (id INT, a INT, v VARCHAR(9), {DESCENDING[kind]})"
    check_hash_order(server, request, monkeypatch, create)


def test_partitioned_table_without_rows(mariadb: MySQLDatabase) -> None:
    """Empty partitions do not count, and a table of only such ones is empty."""
    run(mariadb, f"CREATE TABLE t (id INT PRIMARY KEY, a INT) PARTITION BY {PARTITIONS['hash']}")
    with mariadb.snapshot() as connection:
        table = mariadb.catalog.describe(connection, "t")
        assert hash_table(mariadb, connection, table) == "--EMPTY--"


def test_mixed_character_sets_are_hashed_as_utf8(mariadb: MySQLDatabase) -> None:
    """Columns of different character sets are hashed in one, also utf16."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9) CHARACTER SET utf16, b VARCHAR(9) CHARACTER SET cp1251,"
        " c VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, d VARCHAR(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci,"
        " e VARCHAR(9) CHARACTER SET utf8mb3 COLLATE utf8mb3_czech_ci, f VARCHAR(9) CHARACTER SET ascii)",
        "INSERT INTO t VALUES (1, '✓é', 'ж', '📦', 'ß', 'ů', 'a'), (2, NULL, '', 'x', 'y', 'z', NULL)",
    )
    expected = sha1("|1|✓é|ж|📦|ß|ů|a".encode()).hexdigest()
    expected = sha1(f"{expected}|2|{NULL.decode()}||x|y|z|{NULL.decode()}".encode()).hexdigest()
    with mariadb.snapshot() as connection:
        table = mariadb.catalog.describe(connection, "t")
        assert mariadb.version1.hash_in_database(connection, table, table.columns) == expected
        mariadb.server._sha1 = False
        assert hash_table(mariadb, connection, table) == expected


@pytest.mark.parametrize("charset", ["latin1", "utf16", "cp1251", "koi8r", "sjis", "utf8mb3", "gbk", "latin2", "ucs2", "utf32"])
def test_text_beside_binary_is_hashed_as_it_is_stored(mariadb: MySQLDatabase, charset: str) -> None:
    """Beside a binary column, text is hashed with the bytes of its own character set, in both ways."""
    if charset in ("utf16", "ucs2", "utf32"):
        with mariadb.connect() as connection:
            lacks(connection, "mariadb", (11,), "the bytes that 10.11 hashes for these character sets beside a binary column")
    letters = {"cp1251": "жЯ", "koi8r": "жЯ", "sjis": "ソ日", "gbk": "中", "latin2": "őł"}.get(charset, "éü")
    run(
        mariadb,
        f"CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9), e ENUM('{letters}'), b BLOB) CHARACTER SET {charset}",
        f"INSERT INTO t VALUES (1, '{letters}', '{letters}', x'ff00'), (2, '', NULL, '')",
    )
    with mariadb.snapshot() as connection:
        table = mariadb.catalog.describe(connection, "t")
        inside = hash_table(mariadb, connection, table)
        mariadb.server._sha1 = False
        assert mariadb.version1.hash_in_database(connection, table, table.columns) is None
        assert hash_table(mariadb, connection, table) == inside


def test_scan_order_of_other_storage_engines_is_one_order(mariadb: MySQLDatabase) -> None:
    """A MyISAM table has the same hash in both ways, also with a second covering index."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a INT, KEY (a, id)) ENGINE=MyISAM",
        "INSERT INTO t VALUES (5, 1), (3, 9), (4, 3), (1, 4), (2, 5)",
    )
    with mariadb.snapshot() as connection:
        table = mariadb.catalog.describe(connection, "t")
        inside = hash_table(mariadb, connection, table)
        mariadb.server._sha1 = False
        assert hash_table(mariadb, connection, table) == inside


def test_table_without_primary_key_has_no_hash(database: MySQLDatabase) -> None:
    """A table without a primary key is refused with what to do."""
    run(database, "CREATE TABLE t (id INT, UNIQUE (id))")
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        with pytest.raises(TableError, match="'t' has no primary key"):
            hash_table(database, connection, table)
