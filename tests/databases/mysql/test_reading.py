"""What is read from MySQL and MariaDB: descriptions of tables, their rows, and bytes that cannot be sent."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from airflow_provider_sync.databases.schema import Kind
from airflow_provider_sync.exceptions import (
    MissingTableError,
    TableError,
)
from tests.databases.mysql.databases import run

# -- describing --------------------------------------------------------------------------------------------------------


def test_description_of_columns(database: MySQLDatabase) -> None:
    """Types, sizes, character sets, generated and invisible columns are described."""
    run(
        database,
        "CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT, z INT(5) ZEROFILL, price DECIMAL(12,2) NOT NULL,"
        " width DOUBLE(10,3), f FLOAT, code CHAR(4) CHARACTER SET latin1 COLLATE latin1_german1_ci NOT NULL DEFAULT 'x',"
        " note LONGTEXT, doc JSON, e ENUM('a','b%'), at TIMESTAMP(3) NULL, raw VARBINARY(9), flags BIT(12), spot POINT,"
        " twice INT AS (z * 2) VIRTUAL, hidden INT INVISIBLE) CHARACTER SET utf8mb4",
    )
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
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
    """Keys, triggers and foreign keys in both directions are described; a prefix key is not a key over columns."""
    run(
        database,
        "CREATE TABLE parent (a INT, b INT, t TEXT, n INT, PRIMARY KEY (b, a), UNIQUE u (n), UNIQUE p (t(5)))",
        "CREATE TABLE child (id INT PRIMARY KEY, b INT, a INT, FOREIGN KEY f (b, a) REFERENCES parent (b, a))",
        "CREATE TABLE lonely (id INT, PRIMARY KEY (id))",
        "CREATE TRIGGER watch BEFORE INSERT ON lonely FOR EACH ROW SET NEW.id = NEW.id",
    )
    with database.connect() as connection:
        parent, child, lonely = (database.catalog.describe(connection, name) for name in ("parent", "child", "lonely"))
    assert parent.primary_key == ("b", "a")
    assert [(key.name, key.columns) for key in parent.unique_keys] == [("u", ("n",))]
    assert (parent.foreign_keys, child.foreign_keys, lonely.foreign_keys) == (True, True, False)
    assert (parent.triggers, lonely.triggers) == ((), ("watch",))


def test_names_with_dots(database: MySQLDatabase) -> None:
    """A name is first a table's name, and then database and table."""
    name = str(database.engine.url.database)
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY)",
        f"CREATE TABLE `{name}.t` (other INT PRIMARY KEY)",
        "CREATE TABLE `%s` (a INT)",
    )
    with database.connect() as connection:
        assert database.catalog.describe(connection, f"{name}.t").primary_key == ("other",)
        connection.exec_driver_sql(f"DROP TABLE `{name}.t`")
        table = database.catalog.describe(connection, f"{name}.t")
        assert (table.schema, table.name, table.primary_key) == (name, "t", ("id",))
        assert database.catalog.describe(connection, "%s").columns[0].name == "a"


def test_what_is_no_table_is_refused(database: MySQLDatabase) -> None:
    """A view and a missing table are errors that say which they are."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t")
    with database.connect() as connection:
        with pytest.raises(TableError, match="'v' is not a table but a view"):
            database.catalog.describe(connection, "v")
        with pytest.raises(MissingTableError, match=r"no table 'nowhere\.t'"):
            database.catalog.describe(connection, "nowhere.t")


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
        assert database.catalog.list_tables(connection) == ["a", "b"]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_reading_may_stop_early(database: MySQLDatabase) -> None:
    """A reader can stop after the first batch and continue in the same snapshot."""
    run(database, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, pad CHAR(200))", "INSERT INTO t (pad) VALUES ('x')")
    run(database, *["INSERT INTO t (pad) SELECT pad FROM t"] * 15)
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        batches = database.reader.read(connection, table, table.columns, order_by=["id"])
        assert len(next(batches)) == 5000
        batches.close()  # type: ignore[attr-defined]
        run(database, "DELETE FROM t")
        assert database.reader.count(connection, table) == 2**15


def test_reading_in_key_order_of_odd_names(database: MySQLDatabase) -> None:
    """Names with quotes and percent signs are read, and an order uses the column."""
    run(
        database,
        "CREATE TABLE `100%` (`a``b` DECIMAL(3,0) PRIMARY KEY, `%s` INT)",
        "INSERT INTO `100%` VALUES (10, 1), (9, 2)",
    )
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "100%")
        assert list(database.reader.read(connection, table, table.columns, order_by=["a`b"])) == [[("9", 2), ("10", 1)]]


def test_text_that_is_not_utf8_is_refused(mariadb: MySQLDatabase) -> None:
    """Half a surrogate pair, which MariaDB stores, is an error that names the table and the columns."""
    run(
        mariadb,
        "CREATE TABLE t (id INT PRIMARY KEY, a TEXT) CHARACTER SET utf8mb4",
        "INSERT INTO t VALUES (1, _utf8mb4 x'eda080')",
    )
    with mariadb.snapshot() as connection:
        table = mariadb.catalog.describe(connection, "t")
        with pytest.raises(TableError, match=r"'t' has text with the bytes ed.* columns 'a'"):
            list(mariadb.reader.read(connection, table, table.columns))


@pytest.mark.parametrize("value", ["ff", "c3", "eda080", "f4908080", "c080", "e29c93c3"])
def test_bytes_that_are_not_utf8_are_found(database: MySQLDatabase, value: str) -> None:
    """Bytes that JSON cannot carry are found anywhere, including half a surrogate pair."""
    run(
        database,
        "CREATE TABLE t (id INT PRIMARY KEY, a BLOB, b VARBINARY(9), c TEXT)",
        "INSERT INTO t VALUES (1, 'plain', NULL, 'x'), (2, x'e29c93', '', 'y')",
    )
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        assert database.version1.find_unsendable(connection, table, table.columns) is None
    run(database, f"INSERT INTO t VALUES (3, 'plain', x'{value}', 'z')")
    with database.snapshot() as connection:
        found = database.version1.find_unsendable(connection, table, table.columns)
        assert found is not None
        assert found.name == "b"
        assert database.version1.find_unsendable(connection, table, [table.column("id"), table.column("a")]) is None
