"""What is MySQL's and MariaDB's own: sessions, snapshots, locks, descriptions, hashes, and the SQL of the merge."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha1
from itertools import islice

import pytest

from airflow_provider_sync.exceptions import MissingTableError, TableBusyError, TableError, TransportError
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.tables.connect import open_engine
from airflow_provider_sync.tables.engines.mysql import MySQLDatabase
from airflow_provider_sync.tables.schema import Kind
from airflow_provider_sync.tables.table_hash import hash_table


@pytest.fixture(params=["mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> str:
    """Name each server in turn."""
    return str(request.param)


@pytest.fixture(params=["mysqldb", "pymysql"])
def database(request: pytest.FixtureRequest, server: str) -> Iterator[MySQLDatabase]:
    """Give a fresh database on each server, through each driver."""
    url = str(request.getfixturevalue(f"{server}_url"))
    engine = open_engine(url.replace("mysqldb", request.param))
    yield MySQLDatabase(engine)
    engine.dispose()


@pytest.fixture
def mariadb(mariadb_url: str) -> Iterator[MySQLDatabase]:
    """Give a fresh MariaDB database."""
    engine = open_engine(mariadb_url)
    yield MySQLDatabase(engine)
    engine.dispose()


def run(database: MySQLDatabase, *statements: str) -> None:
    """Run statements, each committed by itself."""
    with database.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def rows(database: MySQLDatabase, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with database.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


# -- connections -----------------------------------------------------------------------------------------------------


def test_zero_dates_are_read(database: MySQLDatabase) -> None:
    """Dates that do not exist, which a table from before strict mode may have, are read as they are."""
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY, d DATE, at DATETIME(3))",
        "INSERT INTO t VALUES (1, '0000-00-00', '2024-00-00')",
    )
    with database.snapshot() as connection:
        table = database.describe(connection, "t")
        assert list(database.read(connection, table, table.columns)) == [[(1, "0000-00-00", "2024-00-00 00:00:00.000")]]


def test_instants_are_read_in_utc(database: MySQLDatabase) -> None:
    """A TIMESTAMP is rendered in UTC, whatever the time zone of the session that wrote it."""
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL)",
        "SET time_zone = '+05:00'",
        "INSERT INTO t VALUES (1, '2024-07-01 12:00:00')",
    )
    with database.snapshot() as connection:
        table = database.describe(connection, "t")
        assert list(database.read(connection, table, table.columns)) == [[(1, "2024-07-01 07:00:00")]]


def test_snapshot_sees_one_state(database: MySQLDatabase) -> None:
    """What others commit after a snapshot began is not seen in it, and nothing can be written in it."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with database.snapshot() as connection:
        run(database, "INSERT INTO t VALUES (2)")
        table = database.describe(connection, "t")
        assert database.count(connection, table) == 1
        with pytest.raises(TableError, match="READ ONLY"), database.translate_errors():
            connection.exec_driver_sql("INSERT INTO t VALUES (3)")
    assert rows(database, "SELECT id FROM t") == [(1,), (2,)]


def test_failed_transaction_leaves_nothing(database: MySQLDatabase) -> None:
    """A transaction that ends in an exception is rolled back, also when the exception is none of the database's."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
    with database.connect() as connection:
        with pytest.raises(KeyboardInterrupt), database.transaction(connection):  # noqa: PT012
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            raise KeyboardInterrupt
        with database.transaction(connection):
            connection.exec_driver_sql("INSERT INTO t VALUES (2)")
    assert rows(database, "SELECT id FROM t") == [(2,)]


def test_writing_reads_committed_rows(database: MySQLDatabase) -> None:
    """A transaction for writing sees what others commit meanwhile, so that it locks only the rows that it changes."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
    with database.connect() as connection, database.transaction(connection):
        table = database.describe(connection, "t")
        assert database.count(connection, table) == 0
        run(database, "INSERT INTO t VALUES (1)")
        assert database.count(connection, table) == 1


