"""What is MySQL's and MariaDB's own about connections and merging: sessions, snapshots, errors, locks, statements."""

from __future__ import annotations

from itertools import islice

import pytest
from sqlalchemy import create_engine

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.listed_changes import ListedChanges, ListedRows
from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.databases.schema import OP
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    TableBusyError,
    TableError,
    TransportError,
)
from tests.databases.limited_user import user_with
from tests.databases.mysql.databases import rows, run
from tests.scenario import Scenario, layout_of

# -- connections -------------------------------------------------------------------------------------------------------


def test_zero_dates_are_read(database: MySQLDatabase) -> None:
    """Zero dates from before strict mode are read unchanged."""
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY, d DATE, at DATETIME(3))",
        "INSERT INTO t VALUES (1, '0000-00-00', '2024-00-00')",
    )
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        assert list(database.reader.read(connection, table, table.columns)) == [[(1, "0000-00-00", "2024-00-00 00:00:00.000")]]


@pytest.mark.parametrize("sql_type", ["DATE", "DATETIME", "TIMESTAMP", "TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"])
def test_zero_dates_are_keys(database: MySQLDatabase, sql_type: str) -> None:
    """A key of zeros, for which IS NULL is true, is a normal key."""
    run(database, f"CREATE TABLE t (d {sql_type} NOT NULL PRIMARY KEY, v INT)")
    on = Scenario(database)
    zero = "0000-00-00" if sql_type == "DATE" else "0000-00-00 00:00:00"
    on.sync("t", [(zero, 1)])

    assert on.sync("t", [(zero, 1)]).counts.changes == 0
    assert on.sync("t", [(zero, 2)]).counts.updated == 1
    assert on.sync("t", []).counts.deleted == 1


def test_instants_are_read_in_utc(database: MySQLDatabase) -> None:
    """A TIMESTAMP is read in UTC, whatever time zone wrote it."""
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP NULL)",
        "SET time_zone = '+05:00'",
        "INSERT INTO t VALUES (1, '2024-07-01 12:00:00')",
    )
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        assert list(database.reader.read(connection, table, table.columns)) == [[(1, "2024-07-01 07:00:00")]]


def test_snapshot_sees_one_state(database: MySQLDatabase) -> None:
    """A snapshot does not show later commits, and cannot write."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with database.snapshot() as connection:
        run(database, "INSERT INTO t VALUES (2)")
        table = database.catalog.describe(connection, "t")
        assert database.reader.count(connection, table) == 1
        with pytest.raises(TableError, match="READ ONLY"), database.translate_errors():
            connection.exec_driver_sql("INSERT INTO t VALUES (3)")
    assert rows(database, "SELECT id FROM t") == [(1,), (2,)]


def test_failed_transaction_leaves_nothing(database: MySQLDatabase) -> None:
    """A transaction that ends in any exception is rolled back."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
    with database.connect() as connection:
        with pytest.raises(KeyboardInterrupt), database.transaction(connection):  # noqa: PT012
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
            raise KeyboardInterrupt
        with database.transaction(connection):
            connection.exec_driver_sql("INSERT INTO t VALUES (2)")
    assert rows(database, "SELECT id FROM t") == [(2,)]


def test_writing_reads_committed_rows(database: MySQLDatabase) -> None:
    """A writing transaction sees other sessions' commits, so it locks only the rows that it changes."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
    with database.connect() as connection, database.transaction(connection):
        table = database.catalog.describe(connection, "t")
        assert database.reader.count(connection, table) == 0
        run(database, "INSERT INTO t VALUES (1)")
        assert database.reader.count(connection, table) == 1


def test_duplicate_key_is_not_retryable(database: MySQLDatabase) -> None:
    """A constraint violation is an error of the table, with the server's text and without the statement."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY, secret VARCHAR(9))", "INSERT INTO t VALUES (1, 'a')")
    with pytest.raises(TableError, match="Duplicate entry '1'") as raised:
        run(database, "INSERT INTO t VALUES (1, 'hidden')")
    assert not raised.value.retryable
    assert "hidden" not in str(raised.value)


def test_locked_row_is_retryable(database: MySQLDatabase) -> None:
    """A locked row is a transient error of the table."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with database.connect() as connection, database.transaction(connection):
        connection.exec_driver_sql("DELETE FROM t")
        with pytest.raises(TableBusyError) as raised:
            rows(database, "SELECT id FROM t FOR UPDATE NOWAIT")
    assert raised.value.retryable


@pytest.mark.parametrize("variable", ["lock_wait_timeout", "innodb_lock_wait_timeout"])
def test_waits_for_locks_have_an_end(database: MySQLDatabase, variable: str) -> None:
    """A server's lock timeout of a year is shortened for a sync; a shorter one is kept."""
    for given, expected in ((31536000, 300), (3, 3)):
        url = database.engine.url.update_query_dict({"init_command": f"SET SESSION {variable} = {given}"})
        engine = open_engine(url.render_as_string(hide_password=False))
        assert rows(MySQLDatabase(engine), f"SELECT @@SESSION.{variable}") == [(expected,)]


