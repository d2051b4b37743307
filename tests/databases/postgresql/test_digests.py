"""Version 2 on PostgreSQL: what only it has, through both drivers.

What all engines promise is in ``tests/databases/test_canonical_*.py``.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1.numbers import mysql_double
from airflow_provider_sync.protocol.v2.messages import Partitioning, Window
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.databases.canonical_rows import EVERYTHING, all_digests, expected_digests, expected_segments, load, read, slice_of
from tests.databases.postgresql.databases import DRIVERS, empty, open_database, run


def texts(database: PostgreSQLDatabase, sql_type: str, *values: str, as_type: LogicalType | None = None) -> list[str | None]:
    """Return the canonical texts of values given as SQL, and check that the digests are theirs."""
    run(database, "DROP TABLE IF EXISTS item", f"CREATE TABLE item (id integer PRIMARY KEY, v {sql_type})")
    run(database, *(f"INSERT INTO item VALUES ({number}, {value})" for number, value in enumerate(values)))
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "item")
        table_slice = slice_of(database, table, types={"v": as_type} if as_type else None)
        rows = read(database, connection, table_slice)
        assert all_digests(database, connection, table_slice) == expected_digests(table_slice, rows)
    return [None if text is None else text.decode() for _, text in sorted(rows)]


TEXTS: dict[str, tuple[list[str], list[str]]] = {
    "boolean": (["true", "false"], ["1", "0"]),
    "bit(4)": (["B'0101'"], ["5"]),
    "bit(64)": ([f"B'{'1' * 64}'", f"B'{'0' * 64}'"], ["18446744073709551615", "0"]),
    "oid": (["4294967295"], ["4294967295"]),
    "numeric": (["1.100", "'NaN'", "0.00", "1e20"], ["1.1", "NaN", "0", "100000000000000000000"]),
    "numeric(5,2)": (["1.1", "'NaN'"], ["1.10", "NaN"]),
    "numeric(3,-2)": (["1234"], ["1200"]),
    "numeric(3,8)": (["0.00000012"], ["0.00000012"]),
    "money": (["-1234.5"], ["-1234.50"]),
    "real": (["'Infinity'", "'NaN'", "1.1", "-0.0"], ["Infinity", "NaN", "1.100000023841858", "0"]),
    "char(4)": (["'a'", "'a  '"], ["a", "a"]),
    "timestamp(0)": (["'2024-01-01'"], ["2024-01-01 00:00:00"]),
    "timestamp(3)": (["'2024-01-01 01:02:03.45'"], ["2024-01-01 01:02:03.450"]),
    "timestamp": (
        ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12024-01-01 01:02:03'"],
        ["infinity", "-infinity", "0044-03-15 00:00:00 BC", "12024-01-01 01:02:03"],
    ),
    "timestamptz(1)": (["'2024-01-01 00:00:00.5+02'"], ["2023-12-31 22:00:00.5"]),
    "time(2)": (["'24:00'", "'01:02:03.4'"], ["24:00:00.00", "01:02:03.40"]),
    "integer[]": (["'{1,NULL,3}'"], ["{1,NULL,3}"]),
    "interval": (["'1 day 2 hours'"], ["1 day 02:00:00"]),
    "inet": (["'10.0.0.1/8'"], ["10.0.0.1/8"]),
    "jsonb": (["""'{"b":1,"a":[1.0]}'"""], ['{"a": [1.0], "b": 1}']),
    "json": (["""'{"b":1,  "a":[1.0]}'"""], ['{"b":1,  "a":[1.0]}']),
    "text": (["E'\\b\\f\\x0b\\t\\n\\r\\\\'", "'%s'"], ["\b\f\v\t\n\r\\", "%s"]),
}


@pytest.mark.parametrize("sql_type", TEXTS)
def test_values_that_only_postgresql_has(database: PostgreSQLDatabase, sql_type: str) -> None:
    """Each type has its text, also for values that no other engine has."""
    values, expected = TEXTS[sql_type]

    assert texts(database, sql_type, *values, "NULL") == [*expected, None]


def test_domains_and_enums(database: PostgreSQLDatabase) -> None:
    """A domain is written like its base type, and an enum as its label."""
    run(
        database,
        "CREATE DOMAIN price AS numeric(8,2)",
        "CREATE DOMAIN flags AS bit(3)",
        "CREATE TYPE mood AS ENUM ('ok', 'so so')",
    )

    assert texts(database, "price", "1.5") == ["1.50"]
    assert texts(database, "flags", "B'101'") == ["5"]
    assert texts(database, "mood", "'so so'") == ["so so"]


RENDERED: dict[str, tuple[str, str, LogicalType, str]] = {
    "fewer digits of a second, zeros": (
        "timestamp",
        "'2024-01-01 01:02:03'",
        LogicalType(kind=LogicalKind.TIMESTAMP, scale=0),
        "2024-01-01 01:02:03",
    ),
    "fewer digits of a second": (
        "timestamp",
        "'2024-01-01 01:02:03.5'",
        LogicalType(kind=LogicalKind.TIMESTAMP, scale=0),
        "2024-01-01 01:02:03.5",
    ),
    "more digits of a second than asked for": (
        "timestamp",
        "'2024-01-01 01:02:03.4567'",
        LogicalType(kind=LogicalKind.TIMESTAMP, scale=3),
        "2024-01-01 01:02:03.4567",
    ),
    "less scale, zeros": ("numeric(9,4)", "1.5", LogicalType(kind=LogicalKind.DECIMAL, scale=2), "1.50"),
    "less scale": ("numeric(9,4)", "1.505", LogicalType(kind=LogicalKind.DECIMAL, scale=2), "1.505"),
    "more scale": ("numeric(9,2)", "1.5", LogicalType(kind=LogicalKind.DECIMAL, scale=4), "1.5000"),
    "an integer as a decimal": ("integer", "7", LogicalType(kind=LogicalKind.DECIMAL, scale=2), "7.00"),
    "a decimal as an integer": (
        "numeric(20,0)",
        "18446744073709551615",
        LogicalType(kind=LogicalKind.INTEGER),
        "18446744073709551615",
    ),
    "a broken decimal as an integer": ("numeric", "7.50", LogicalType(kind=LogicalKind.INTEGER), "7.5"),
    "text of fixed width": ("text", "'a  '", LogicalType(kind=LogicalKind.TEXT, fixed_width=True), "a"),
}


@pytest.mark.parametrize(("sql_type", "value", "kind", "expected"), RENDERED.values(), ids=RENDERED)
def test_rendering_by_another_type(
    database: PostgreSQLDatabase, sql_type: str, value: str, kind: LogicalType, expected: str
) -> None:
    """A value is written by the source's type, and differs if it does not fit."""
    assert texts(database, sql_type, value, as_type=kind) == [expected]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=300))