def test_duplicate_key_is_not_retryable(database: MySQLDatabase) -> None:
    """A broken constraint is an error of the table, with the server's text and without the statement."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY, secret VARCHAR(9))", "INSERT INTO t VALUES (1, 'a')")
    with pytest.raises(TableError, match="Duplicate entry '1'") as raised:
        run(database, "INSERT INTO t VALUES (1, 'hidden')")
    assert not raised.value.retryable
    assert "hidden" not in str(raised.value)


def test_locked_row_is_retryable(database: MySQLDatabase) -> None:
    """A row that another transaction holds makes the table busy, not broken."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with database.connect() as connection, database.transaction(connection):
        connection.exec_driver_sql("DELETE FROM t")
        with pytest.raises(TableBusyError) as raised:
            rows(database, "SELECT id FROM t FOR UPDATE NOWAIT")
    assert raised.value.retryable


def test_lost_connection_is_retryable(database: MySQLDatabase) -> None:
    """A connection that ends while it is used is an error of the transport."""
    with pytest.raises(TransportError) as raised, database.connect() as connection:  # noqa: PT012
        number = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
        run(database, f"KILL CONNECTION {number}")
        connection.exec_driver_sql("SELECT 1")
    assert raised.value.retryable


def test_absent_server_is_retryable() -> None:
    """A server that does not answer is an error of the transport."""
    with pytest.raises(TransportError):
        run(MySQLDatabase(open_engine("mysql+mysqldb://sync@127.0.0.1:1/shop")), "SELECT 1")


def test_missing_privilege_names_what_to_do(database: MySQLDatabase) -> None:
    """A missing privilege is an error that says so, and does not retry."""
    name = f"u{abs(hash(database.engine.url.database)) % 10**8}"
    with database.connect() as connection:
        connection.exec_driver_sql(f"CREATE USER '{name}'@'%%' IDENTIFIED BY 'x'")
        connection.exec_driver_sql(f"CREATE USER '{name}'@'localhost' IDENTIFIED BY 'x'")
    try:
        url = database.engine.url.set(username=name, password="x").render_as_string(hide_password=False)
        with pytest.raises(TableError, match=r"Access denied.* Grant it") as raised:
            run(MySQLDatabase(open_engine(url)), "SELECT 1")
        assert not raised.value.retryable
    finally:
        run(database, f"DROP USER '{name}'@'%%'", f"DROP USER '{name}'@'localhost'")