def test_lost_connection_is_retryable(database: MySQLDatabase) -> None:
    """A lost connection is a transport error."""
    with pytest.raises(TransportError) as raised, database.connect() as connection:  # noqa: PT012
        number = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
        run(database, f"KILL CONNECTION {number}")
        connection.exec_driver_sql("SELECT 1")
    assert raised.value.retryable


def test_absent_server_is_retryable() -> None:
    """A server that does not answer is a transport error."""
    with pytest.raises(TransportError):
        run(MySQLDatabase(open_engine("mysql+mysqldb://sync@127.0.0.1:1/shop")), "SELECT 1")


def test_other_drivers_are_refused() -> None:
    """An unknown driver is an error that names the supported ones."""
    engine = create_engine("mysql+mysqlconnector://sync@127.0.0.1:1/shop")
    with pytest.raises(ConfigurationError, match=r"'mysqlconnector' is not supported\. Use mysqlclient"):
        MySQLDatabase(engine)


def test_missing_privilege_names_what_to_do(database: MySQLDatabase) -> None:
    """A missing privilege is a permanent error that says so."""
    name = f"u{abs(hash(database.engine.url.database)) % 10**8}"
    run(database, f"CREATE USER '{name}'@'%' IDENTIFIED BY 'x'", f"CREATE USER '{name}'@'localhost' IDENTIFIED BY 'x'")
    try:
        url = database.engine.url.set(username=name, password="x").render_as_string(hide_password=False)
        with pytest.raises(TableError, match=r"Access denied.* Grant it") as raised:
            run(MySQLDatabase(open_engine(url)), "SELECT 1")
        assert not raised.value.retryable
    finally:
        run(database, f"DROP USER '{name}'@'%'", f"DROP USER '{name}'@'localhost'")


def test_no_column_that_the_user_sees(database: MySQLDatabase) -> None:
    """If a user sees a table only for its triggers, the error names the missing privilege."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)")
    with user_with(database.engine.url.render_as_string(hide_password=False), "TRIGGER") as url:
        limited = MySQLDatabase(open_engine(url))
        with limited.connect() as connection, pytest.raises(TableError, match=r"no column of table 't'\. Grant it SELECT"):
            limited.catalog.describe(connection, "t")


def test_two_syncs_of_a_table_exclude_each_other(database: MySQLDatabase) -> None:
    """A second sync of a table fails in time, other tables do not wait, and the lock ends with its block."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE other (id INT PRIMARY KEY)")
    with database.connect() as connection:
        table, other = database.catalog.describe(connection, "t"), database.catalog.describe(connection, "other")
        qualified = database.catalog.describe(connection, f"{database.engine.url.database}.t")
    with database.exclusive([str(table)], timeout=5):
        with database.exclusive([str(other)], timeout=0):
            pass
        with pytest.raises(TableBusyError, match="'t'"), database.exclusive([str(table)], timeout=0):
            pytest.fail("both hold the lock")
        with pytest.raises(TableBusyError), database.exclusive([str(qualified)], timeout=0):
            pytest.fail("the same table under two names")
    with database.exclusive([str(table)], timeout=0):
        pass


# -- merging -----------------------------------------------------------------------------------------------------------


def test_foreign_key_checks_come_back(database: MySQLDatabase) -> None:
    """Foreign-key checks are off within the block, and as before after it, also after an error."""
    with database.connect() as connection:
        for before in (1, 0):
            connection.exec_driver_sql(f"SET SESSION foreign_key_checks = {before}")
            with pytest.raises(KeyError), database.foreign_keys.switched_off(connection, []):  # noqa: PT012
                assert connection.exec_driver_sql("SELECT @@foreign_key_checks").scalar_one() == 0
                raise KeyError
            assert connection.exec_driver_sql("SELECT @@foreign_key_checks").scalar_one() == before