def test_any_double(shared_url: str, numbers: list[float]) -> None:
    """Every double has MySQL's text."""
    numbers += [5.54536650229779e16, 2.0**63, 1e23, 9.5e38, 1234567890123456.8, *map(float, range(2**54, 2**54 + 200, 4))]
    numbers += [float(f"{mantissa}e{exponent}") for exponent in range(-18, 20) for mantissa in (1, 1.5, 1.2345678901234568, 9.9)]
    with open_database(shared_url) as database:
        empty(database)
        values = (f"'{number!r}'::float8" for number in numbers)
        run(database, "CREATE TABLE item (id serial PRIMARY KEY, v float8)")
        run(database, f"INSERT INTO item (v) SELECT unnest(ARRAY[{', '.join(values)}])")
        with database.snapshot() as connection:
            rows = read(database, connection, slice_of(database, database.catalog.describe(connection, "item")))

    found = {int(number or b""): (text or b"").decode() for number, text in rows}
    assert [found[number] for number in sorted(found)] == [mysql_double(number) for number in numbers]


def test_a_database_in_another_encoding(shared_url: str) -> None:
    """Lengths and digests are those of UTF-8 in any database encoding."""
    with open_database(shared_url) as outside:
        name = f"{outside.engine.url.database}_latin1"
        run(outside, f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        try:
            for driver in DRIVERS:
                with open_database(
                    outside.engine.url.set(database=name).render_as_string(hide_password=False), driver
                ) as database:
                    assert texts(database, "text", "'é'", "'ÿ|'") == ["é", "ÿ|"]
        finally:
            run(outside, f"DROP DATABASE {name} WITH (FORCE)")


def test_settings_are_put_back(database: PostgreSQLDatabase) -> None:
    """Planner settings of a scan are reset after it, inside and outside of a transaction."""
    run(database, "CREATE TABLE item (id integer PRIMARY KEY)", "INSERT INTO item SELECT generate_series(1, 100)")
    names = "current_setting('enable_sort'), current_setting('work_mem'), current_setting('parallel_tuple_cost')"
    with database.connect() as connection:
        before = connection.exec_driver_sql(f"SELECT {names}").one()
        table_slice = slice_of(database, database.catalog.describe(connection, "item"))
        database.digests.digest_segments(connection, table_slice, EVERYTHING)
        assert connection.exec_driver_sql(f"SELECT {names}").one() == before
        with database.transaction(connection):
            database.digests.digest_segments(connection, table_slice, EVERYTHING)
            assert connection.exec_driver_sql(f"SELECT {names}").one() == before


def test_parallel_workers_find_the_same(database: PostgreSQLDatabase) -> None:
    """Digests do not depend on the number of processes."""
    run(
        database,
        "CREATE TABLE item (id integer PRIMARY KEY, v text) WITH (parallel_workers = 2)",
        "INSERT INTO item SELECT n, repeat('é', n % 50) FROM generate_series(1, 5000) n",
        "ANALYZE item",
        f"ALTER DATABASE {database.engine.url.database} SET min_parallel_table_scan_size = 0",
    )
    database.engine.dispose()
    with database.snapshot() as connection:
        table_slice = slice_of(database, database.catalog.describe(connection, "item"))
        digests = expected_digests(table_slice, read(database, connection, table_slice))
        for partitioning in (
            Partitioning(scheme="key_range", segment_count=8, low=1, high=5000),
            Partitioning(scheme="row_hash", segment_count=8),
        ):
            assert dict(database.digests.digest_segments(connection, table_slice, partitioning)) == expected_segments(
                partitioning, digests
            )


def test_keys_that_no_integer_holds(database: PostgreSQLDatabase) -> None:
    """A key above 64 bits finds no row, and a partitioning with such bounds is no error."""
    run(database, "CREATE TABLE item (id bigint PRIMARY KEY)", f"INSERT INTO item VALUES (0), (5), ({2**63 - 1})")
    partitioning = Partitioning(scheme="key_range", segment_count=4, low=5, high=2**64 - 1)
    with database.snapshot() as connection:
        table_slice = slice_of(database, database.catalog.describe(connection, "item"))
        digests = expected_digests(table_slice, read(database, connection, table_slice))
        found = list(database.digests.digest_keys(connection, table_slice, [(str(2**64 - 1),), ("5",)]))

        assert [key for batch in found for key, _ in batch] == [("5",)]
        assert list(database.digests.digest_keys(connection, table_slice, [(str(2**64 - 1),)])) == []
        assert dict(database.digests.digest_segments(connection, table_slice, partitioning)) == expected_segments(
            partitioning, digests
        )
        assert all_digests(database, connection, table_slice, partitioning, [(-1, -1), (0, 4)]) == digests
        assert all_digests(database, connection, table_slice, partitioning, [(3, 4)]) == {}


@pytest.mark.parametrize(
    "sql_type", ["bit(3)", "bit(64)", "boolean", "money", "real", "oid", "char(3)", "inet", "time(3)", "timestamptz"]
)
def test_keys_of_every_type(database: PostgreSQLDatabase, sql_type: str) -> None:
    """A row is found by its key's canonical text, for every type."""
    values = {
        "bit(3)": ("B'101'", "B'000'"),
        "bit(64)": (f"B'{'1' * 64}'", f"B'{'0' * 64}'"),
        "boolean": ("true", "false"),
        "char(3)": ("'a'", "'b  '"),
        "inet": ("'10.0.0.1'", "'::1'"),
        "time(3)": ("'01:02:03.004'", "'23:59'"),
        "timestamptz": ("'2024-01-01 00:00:00.5+02'", "'2024-01-01 00:00:00Z'"),
    }.get(sql_type, ("1", "2.5" if sql_type in ("money", "real") else "3"))
    run(database, f"CREATE TABLE item (id {sql_type} PRIMARY KEY)", *(f"INSERT INTO item VALUES ({value})" for value in values))
    with database.snapshot() as connection:
        table_slice = slice_of(database, database.catalog.describe(connection, "item"))
        digests = all_digests(database, connection, table_slice)
        found = [row for batch in database.digests.digest_keys(connection, table_slice, sorted(digests)) for row in batch]

    assert len(digests) == 2
    assert dict(found) == digests


def test_window_on_text_and_on_a_column_that_takes_no_part(database: PostgreSQLDatabase) -> None:
    """A window compares text by bytes, and its column need not be sent."""
    run(
        database,
        "CREATE TABLE item (id integer PRIMARY KEY, v text)",
        "INSERT INTO item VALUES (1, 'A'), (2, 'a'), (3, 'b'), (4, NULL)",
    )
    with database.snapshot() as connection:
        table = database.catalog.describe(connection, "item")
        table_slice = slice_of(database, table, columns=["id"], window=Window(column="v", start="B", end="b"))
        assert read(database, connection, table_slice) == [(b"2",)]


def test_a_key_that_is_null(database: PostgreSQLDatabase) -> None:
    """A row with a NULL key is an error that says so."""
    run(database, "CREATE TABLE item (id integer, v text)", "INSERT INTO item VALUES (NULL, 'x')")
    with database.snapshot() as connection:
        table_slice = slice_of(database, database.catalog.describe(connection, "item"), key=["id"])
        with pytest.raises(TableError, match="NULL in its key"):
            all_digests(database, connection, table_slice)


LOADED: dict[str, tuple[str, LogicalType, bytes]] = {
    "bits": ("bit(4)", LogicalType(kind=LogicalKind.INTEGER, bits=4, unsigned=True), b"5"),
    "bytes": ("bytea", LogicalType(kind=LogicalKind.BYTES), b"00ff5c"),
    "single": (
        "real",
        LogicalType(kind=LogicalKind.FLOAT32),
        str(struct.unpack("f", struct.pack("f", 0.1))[0]).encode(),
    ),
    "array": ("text[]", LogicalType(kind=LogicalKind.TEXT), b'{"a\\tb",NULL,"\\\\\\""}'.replace(b"\\t", b"\t")),
    "zeros beyond the scale": ("numeric(5,2)", LogicalType(kind=LogicalKind.DECIMAL, scale=2), b"1.10"),
    "zeros of many digits": ("numeric(40,1)", LogicalType(kind=LogicalKind.DECIMAL, scale=2), b"9" * 35 + b".50"),
    "infinity": ("double precision", LogicalType(kind=LogicalKind.FLOAT64), b"-Infinity"),
}


@pytest.mark.parametrize(("sql_type", "kind", "text"), LOADED.values(), ids=LOADED)
def test_types_that_load_their_own_way(database: PostgreSQLDatabase, sql_type: str, kind: LogicalType, text: bytes) -> None:
    """Types that COPY reads in another form arrive unchanged, beside NULL."""
    run(database, f"CREATE TABLE item (id integer PRIMARY KEY, v {sql_type})")
    with database.connect() as connection:
        target = database.catalog.describe(connection, "item")
        types = [LogicalType(kind=LogicalKind.INTEGER), kind]
        staging, loaded = load(database, connection, target, [(b"1", text), (b"2", None)], types, "_sync_x")
        assert read(database, connection, slice_of(database, staging, types={"v": kind})) == [(b"1", text), (b"2", None)]

    assert loaded == 2


MANGLED: dict[str, tuple[str, LogicalType, bytes]] = {
    "bits": ("bit(4)", LogicalType(kind=LogicalKind.INTEGER), b"16"),
    "thousands of digits": ("bit(4)", LogicalType(kind=LogicalKind.INTEGER), b"9" * 5000),
    "single": ("real", LogicalType(kind=LogicalKind.FLOAT64), b"0.1"),
    "decimal": ("numeric(5,1)", LogicalType(kind=LogicalKind.DECIMAL, scale=2), b"1.25"),
    "decimal of many digits": ("numeric(40,1)", LogicalType(kind=LogicalKind.DECIMAL, scale=2), b"9" * 35 + b".25"),
}


@pytest.mark.parametrize(("sql_type", "kind", "text"), MANGLED.values(), ids=MANGLED)
def test_what_a_column_would_change_is_refused(
    database: PostgreSQLDatabase, sql_type: str, kind: LogicalType, text: bytes
) -> None:
    """Digits that a column cannot keep are an error that names it, and no row is loaded."""
    run(database, f"CREATE TABLE item (id integer PRIMARY KEY, v {sql_type})")
    with database.connect() as connection:
        target = database.catalog.describe(connection, "item")
        with pytest.raises(TableError, match="column 'v'"):
            load(
                database,
                connection,
                target,
                [(b"1", None), (b"2", text)],
                [LogicalType(kind=LogicalKind.INTEGER), kind],
                "_sync_x",
            )
        assert connection.exec_driver_sql("SELECT count(*) FROM _sync_x").scalar_one() == 0


def test_reading_can_be_given_up(database: PostgreSQLDatabase) -> None:
    """After a stream is closed early, the transaction can be used."""
    run(
        database,
        "CREATE TABLE item (id integer PRIMARY KEY, v text)",
        "INSERT INTO item SELECT n, repeat('x', 200) FROM generate_series(1, 9000) n",
    )
    with database.connect() as connection:
        table_slice = slice_of(database, database.catalog.describe(connection, "item"))
        blocks = database.reader.read_text(connection, table_slice)
        next(iter(blocks))
        blocks.close()  # type: ignore[attr-defined]
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