def test_two_syncs_of_a_table_exclude_each_other(database: MySQLDatabase) -> None:
    """A second sync of a table fails in time, one of another table does not wait, and the lock ends with its block."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE other (id INT PRIMARY KEY)")
    with database.connect() as connection:
        table, other = database.describe(connection, "t"), database.describe(connection, "other")
        qualified = database.describe(connection, f"{database.engine.url.database}.t")
    with database.exclusive(table, timeout=5):
        with database.exclusive(other, timeout=0):
            pass
        with pytest.raises(TableBusyError, match="'t'"), database.exclusive(table, timeout=0):
            pytest.fail("both hold the lock")
        with pytest.raises(TableBusyError), database.exclusive(qualified, timeout=0):
            pytest.fail("the same table under two names")
    with database.exclusive(table, timeout=0):
        pass


# -- describing ------------------------------------------------------------------------------------------------------


def test_description_of_columns(database: MySQLDatabase) -> None:
    """Types, sizes, character sets, generated and invisible columns are told as they are."""
    run(
        database,
        "CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, z INT(5) ZEROFILL, price DECIMAL(12,2) NOT NULL,"
        " width DOUBLE(10,3), f FLOAT, code CHAR(4) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL DEFAULT 'x',"
        " note LONGTEXT, doc JSON, e ENUM('a','b%%'), at TIMESTAMP(3) NULL, raw VARBINARY(9), flags BIT(12), spot POINT,"
        " twice INT AS (z * 2) VIRTUAL, hidden INT INVISIBLE) CHARACTER SET utf8mb4",
    )
    with database.connect() as connection:
        table = database.describe(connection, "t")
    kinds = [column.kind for column in table.columns]
    assert kinds == [
        *(Kind.INTEGER, Kind.INTEGER, Kind.DECIMAL, Kind.DOUBLE, Kind.FLOAT, Kind.CHAR, Kind.TEXT, Kind.JSON, Kind.ENUM),
        *(Kind.TIMESTAMP, Kind.BINARY, Kind.BIT, Kind.GEOMETRY, Kind.INTEGER, Kind.INTEGER),
    ]
    z, price, width, code = (table.column(name) for name in ("z", "price", "width", "code"))
    assert (z.zerofill, z.precision, z.unsigned) == (True, 5, True)
    assert (price.precision, price.scale, price.nullable, price.required) == (12, 2, False, True)
    assert (width.precision, width.scale, table.column("f").scale) == (10, 3, None)
    assert (code.charset, code.collation, code.length, code.required) == ("latin1", "latin1_german1_ci", 4, False)
    assert (table.column("at").scale, table.column("flags").length, table.column("raw").length) == (3, 12, 9)
    assert table.column("id").unsigned
    assert not table.column("id").required
    assert [column.name for column in table.columns if column.generated] == ["twice"]
    assert [column.name for column in table.columns if column.invisible] == ["hidden"]
    assert table.column("e").sql_type == "enum('a','b%')"


def test_description_of_keys(database: MySQLDatabase) -> None:
    """Keys, triggers and foreign keys both ways are told; a key over prefixes is not taken for one over columns."""
    run(
        database,
        "CREATE TABLE parent (a INT, b INT, t TEXT, n INT, PRIMARY KEY (b, a), UNIQUE u (n), UNIQUE p (t(5)))",
        "CREATE TABLE child (id INT PRIMARY KEY, b INT, a INT, FOREIGN KEY f (b, a) REFERENCES parent (b, a))",
        "CREATE TABLE lonely (id INT, PRIMARY KEY (id))",
        "CREATE TRIGGER watch BEFORE INSERT ON lonely FOR EACH ROW SET NEW.id = NEW.id",
    )
    with database.connect() as connection:
        parent, child, lonely = (database.describe(connection, name) for name in ("parent", "child", "lonely"))
    assert parent.primary_key == ("b", "a")
    assert [(key.name, key.columns) for key in parent.unique_keys] == [("u", ("n",))]
    assert (parent.foreign_keys, child.foreign_keys, lonely.foreign_keys) == (True, True, False)
    assert (parent.triggers, lonely.triggers) == ((), ("watch",))


def test_names_with_dots(database: MySQLDatabase) -> None:
    """A name is taken as it stands first, and then as database and table."""
    name = str(database.engine.url.database)
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY)",
        f"CREATE TABLE `{name}.t` (other INT PRIMARY KEY)",
        "CREATE TABLE `%%s` (a INT)",
    )
    with database.connect() as connection:
        assert database.describe(connection, f"{name}.t").primary_key == ("other",)
        connection.exec_driver_sql(f"DROP TABLE `{name}.t`")
        table = database.describe(connection, f"{name}.t")
        assert (table.schema, table.name, table.primary_key) == (name, "t", ("id",))
        assert database.describe(connection, "%s").columns[0].name == "a"


def test_what_is_no_table_is_refused(database: MySQLDatabase) -> None:
    """A view and a missing table are errors that say which they are."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t")
    with database.connect() as connection:
        with pytest.raises(TableError, match="'v' is not a table but a view"):
            database.describe(connection, "v")
        with pytest.raises(MissingTableError, match=r"no table 'nowhere\.t'"):
            database.describe(connection, "nowhere.t")


def test_list_of_tables(database: MySQLDatabase) -> None:
    """Tables are listed by name, without views and staging tables."""
    run(
        database,
        "CREATE TABLE b (id INT PRIMARY KEY)",
        "CREATE TABLE a (id INT PRIMARY KEY)",
        "CREATE TABLE _sync_1 (id INT PRIMARY KEY)",
        "CREATE VIEW v AS SELECT * FROM a",
    )
    with database.connect() as connection:
        assert database.list_tables(connection) == ["a", "b"]


# -- reading ---------------------------------------------------------------------------------------------------------


