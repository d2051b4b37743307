"""PostgreSQL: sessions, transactions, locks, and how tables are described."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, create_engine, create_mock_engine
from sqlalchemy.engine import make_url

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.databases.schema import Kind, UniqueKey
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    MissingTableError,
    TableBusyError,
    TableError,
    TransportError,
)
from tests.databases.postgresql.databases import rows, run

# -- connections -------------------------------------------------------------------------------------------------------


def test_other_drivers_are_refused() -> None:
    """An unsupported driver is refused with the two that work."""
    engine = create_mock_engine("postgresql+pg8000://", lambda *_: None)
    with pytest.raises(ConfigurationError, match=r"'pg8000' is not supported. Use postgresql\+psycopg"):
        PostgreSQLDatabase(engine)  # type: ignore[arg-type]  # all of an engine that is looked at


def test_what_keeps_a_connection_from_being_made_is_told_apart(database: PostgreSQLDatabase, shared_url: str) -> None:
    """No free connection is transient; a missing role or database is permanent. Neither is reported as a server that is down."""
    run(database, "DROP ROLE IF EXISTS crowded", "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    url = make_url(shared_url).set(drivername=database.engine.url.drivername)
    tries = [
        (url.set(username="crowded"), TransportError, "no connection left.*limit of its role"),
        (url.set(username="nobody_at_all"), TableError, 'refused the connection.*role "nobody_at_all" does not exist'),
        (url.set(database="nothing_at_all"), TableError, 'refused the connection.*database "nothing_at_all" does not exist'),
    ]
    for wrong, kind, message in tries:
        other = PostgreSQLDatabase(create_engine(wrong))
        with pytest.raises((TransportError, TableError), match=message) as raised, other.connect():
            pass
        assert isinstance(raised.value, kind)
        assert "Is it running" not in str(raised.value)
        other.engine.dispose()
    run(database, "DROP ROLE crowded")


def test_session_is_the_same_whatever_the_role_has_set(database: PostgreSQLDatabase) -> None:
    """Time zone, styles and limits of a role or database do not change a sync."""
    name = database.engine.url.database
    run(
        database,
        f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'",
        f"ALTER DATABASE {name} SET datestyle = 'German'",
        f"ALTER DATABASE {name} SET statement_timeout = 1000",
        f"ALTER DATABASE {name} SET extra_float_digits = -3",
        f"ALTER DATABASE {name} SET search_path = other, public",
    )
    database.engine.dispose()
    found = rows(
        database,
        "SELECT current_setting('timezone'), current_setting('statement_timeout'), current_setting('search_path'),"
        " ('1999-12-31 12:00:00Z'::timestamptz)::text, (0.1::float8 + 0.2)::text",
    )
    assert found == [("UTC", "0", "other, public", "1999-12-31 12:00:00+00", "0.30000000000000004")]


def test_snapshot_sees_one_state(database: PostgreSQLDatabase) -> None:
    """A snapshot does not show later commits, and cannot write."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        assert database.reader.count(connection, table) == 1
        run(database, "INSERT INTO t VALUES (2)")
        assert database.reader.count(connection, table) == 1
    with pytest.raises(TableError, match="read-only transaction"), database.snapshot() as connection:
        connection.exec_driver_sql("DELETE FROM t")
    assert rows(database, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_transaction_is_rolled_back_on_any_exception(database: PostgreSQLDatabase) -> None:
    """After any exception, a transaction is rolled back, and the connection can be used."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)")
    with database.connect() as connection:
        with pytest.raises(KeyboardInterrupt), database.transaction(connection):
            _insert_and_interrupt(connection)
        with pytest.raises(TableError, match="duplicate key"), database.transaction(connection):
            connection.exec_driver_sql("INSERT INTO t VALUES (2), (2)")
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar_one() == 0
        with database.transaction(connection):
            connection.exec_driver_sql("INSERT INTO t VALUES (3)")
    assert rows(database, "SELECT id FROM t") == [(3,)]


def _insert_and_interrupt(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    raise KeyboardInterrupt


def test_an_error_passed_over_does_not_look_like_a_commit(database: PostgreSQLDatabase) -> None:
    """A transaction with a failed statement ends in an error, although PostgreSQL's COMMIT would not."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)")
    with database.connect() as connection, pytest.raises(TableError, match="passed over"), database.transaction(connection):
        _fail_quietly(database, connection)
    assert rows(database, "SELECT id FROM t") == []


def _fail_quietly(database: PostgreSQLDatabase, connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    with pytest.raises(TableError), database.translate_errors():
        connection.exec_driver_sql("SELECT 1 / 0")


def test_deferrable_keys_are_checked_at_the_commit(database: PostgreSQLDatabase) -> None:
    """Values of a deferrable unique key can be swapped by simple updates."""
    run(
        database,
        "CREATE TABLE t (id integer PRIMARY KEY, code text UNIQUE DEFERRABLE)",
        "INSERT INTO t VALUES (1, 'A'), (2, 'B')",
    )
    with database.connect() as connection, database.transaction(connection):
        connection.exec_driver_sql("UPDATE t SET code = 'B' WHERE id = 1")
        connection.exec_driver_sql("UPDATE t SET code = 'A' WHERE id = 2")
    assert rows(database, "SELECT * FROM t ORDER BY id") == [(1, "B"), (2, "A")]


def test_lost_connection_is_retryable(database: PostgreSQLDatabase) -> None:
    """A session that the server ends is a transport error, in every block."""
    run(database, "CREATE TABLE p (id integer PRIMARY KEY)", "CREATE TABLE t (id integer PRIMARY KEY REFERENCES p)")
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
    with (
        pytest.raises(TransportError) as raised,
        database.exclusive([str(table)], timeout=5),
        database.connect() as connection,
        database.foreign_keys.switched_off(connection, [table]),
        database.transaction(connection),
    ):
        _end_session(database, connection)
    assert raised.value.retryable
    with database.exclusive([str(table)], timeout=60), database.connect() as connection:
        assert connection.exec_driver_sql("SHOW session_replication_role").scalar_one() == "origin"


def _end_session(database: PostgreSQLDatabase, connection: Connection) -> None:
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    assert rows(database, f"SELECT pg_terminate_backend({pid}, 60000)") == [(True,)]
    connection.exec_driver_sql("SELECT 1")


def test_no_server_is_a_transport_error(shared_url: str) -> None:
    """A database that does not answer is a transport error without the password."""
    url = make_url(shared_url).set(drivername="postgresql+psycopg", port=1, password="secret")
    engine = create_engine(url)
    with pytest.raises(TransportError) as raised, PostgreSQLDatabase(engine).connect():
        pass
    assert "secret" not in str(raised.value)


def test_lock_not_to_be_had_is_busy(database: PostgreSQLDatabase) -> None:
    """A row that another transaction locks ends in a transient error after the time limit."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with database.connect() as first, database.connect() as second:
        second.exec_driver_sql("SET lock_timeout = 50")
        with database.transaction(first):
            first.exec_driver_sql("DELETE FROM t")
            with pytest.raises(TableBusyError), database.transaction(second):
                second.exec_driver_sql("DELETE FROM t")


def test_exclusive_keeps_two_syncs_apart(database: PostgreSQLDatabase) -> None:
    """A second sync of a table fails clearly; other tables are free, and so is this one afterwards."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)", "CREATE TABLE u (id integer PRIMARY KEY)")
    with database.connect() as connection:
        table, qualified, other = (database.catalog.describe(connection, name) for name in ("t", "public.t", "u"))
    with database.exclusive([str(table)], timeout=5):
        busy = pytest.raises(TableBusyError, match=r"table 'public\.t' has been at work for more than 0\.1 seconds")
        with busy, database.exclusive([str(qualified)], timeout=0.1):
            pytest.fail("two hold one lock")
        with database.exclusive([str(other)], timeout=0):
            pass
    with database.exclusive([str(table)], timeout=0):
        pass


# -- describing --------------------------------------------------------------------------------------------------------


def test_describe_names_every_type(database: PostgreSQLDatabase) -> None:
    """Each PostgreSQL type has its logical kind, and a domain that of its base type."""
    run(
        database,
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE DOMAIN price AS numeric(12,2) NOT NULL",
        "CREATE DOMAIN discount AS price CHECK (VALUE < 10)",
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        """CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, flag boolean NOT NULL, small smallint DEFAULT 3,
           o oid, n numeric, n2 numeric(6,2), n3 numeric(3,-2), p discount, cash money, r real, d double precision, c char(5),
           v varchar(20), tx text, nm name, one "char", m mood, b bytea, b8 bit(8), b65 bit(65), vb varbit(5), dt date,
           tm time(3), ttz timetz, ts timestamp(0), tz timestamptz, iv interval, u uuid, j json, jb jsonb, ip inet,
           a integer[], loose text COLLATE loose, c_text text COLLATE "C",
           twice integer GENERATED ALWAYS AS (small * 2) STORED)""",
    )
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
    kinds = {column.name: (column.kind, column.precision, column.scale, column.length) for column in table.columns}
    assert kinds == {
        "id": (Kind.INTEGER, None, None, None),
        "flag": (Kind.BOOLEAN, None, None, None),
        "small": (Kind.INTEGER, None, None, None),
        "o": (Kind.INTEGER, None, None, None),
        "n": (Kind.DECIMAL, None, None, None),
        "n2": (Kind.DECIMAL, 6, 2, None),
        "n3": (Kind.DECIMAL, 3, -2, None),
        "p": (Kind.DECIMAL, 12, 2, None),
        "cash": (Kind.DECIMAL, None, 2, None),
        "r": (Kind.FLOAT, None, None, None),
        "d": (Kind.DOUBLE, None, None, None),
        "c": (Kind.CHAR, None, None, 5),
        "v": (Kind.TEXT, None, None, 20),
        "tx": (Kind.TEXT, None, None, None),
        "nm": (Kind.TEXT, None, None, 63),
        "one": (Kind.OTHER, None, None, 1),
        "m": (Kind.ENUM, None, None, None),
        "b": (Kind.BINARY, None, None, None),
        "b8": (Kind.BIT, None, None, 8),
        "b65": (Kind.OTHER, None, None, 65),
        "vb": (Kind.OTHER, None, None, None),
        "dt": (Kind.DATE, None, None, None),
        "tm": (Kind.TIME, None, 3, None),
        "ttz": (Kind.OTHER, None, None, None),
        "ts": (Kind.DATETIME, None, 0, None),
        "tz": (Kind.TIMESTAMP, None, 6, None),
        "iv": (Kind.OTHER, None, None, None),
        "u": (Kind.UUID, None, None, None),
        "j": (Kind.JSON, None, None, None),
        "jb": (Kind.JSON, None, None, None),
        "ip": (Kind.OTHER, None, None, None),
        "a": (Kind.OTHER, None, None, None),
        "loose": (Kind.OTHER, None, None, None),
        "c_text": (Kind.TEXT, None, None, None),
        "twice": (Kind.INTEGER, None, None, None),
    }
    assert (table.column("p").sql_type, table.column("p").is_domain) == ("numeric(12,2)", True)
    assert not table.column("p").nullable
    assert table.column("c_text").collation == 'pg_catalog."C"'
    assert table.column("tx").collation is None
    assert [column.name for column in table.columns if column.generated] == ["twice"]
    assert [column.name for column in table.columns if column.required] == ["flag", "p"]


def test_describe_keys_triggers_and_references(database: PostgreSQLDatabase) -> None:
    """Partial unique indexes are no keys; keys keep their order; internal triggers are no triggers."""
    run(
        database,
        "CREATE TABLE parent (id integer PRIMARY KEY)",
        """CREATE TABLE t (b integer, a integer, code text, lower_code text, extra integer REFERENCES parent, PRIMARY KEY (a, b),
           CONSTRAINT later UNIQUE (code) DEFERRABLE, UNIQUE NULLS NOT DISTINCT (extra, code))""",
        "CREATE UNIQUE INDEX partial ON t (code) WHERE extra > 0",
        "CREATE UNIQUE INDEX expression ON t (lower(lower_code))",
        "CREATE UNIQUE INDEX covering ON t (lower_code) INCLUDE (extra)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER audit BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )
    with database.connect() as connection:
        table, parent = database.catalog.describe(connection, "t"), database.catalog.describe(connection, "parent")
    assert table.primary_key == ("a", "b")
    assert table.unique_keys == (
        UniqueKey(name="covering", columns=("lower_code",)),
        UniqueKey(name="later", columns=("code",), deferrable=True),
        UniqueKey(name="t_extra_code_key", columns=("extra", "code"), nulls_distinct=False),
    )
    assert table.triggers == ("audit",)
    assert table.foreign_keys
    assert parent.foreign_keys
    assert parent.triggers == ()


def test_names_are_taken_as_written(database: PostgreSQLDatabase) -> None:
    """A name with a dot is first a table's name, then schema and table; case, quotes and percent signs count."""
    run(
        database,
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (id integer PRIMARY KEY)",
        'CREATE TABLE "shop.orders" (a integer PRIMARY KEY)',
        'CREATE TABLE shop."Odd ""100%s"" name" ("50%" integer PRIMARY KEY, "select" text, "ü:x" text)',
        "CREATE TABLE shop._sync_x (id integer)",
        "CREATE TABLE _sync_y (id integer)",
        "CREATE TABLE parts (id integer PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)",
    )
    with database.connect() as connection:
        assert database.catalog.describe(connection, "shop.orders").schema is None
        assert database.catalog.list_tables(connection) == ["parts", "shop.orders"]
        connection.exec_driver_sql('DROP TABLE "shop.orders"')
        assert database.catalog.describe(connection, "shop.orders").schema == "shop"
        odd = database.catalog.describe(connection, 'shop.Odd "100%s" name')
        assert database.loader.load(connection, odd, [[(1, "a", "b")]]) == 1
        assert list(database.reader.read(connection, odd, odd.columns, order_by=["50%"])) == [[(1, "a", "b")]]
        assert database.version1.find_unsendable(connection, odd, odd.columns) is None
        for name in ("Shop.orders", "orders", "", "nothing.there", "a\0b"):
            with pytest.raises(MissingTableError):
                database.catalog.describe(connection, name)


def test_long_name_is_not_another_table(database: PostgreSQLDatabase) -> None:
    """A name above 63 bytes does not find the table with the truncated name."""
    run(database, f"CREATE TABLE {'x' * 63} (id integer PRIMARY KEY)")
    with database.connect() as connection, pytest.raises(TableError, match="has 64 bytes"):
        database.catalog.describe(connection, "x" * 64)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("v", "is a view"), ("m", "is a materialized view"), ("s", "is a sequence"), ("parent", "has child tables")],
)
def test_what_is_not_a_table_is_refused(database: PostgreSQLDatabase, name: str, reason: str) -> None:
    """Views, sequences and inheritance parents are refused with their kind."""
    run(
        database,
        "CREATE VIEW v AS SELECT 1 AS id",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS id",
        "CREATE SEQUENCE s",
        "CREATE TABLE parent (id integer PRIMARY KEY)",
        "CREATE TABLE child () INHERITS (parent)",
    )
    with database.connect() as connection, pytest.raises(TableError, match=reason):
        database.catalog.describe(connection, name)


def test_table_without_primary_key_has_no_hash_order(database: PostgreSQLDatabase) -> None:
    """Without a primary key, the version 1 hash is refused, because its order is undefined."""
    run(database, "CREATE TABLE t (id integer)")
    with database.connect() as connection, pytest.raises(TableError, match="has no primary key"):
        database.version1.hash_order(database.catalog.describe(connection, "t"))
