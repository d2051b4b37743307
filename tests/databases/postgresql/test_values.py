"""PostgreSQL: values in and out, and every value that would be mangled refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sync.databases.contract.read import BATCH_ROWS
from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.databases.schema import Row, Table, Value
from airflow_provider_sync.exceptions import ProtocolError, TableError
from tests.databases.postgresql.databases import rows, run
from tests.scenario import layout_of


def described(database: PostgreSQLDatabase, name: str = "t") -> Table:
    """Describe a table over a connection of its own."""
    with database.connect() as connection:
        return database.catalog.describe(connection, name)


def load(database: PostgreSQLDatabase, *values: Row, name: str = "t") -> int:
    """Load rows straight into a table."""
    with database.connect() as connection:
        return database.loader.load(connection, database.catalog.describe(connection, name), [values])


def read(database: PostgreSQLDatabase, name: str = "t", order_by: tuple[str, ...] = ()) -> list[Row]:
    """Read a whole table."""
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, name)
        return [row for batch in database.reader.read(connection, table, table.columns, order_by=order_by) for row in batch]


# Type, what is stored, what is read; what is read can be loaded again.
_VALUES: list[tuple[str, str, Value]] = [
    ("boolean", "true", 1),
    ("boolean", "false", 0),
    ("smallint", "-32768", -32768),
    ("bigint", "9223372036854775807", 2**63 - 1),
    ("oid", "4294967295", 2**32 - 1),
    ("numeric(12,2)", "1.1", "1.10"),
    ("numeric", "1.10", "1.10"),
    ("numeric", "NaN", "NaN"),
    ("numeric", "1e40", "1" + "0" * 40),
    ("numeric(3,-2)", "12345", "12300"),
    ("money", "1234.5", "1234.50"),
    ("real", "16777217", 16777200.0),
    ("real", "0.1", 0.1),
    ("double precision", "0.30000000000000004", 0.30000000000000004),
    ("double precision", "5e-324", 5e-324),
    ("character(5)", "ab   ", "ab"),
    ("varchar(5)", "ab  ", "ab  "),
    ("text", "tab\tline\nreturn\r back\\slash \\N \\. ü📦", "tab\tline\nreturn\r back\\slash \\N \\. ü📦"),
    ("text", "", ""),
    ("text", "\\N", "\\N"),
    ("name", "x", "x"),
    ('"char"', "x", "x"),
    ("bytea", "\\x00ff5c780a", b"\x00\xff\\x\n"),
    ("bytea", "", b""),
    ("bit(1)", "1", 1),
    ("bit(9)", "100000001", 257),
    ("bit(64)", "1" * 64, 2**64 - 1),
    ("bit(70)", "1" * 70, "1" * 70),
    ("varbit(9)", "0010", "0010"),
    ("date", "2024-02-29", "2024-02-29"),
    ("date", "infinity", "infinity"),
    ("date", "0044-03-15 BC", "0044-03-15 BC"),
    ("date", "10000-01-01", "10000-01-01"),
    ("time", "23:59:59.5", "23:59:59.500000"),
    ("time(0)", "24:00:00", "24:00:00"),
    ("timetz", "10:00:00+02", "10:00:00+02"),
    ("timestamp", "2024-02-29 12:34:56", "2024-02-29 12:34:56.000000"),
    ("timestamp(3)", "2024-02-29 12:34:56.7", "2024-02-29 12:34:56.700"),
    ("timestamp(0)", "2024-02-29 12:34:56", "2024-02-29 12:34:56"),
    ("timestamp", "-infinity", "-infinity"),
    ("timestamp", "0044-03-15 01:02:03.5 BC", "0044-03-15 01:02:03.500000 BC"),
    ("timestamptz(0)", "2024-02-29 12:34:56+09", "2024-02-29 03:34:56"),
    ("timestamptz", "2024-02-29 12:34:56.1Z", "2024-02-29 12:34:56.100000"),
    ("interval", "1 day 838:59:59.5", "1 day 838:59:59.5"),
    ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("json", '{"b": 1,  "a": 2}', '{"b": 1,  "a": 2}'),
    ("jsonb", '{"b": 1,  "a": 2}', '{"a": 2, "b": 1}'),
    ("xml", "<a>1</a>", "<a>1</a>"),
    ("inet", "10.0.0.1", "10.0.0.1/32"),
    ("integer[]", "{1,NULL,3}", "{1,NULL,3}"),
    ("text[]", '{"a\\\\b","c d"}', '{"a\\\\b","c d"}'),
    ("int4range", "[1,5)", "[1,5)"),
    ("point", "(1,2)", "(1,2)"),
    ("mood", "happy", "happy"),
    ("price", "1.5", "1.50"),
    ("citext", "MiXed", "MiXed"),
]


def test_every_type_is_read_and_loaded_again(database: PostgreSQLDatabase) -> None:
    """Each type is read as the contract says, and reloads into a staging table with the same values."""
    run(
        database,
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE DOMAIN price AS numeric(12,2)",
        "CREATE EXTENSION citext",
    )
    columns = ", ".join(f'"c{place} %" {kind}' for place, (kind, _, _) in enumerate(_VALUES))
    run(database, f"CREATE TABLE t (id integer PRIMARY KEY, {columns})")
    with database.connect() as connection:
        literals = ", ".join(_literal(kind, stored) for kind, stored, _ in _VALUES)
        connection.exec_driver_sql(f"INSERT INTO t VALUES (1, {literals})")
        connection.exec_driver_sql("INSERT INTO t (id) VALUES (2)")
    found = read(database, order_by=("id",))
    assert dict(zip((f"{k} {v}" for k, v, _ in _VALUES), found[0][1:], strict=True)) == {
        f"{kind} {stored}": value for kind, stored, value in _VALUES
    }
    assert [type(value) for value in found[0][1:]] == [type(value) for _, _, value in _VALUES]
    assert found[1] == (2,) + (None,) * len(_VALUES)
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
        staging = database.ddl.create_staging(connection, layout_of(table), name="_sync_s")
        assert database.loader.load(connection, staging, [found[:1], [], found[1:]]) == 2
        same = " AND ".join(database.statements.same(column, "t", "s") for column in table.columns if column.name != "c11 %")
        assert connection.exec_driver_sql(f"SELECT count(*) FROM t JOIN _sync_s s USING (id) WHERE {same}").scalar_one() == 2
    assert read(database, "_sync_s", ("id",)) == found


def _literal(kind: str, stored: str) -> str:
    escaped = stored.replace("'", "''").replace("%", "%%")
    return f"'{escaped}'::{kind}"


# What would change silently, and how the message puts it.
_MANGLED: list[tuple[str, Value, str]] = [
    ("numeric(12,2)", "1.234", "more than 2 digits"),
    ("numeric(12,2)", 1.005, "more than 2 digits"),
    ("numeric(5,-2)", "12345", "more than -2 digits"),
    ("money", "1.005", "more than 2 digits"),
    ("timestamp(3)", "2024-01-01 00:00:00.1234", "not a value of this datetime"),
    ("timestamp", "2024-01-01 00:00:00.1234567", "not a value of this datetime"),
    ("timestamp", "2024-01-01 00:00:00+02", "not a value of this datetime"),
    ("timestamp", "2024-01-01 24:00:00", "not a value of this datetime"),
    ("timestamp", "2024-01-01 00:00:60", "not a value of this datetime"),
    ("timestamp", "now", "not a value of this datetime"),
    ("timestamptz(0)", "2024-01-01 00:00:00.5", "not a value of this timestamp"),
    ("date", "2024-01-01 10:00:00", "not a value of this date"),
    ("date", "today", "not a value of this date"),
    ("date", 20240101, "not a value of this date"),
    ("time(0)", "10:00:00.5", "not a value of this time"),
    ("time", "-10:00:00", "not a value of this time"),
    ("time", "838:59:59", "not a value of this time"),
    ("varchar(3)", "abc ", "longer than 3"),
    ("name", "x" * 64, "longer than 63"),
    ('"char"', "xy", "longer than 1"),
    ("text", "a\0b", "NUL character"),
    ("json", '{"a": "\0"}', "NUL character"),
    ("text", b"\xff", "not UTF-8"),
    ("double precision", 2**53 + 1, "not a number that a double holds"),
    ("double precision", "0.12345678901234567890", "not a number that a double holds"),
    ("real", 0.123456789, "more digits than a real holds"),
    ("real", 1e300, "more digits than a real holds"),
    ("integer", 1.5, "not an integer"),
    ("integer", "1_000", "not an integer"),
    ("boolean", 2, "neither 0 nor 1"),
    ("boolean", "yes", "neither 0 nor 1"),
    ("bytea", 5, "is not binary"),
    ("bit(8)", b"\x05", "not an integer"),
]

# What PostgreSQL refuses itself.
_REFUSED: list[tuple[str, Value, str]] = [
    ("date", "0000-00-00", "out of range"),
    ("date", "2024-02-30", "out of range"),
    ("timestamp", "0000-00-00 00:00:00", "out of range"),
    ("smallint", 40000, "out of range"),
    ("numeric(5,2)", "1234.56", "overflow"),
    ("varchar(3) NOT NULL", None, "the source has NULL"),
    ("character(3)", "abcd", "too long"),
    ("bit(8)", 256, "does not match type"),
    ("uuid", "x", "invalid input"),
    ("json", "{", "invalid input"),
    ("integer[]", "{", "malformed"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), _MANGLED + _REFUSED, ids=lambda value: str(value)[:30].replace("\0", "0"))
def test_a_value_that_would_change_is_refused(database: PostgreSQLDatabase, kind: str, value: Value, reason: str) -> None:
    """A value that the column would change is an error with table and column, and no loaded row stays."""
    run(database, f'CREATE TABLE t (id integer PRIMARY KEY, "v: 1" {kind}, tail text)')
    with pytest.raises(TableError, match=reason) as raised:
        load(database, (1, value, "secret"))
    assert "'t'" in str(raised.value)
    assert "v: 1" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not raised.value.retryable
    assert rows(database, "SELECT count(*) FROM t") == [(0,)]


def test_equal_forms_are_taken(database: PostgreSQLDatabase) -> None:
    """Values in other engines' notation that the column holds exactly are loaded."""
    run(
        database,
        """CREATE TABLE t (id integer, n numeric(12,2), d double precision, f real, b boolean, tx text, ts timestamp(0),
           dt date, tz timestamptz(0), iv interval, by bytea, n0 numeric(5,-2), bt bit(64), c char(3))""",
    )
    assert load(
        database,
        ("007", "00001.5000", 100, "0.5", "1", 5, "2024-01-01T00:00:00.000", "2024-01-01 00:00:00", "2024-01-01 02:00:00+02:00",
         "-838:59:59", "ü", "12300.0", "18446744073709551615", "a     "),
        (8.0, 1.5, "1e3", 7, 0, 1.5, "2024-01-01", "2024-01-01", "2024-01-01 00:00:00Z", "00:00:01", b"", 100, 1, ""),
    ) == 2  # fmt: skip
    assert read(database, order_by=("id",)) == [
        (7, "1.50", 100.0, 0.5, 1, "5", "2024-01-01 00:00:00", "2024-01-01", "2024-01-01 00:00:00", "-838:59:59", "ü".encode(),
         "12300", 2**64 - 1, "a"),
        (8, "1.50", 1000.0, 7.0, 0, "1.5", "2024-01-01 00:00:00", "2024-01-01", "2024-01-01 00:00:00", "00:00:01", b"",
         "100", 1, ""),
    ]  # fmt: skip