def test_reading_may_stop_early(database: MySQLDatabase) -> None:
    """Whoever stops after the first batch waits for no other, and goes on in the same snapshot."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, pad CHAR(200))", "INSERT INTO t (pad) VALUES ('x')")
    run(database, *["INSERT INTO t (pad) SELECT pad FROM t"] * 15)
    with database.snapshot() as connection:
        table = database.describe(connection, "t")
        batches = database.read(connection, table, table.columns, order_by=["id"])
        assert len(next(batches)) == 5000
        batches.close()  # type: ignore[attr-defined]
        run(database, "DELETE FROM t")
        assert database.count(connection, table) == 2**15


def test_reading_in_key_order_of_odd_names(database: MySQLDatabase) -> None:
    """Names with quotes and percent signs are read, and an order means the column, not what is selected under its name."""
    run(
        database,
        "CREATE TABLE `100%%` (`a``b` DECIMAL(3,0) PRIMARY KEY, `%%s` INT)",
        "INSERT INTO `100%%` VALUES (10, 1), (9, 2)",
    )
    with database.snapshot() as connection:
        table = database.describe(connection, "100%")
        assert list(database.read(connection, table, table.columns, order_by=["a`b"])) == [[("9", 2), ("10", 1)]]


def test_text_that_is_not_utf8_is_refused(mariadb: MySQLDatabase) -> None:
    """Half a surrogate pair, which MariaDB stores as text, is an error that names the table and the columns."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a TEXT) CHARACTER SET utf8mb4",
        "INSERT INTO t VALUES (1, _utf8mb4 x'eda080')",
    )
    with mariadb.snapshot() as connection:
        table = mariadb.describe(connection, "t")
        with pytest.raises(TableError, match=r"'t' has text with the bytes ed.* columns 'a'"):
            list(mariadb.read(connection, table, table.columns))


@pytest.mark.parametrize("value", ["ff", "c3", "eda080", "f4908080", "c080", "e29c93c3"])
def test_bytes_that_are_not_utf8_are_found(database: MySQLDatabase, value: str) -> None:
    """Bytes that JSON cannot carry are found wherever they are, half a surrogate pair included."""
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY, a BLOB, b VARBINARY(9), c TEXT)",
        "INSERT INTO t VALUES (1, 'plain', NULL, 'x'), (2, x'e29c93', '', 'y')",
    )
    with database.snapshot() as connection:
        table = database.describe(connection, "t")
        assert database.find_unsendable(connection, table, table.columns) is None
    run(database, f"INSERT INTO t VALUES (3, 'plain', x'{value}', 'z')")
    with database.snapshot() as connection:
        found = database.find_unsendable(connection, table, table.columns)
        assert found is not None
        assert found.name == "b"
        assert database.find_unsendable(connection, table, [table.column("id"), table.column("a")]) is None


# -- the hash --------------------------------------------------------------------------------------------------------


def test_a_row_too_large_for_the_server_is_hashed_from_the_stream(mariadb: MySQLDatabase) -> None:
    """Where one row does not fit into the server's packets, the hash is still that of all rows."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a LONGTEXT, b LONGTEXT)",
        "INSERT INTO t VALUES (1, 'x', 'y'), (2, REPEAT('a', 9000000), REPEAT('b', 9000000)), (3, 'x', NULL)",
    )
    expected = ""
    for row in (b"1|x|y", b"2|" + b"a" * 9000000 + b"|" + b"b" * 9000000, b"3|x|" + NULL):
        expected = sha1(expected.encode() + b"|" + row).hexdigest()
    with mariadb.snapshot() as connection:
        table = mariadb.describe(connection, "t")
        assert mariadb.hash_in_database(connection, table, table.columns) is None
        assert hash_table(mariadb, connection, table) == expected


def test_partitioned_table_is_hashed_in_key_order(mariadb: MySQLDatabase) -> None:
    """Partitions do not show in the hash."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a FLOAT(5,2), b BIT(3)) PARTITION BY HASH (id) PARTITIONS 3",
        "CREATE TABLE plain (id INT PRIMARY KEY, a FLOAT(5,2), b BIT(3))",
        "INSERT INTO t VALUES (5, 1, 1), (3, 2.5, 2), (4, NULL, 3), (1, 4, 4), (2, 5, 5)",
        "INSERT INTO plain SELECT * FROM t",
    )
    with mariadb.snapshot() as connection:
        partitioned, plain = mariadb.describe(connection, "t"), mariadb.describe(connection, "plain")
        inside = mariadb.hash_in_database(connection, partitioned, partitioned.columns)
        assert inside == mariadb.hash_in_database(connection, plain, plain.columns)
        columns = [column.name for column in partitioned.columns]
        batches = mariadb.read(connection, partitioned, partitioned.columns, order_by=mariadb.hash_order(partitioned))
        assert [row[0] for batch in batches for row in batch] == [1, 2, 3, 4, 5]
        assert columns == ["id", "a", "b"]