def test_orphans_are_counted_both_ways(database: MySQLDatabase) -> None:
    """Rows without a parent are counted for each constraint in both directions; NULL refers to nothing."""
    run(
        database,
        "CREATE TABLE parent (a INT, b INT, up INT, PRIMARY KEY (a, b), UNIQUE (b), KEY (up),"
        " CONSTRAINT self FOREIGN KEY (up) REFERENCES parent (b))",
        "CREATE TABLE child (id INT PRIMARY KEY, a INT, b INT, CONSTRAINT pair FOREIGN KEY (a, b) REFERENCES parent (a, b))",
    )
    with database.connect() as connection:
        with database.foreign_keys.switched_off(connection, []):
            connection.exec_driver_sql("INSERT INTO parent VALUES (1, 1, NULL), (2, 2, 1), (3, 3, 9)")
            connection.exec_driver_sql("INSERT INTO child VALUES (1, 1, 1), (2, 1, 2), (3, NULL, 7), (4, 8, 8)")
        parent, child = database.catalog.describe(connection, "parent"), database.catalog.describe(connection, "child")
        assert database.foreign_keys.count_orphans(connection, parent) == {"parent.self": 1, "child.pair": 2}
        assert database.foreign_keys.count_orphans(connection, child) == {"child.pair": 2}


def test_listed_changes_are_made_by_bytes(database: MySQLDatabase) -> None:
    """Only listed rows are deleted, updated and inserted, although the collation considers their keys equal."""
    run(
        database,
        "CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, v TEXT, j JSON) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
        "INSERT INTO t VALUES ('a', 'old', '1'), ('b', 'keep', '2'), ('c', 'x', '3'), ('d', 'x ', '4')",
    )
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
        key = [table.column("k")]
        staging = database.ddl.create_staging(connection, layout_of(table), name="_sync_s")
        database.loader.load(connection, staging, [[("A", "new", "1"), ("b", "keep", "2"), ("c", "X", "3"), ("d", "x", "4")]])
        work = database.ddl.create_work_table(connection, table, ["k"], name="_sync_w")
        differs = " OR ".join(f"NOT ({database.statements.same(table.column(name), 't', 's')})" for name in ("v", "j"))
        join = f"FROM t AS t JOIN _sync_s AS s ON {database.statements.match(key, 't', 's')}"
        connection.exec_driver_sql(f"INSERT INTO _sync_w SELECT 'U', s.k {join} WHERE {differs}")
        missing = "FROM {} AS {} LEFT JOIN {} AS {} ON {} WHERE {}.k IS NULL"
        for op, here, there in (("D", ("t", "t"), ("_sync_s", "s")), ("I", ("_sync_s", "s"), ("t", "t"))):
            found = missing.format(*here, *there, database.statements.match(key, "t", "s"), there[1])
            connection.exec_driver_sql(f"INSERT INTO _sync_w SELECT '{op}', {here[1]}.k {found}")
        listed = connection.exec_driver_sql(f"SELECT {OP}, k FROM _sync_w ORDER BY {OP}, k").fetchall()
        assert [tuple(row) for row in listed] == [("D", "a"), ("I", "A"), ("U", "c"), ("U", "d")]
        changes = ListedChanges(
            target=table,
            staging=staging,
            work=work,
            key=tuple(key),
            staged=(),
            written=(),
            inserted=1,
            deleted=1,
            updated=2,
            renamed=0,
        )
        with database.transaction(connection):
            counts = [
                connection.exec_driver_sql(statement).rowcount
                for statement in (
                    database.statements.delete_listed(changes),
                    database.statements.update_listed(changes, ["v", "j"]),
                    database.statements.insert_listed(changes, ["k", "v", "j"]),
                )
            ]
        assert counts == [1, 2, 1]
        database.ddl.drop(connection, work)
        database.ddl.drop(connection, staging)
        assert database.catalog.list_tables(connection) == ["t"]
    assert rows(database, "SELECT k, v FROM t ORDER BY k") == [("A", "new"), ("b", "keep"), ("c", "X"), ("d", "x")]


def test_lookups_by_text_use_the_index(database: MySQLDatabase) -> None:
    """A text key is looked up by its index, although it is compared by bytes."""
    run(database, "CREATE TABLE t (k VARCHAR(20) PRIMARY KEY, v INT) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
        batch = [(f"key {number}", number) for number in range(2000)]
        database.loader.load(connection, table, [batch])
        work = database.ddl.create_work_table(connection, table, ["k"], name="_sync_w")
        database.loader.load(connection, work, [[("D", key) for key, _ in islice(batch, 10)]])
        listed = ListedRows(target=table, work=work, key=(table.column("k"),))
        plan = connection.exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {database.statements.delete_listed(listed)}").mappings()
        access = {row["table"]: row["key"] for row in plan}
    assert access["t"] == "PRIMARY"