def test_a_failed_source_leaves_nothing(database: PostgreSQLDatabase) -> None:
    """An error of the batches is raised, nothing stays, and the connection can be used."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)")
    table = described(database)

    def batches() -> Iterator[list[Row]]:
        yield [(1,), (2,)]
        raise ProtocolError("cut")

    with database.connect() as connection:
        with pytest.raises(ProtocolError, match="cut"):
            database.loader.load(connection, table, batches())
        assert database.reader.count(connection, table) == 0
        with pytest.raises(TableError, match="do not have the 1 values"):
            database.loader.load(connection, table, [[(1,)], [(1, 2)]])
        with pytest.raises(TableError, match="duplicate key"):
            database.loader.load(connection, table, [[(1,)], [(1,)]])
        assert database.reader.count(connection, table) == 0
        assert database.loader.load(connection, table, []) == 0


def test_a_trigger_that_drops_rows_is_noticed(database: PostgreSQLDatabase) -> None:
    """A load from which a trigger removed rows is an error."""
    run(
        database,
        "CREATE TABLE t (id integer PRIMARY KEY)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER dropping BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    )
    with pytest.raises(TableError, match="took 0 of 1 rows"):
        load(database, (1,))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.tuples(
            st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            st.none() | st.binary(),
            st.none() | st.floats(allow_nan=False),
            st.none() | st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=20,
    )
)
def test_any_rows_come_back(database: PostgreSQLDatabase, values: list[Row]) -> None:
    """For any loaded rows, the same are read."""
    run(
        database,
        "DROP TABLE IF EXISTS t",
        "CREATE TABLE t (id integer PRIMARY KEY, a text, b bytea, c double precision, d bigint)",
    )
    expected = [(place, *row) for place, row in enumerate(values)]
    assert load(database, *expected) == len(values)
    assert read(database, order_by=("id",)) == expected


def test_read_streams_in_batches(database: PostgreSQLDatabase) -> None:
    """Batches have a maximum size, fewer rows if they are wide, and two reads can share a connection."""
    run(
        database,
        "CREATE TABLE t (id integer PRIMARY KEY, note text)",
        "INSERT INTO t SELECT i, 'x' FROM generate_series(1, 20000) i",
        "CREATE TABLE wide (id integer PRIMARY KEY, note text)",
        "INSERT INTO wide SELECT i, repeat('x', 1000000) FROM generate_series(1, 120) i",
    )
    with database.snapshot() as connection:
        table, wide = database.catalog.describe(connection, "t"), database.catalog.describe(connection, "wide")
        sizes, widths = [], []
        for narrow in database.reader.read(connection, table, table.columns):
            sizes.append(len(narrow))
            if len(sizes) == 1:
                widths = [len(batch) for batch in database.reader.read(connection, wide, wide.columns, order_by=["id"])]
    assert sum(sizes) == 20000
    assert max(sizes) == BATCH_ROWS
    assert widths == [100, 8, 8, 4]


def test_read_outside_of_a_transaction_leaves_none(database: PostgreSQLDatabase) -> None:
    """A read without a transaction opens one and ends it, also if it is closed early."""
    run(database, "CREATE TABLE t (id integer PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 1000)")
    with database.connect() as connection:
        table = database.catalog.describe(connection, "t")
        started = database.reader.read(connection, table, table.columns)
        assert len(next(started)) == 100
        started.close()  # type: ignore[attr-defined]  # it is a generator
        connection.exec_driver_sql("INSERT INTO t VALUES (0)")
        assert sum(len(batch) for batch in database.reader.read(connection, table, table.columns)) == 1001
        gone = database.reader.read(connection, Table(name="nothing", columns=table.columns), table.columns)
        with pytest.raises(TableError, match="does not exist"):
            next(gone)
        connection.exec_driver_sql("INSERT INTO t VALUES (-1)")


def test_text_keys_are_sorted_by_bytes(database: PostgreSQLDatabase) -> None:
    """Text keys come in byte order for any collation."""
    run(
        database,
        'CREATE TABLE t (code text, other text COLLATE "C", wide char(3), PRIMARY KEY (code, other, wide))',
        "INSERT INTO t VALUES ('a', 'x', 'b'), ('B', 'x', 'b'), ('ä', 'x', 'b'), ('a', 'X', 'b'), ('a', 'x', 'B')",
    )
    assert read(database, order_by=("code", "other", "wide")) == [
        ("B", "x", "b"),
        ("a", "X", "b"),
        ("a", "x", "B"),
        ("a", "x", "b"),
        ("ä", "x", "b"),
    ]


@pytest.mark.parametrize(
    ("kind", "sendable", "unsendable"),
    [
        ("double precision", "1.5", "NaN"),
        ("real", "1.5", "-Infinity"),
        ("date", "9999-12-31", "infinity"),
        ("timestamp", "0001-01-01", "0044-03-15 BC"),
        ("timestamptz", "2024-01-01", "-infinity"),
        ("bytea", "\\xe29c93005c", "\\xff"),
        ("bytea", "plain", "\\xeda080"),
    ],
)
def test_unsendable_values_are_found(database: PostgreSQLDatabase, kind: str, sendable: str, unsendable: str) -> None:
    """The column with a value that version 1 cannot carry is named, if there is one."""
    run(database, f'CREATE TABLE t (id integer PRIMARY KEY, "a %" {kind}, z {kind})')
    run(database, f"INSERT INTO t VALUES (1, '{sendable}', '{sendable}'), (2, NULL, '{sendable}')")
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "t")
        assert database.version1.find_unsendable(connection, table, table.columns) is None
    run(database, f"UPDATE t SET z = '{unsendable}' WHERE id = 2")
    with database.snapshot() as connection:
        found = database.version1.find_unsendable(connection, table, table.columns)
        assert found is not None
        assert found.name == "z"
        assert database.version1.find_unsendable(connection, table, table.columns[:2]) is None