def test_mixed_character_sets_are_hashed_as_utf8(mariadb: MySQLDatabase) -> None:
    """Columns of different character sets go into the hash in one, also utf16, which MariaDB would not mix with another."""
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
        table = mariadb.describe(connection, "t")
        assert mariadb.hash_in_database(connection, table, table.columns) == expected
        mariadb._sha1 = False
        assert hash_table(mariadb, connection, table) == expected


@pytest.mark.parametrize("charset", ["latin1", "utf16", "cp1251", "koi8r", "sjis", "utf8mb3", "gbk", "latin2", "ucs2", "utf32"])
def test_text_beside_binary_is_hashed_as_it_is_stored(mariadb: MySQLDatabase, charset: str) -> None:
    """Beside a binary column, text goes into the hash with the bytes of its own character set, from the stream as well."""
    letters = {"cp1251": "жЯ", "koi8r": "жЯ", "sjis": "ソ日", "gbk": "中", "latin2": "őł"}.get(charset, "éü")
    run(
        mariadb,
        f"CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9), e ENUM('{letters}'), b BLOB) CHARACTER SET {charset}",
        f"INSERT INTO t VALUES (1, '{letters}', '{letters}', x'ff00'), (2, '', NULL, '')",
    )
    with mariadb.snapshot() as connection:
        table = mariadb.describe(connection, "t")
        inside = hash_table(mariadb, connection, table)
        mariadb._sha1 = False
        assert mariadb.hash_in_database(connection, table, table.columns) is None
        assert hash_table(mariadb, connection, table) == inside


def test_scan_order_of_other_storage_engines_is_one_order(mariadb: MySQLDatabase) -> None:
    """A MyISAM table hashes alike inside and outside, also when a second index has all of its columns."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a INT, KEY (a, id)) ENGINE=MyISAM",
        "INSERT INTO t VALUES (5, 1), (3, 9), (4, 3), (1, 4), (2, 5)",
    )
    with mariadb.snapshot() as connection:
        table = mariadb.describe(connection, "t")
        inside = hash_table(mariadb, connection, table)
        mariadb._sha1 = False
        assert hash_table(mariadb, connection, table) == inside


def test_table_without_primary_key_has_no_hash(database: MySQLDatabase) -> None:
    """A table without a primary key is refused with what to do."""
    run(database, "CREATE TABLE t (id INT, UNIQUE (id))")
    with database.snapshot() as connection:
        table = database.describe(connection, "t")
        with pytest.raises(TableError, match="'t' has no primary key"):
            hash_table(database, connection, table)


# -- merging ---------------------------------------------------------------------------------------------------------


def test_foreign_key_checks_come_back(database: MySQLDatabase) -> None:
    """Foreign-key checks are off within the block, and afterwards what they were before, also after an error."""
    with database.connect() as connection:
        for before in (1, 0):
            connection.exec_driver_sql(f"SET SESSION foreign_key_checks = {before}")
            with pytest.raises(KeyError), database.foreign_keys_off(connection, []):  # noqa: PT012
                assert connection.exec_driver_sql("SELECT @@foreign_key_checks").scalar_one() == 0
                raise KeyError
            assert connection.exec_driver_sql("SELECT @@foreign_key_checks").scalar_one() == before


def test_orphans_are_counted_both_ways(database: MySQLDatabase) -> None:
    """Rows without a parent are counted per constraint, of the table and of those that refer to it; NULL refers to nothing."""
    run(
        database,
        "CREATE TABLE parent (a INT, b INT, up INT, PRIMARY KEY (a, b), UNIQUE (b), KEY (up),"
        " CONSTRAINT self FOREIGN KEY (up) REFERENCES parent (b))",
        "CREATE TABLE child (id INT PRIMARY KEY, a INT, b INT, CONSTRAINT pair FOREIGN KEY (a, b) REFERENCES parent (a, b))",
    )
    with database.connect() as connection:
        with database.foreign_keys_off(connection, []):
            connection.exec_driver_sql("INSERT INTO parent VALUES (1, 1, NULL), (2, 2, 1), (3, 3, 9)")
            connection.exec_driver_sql("INSERT INTO child VALUES (1, 1, 1), (2, 1, 2), (3, NULL, 7), (4, 8, 8)")
        parent, child = database.describe(connection, "parent"), database.describe(connection, "child")
        assert database.count_orphans(connection, parent) == {"parent.self": 1, "child.pair": 2}
        assert database.count_orphans(connection, child) == {"child.pair": 2}


def test_listed_changes_are_made_by_bytes(database: MySQLDatabase) -> None:
    """Listed rows, and no others, are deleted, updated and inserted, though the collation calls their keys equal."""
    run(
        database,
        "CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, v TEXT, j JSON) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
        "INSERT INTO t VALUES ('a', 'old', '1'), ('b', 'keep', '2'), ('c', 'x', '3'), ('d', 'x ', '4')",
    )
    with database.connect() as connection:
        table = database.describe(connection, "t")
        key = [table.column("k")]
        staging = database.create_staging(connection, table, table.columns, name="_sync_s", primary_key=["k"])
        database.load(connection, staging, [[("A", "new", "1"), ("b", "keep", "2"), ("c", "X", "3"), ("d", "x", "4")]])
        work = database.create_work_table(connection, table, ["k"], name="_sync_w")
        differs = " OR ".join(f"NOT ({database.same(table.column(name), 't', 's')})" for name in ("v", "j"))
        join = f"FROM t AS t JOIN _sync_s AS s ON {database.match(key, 't', 's')}"
        connection.exec_driver_sql(f"INSERT INTO _sync_w SELECT 'U', s.k {join} WHERE {differs}")
        missing = "FROM {} AS {} LEFT JOIN {} AS {} ON {} WHERE {}.k IS NULL"
        for op, here, there in (("D", ("t", "t"), ("_sync_s", "s")), ("I", ("_sync_s", "s"), ("t", "t"))):
            found = missing.format(*here, *there, database.match(key, "t", "s"), there[1])
            connection.exec_driver_sql(f"INSERT INTO _sync_w SELECT '{op}', {here[1]}.k {found}")
        listed = connection.exec_driver_sql("SELECT op, k FROM _sync_w ORDER BY op, k").fetchall()
        assert [tuple(row) for row in listed] == [("D", "a"), ("I", "A"), ("U", "c"), ("U", "d")]
        with database.transaction(connection):
            counts = [
                connection.exec_driver_sql(statement).rowcount
                for statement in (
                    database.delete_listed(table, work, key),
                    database.update_listed(table, staging, work, key, ["v", "j"]),
                    database.insert_listed(table, staging, work, key, ["k", "v", "j"]),
                )
            ]
        assert counts == [1, 2, 1]
        database.drop(connection, work)
        database.drop(connection, staging)
        assert database.list_tables(connection) == ["t"]
    assert rows(database, "SELECT k, v FROM t ORDER BY k") == [("A", "new"), ("b", "keep"), ("c", "X"), ("d", "x")]


def test_lookups_by_text_use_the_index(database: MySQLDatabase) -> None:
    """A key of text is looked up through its index, although it is compared by its bytes."""
    run(database, "CREATE TABLE t (k VARCHAR(20) PRIMARY KEY, v INT) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    with database.connect() as connection:
        table = database.describe(connection, "t")
        batch = [(f"key {number}", number) for number in range(2000)]
        database.load(connection, table, [batch])
        work = database.create_work_table(connection, table, ["k"], name="_sync_w")
        database.load(connection, work, [[("D", key) for key, _ in islice(batch, 10)]])
        plan = connection.exec_driver_sql(
            f"EXPLAIN FORMAT=TRADITIONAL {database.delete_listed(table, work, [table.column('k')])}"
        ).mappings()
        access = {row["table"]: row["key"] for row in plan}
    assert access["t"] == "PRIMARY"
