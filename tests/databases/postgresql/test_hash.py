"""The digest ``pghash``: whenever canonical texts differ it differs, and whenever they are equal it is equal."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.protocol.v2.messages import PGHASH, Partitioning
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.databases.canonical_rows import EVERYTHING, all_digests, expected_segments, read, slice_of
from tests.databases.postgresql.databases import open_database, run


def hashed(database: PostgreSQLDatabase, name: str = "item", types: dict[str, LogicalType] | None = None) -> TableSlice:
    """Return the whole of a table, to be digested by ``pghash``."""
    with database.connect() as connection:
        return msgspec.structs.replace(
            slice_of(database, database.catalog.describe(connection, name), types=types), digest=PGHASH
        )


def digests(database: PostgreSQLDatabase, table_slice: TableSlice) -> list[int]:
    """Return the digests of the rows, by integer key."""
    with database.snapshot() as connection:
        found = all_digests(database, connection, table_slice)
    return [found[key] for key in sorted(found, key=lambda key: int(key[0]))]


def total(database: PostgreSQLDatabase) -> int:
    """Return the sum of all rows' digests."""
    table_slice = hashed(database)
    with database.snapshot() as connection:
        return database.digests.digest_segments(connection, table_slice, EVERYTHING)[0].sum


def test_swapped_values_change_the_sum(database: PostgreSQLDatabase) -> None:
    """Two rows that swap a value change the sum: the digest is not linear in the columns."""
    run(database, "CREATE TABLE item (id bigint PRIMARY KEY, a text, b text)")
    run(database, "INSERT INTO item VALUES (1, 'x', 'p'), (2, 'y', 'q')")
    before = total(database)

    run(database, "UPDATE item SET a = CASE id WHEN 1 THEN 'y' ELSE 'x' END")
    swapped_rows = total(database)
    run(database, "UPDATE item SET a = b, b = a")

    assert len({before, swapped_rows, total(database)}) == 3


ALIKE = {
    "signs": ("numeric(9,2)", ["5", "-5", "0"]),
    "what is no number": ("numeric", ["'NaN'", "0", "1"]),
    "halves of a bigint": ("bigint", ["-1", "4294967295", "4294967296", "1", "0"]),
    "nothing": ("text", ["NULL", "''", "' '", "'0'"]),
    "moments": ("timestamp", ["'2024-01-01'", "'2024-01-01 00:00:00.000001'", "'infinity'", "'-infinity'", "'0001-01-01 BC'"]),
    "text that only a language calls equal": ('text COLLATE "en_ci"', ["'a'", "'A'"]),
    "arrays": ("integer[]", ["'{1,2}'", "'{2,1}'", "'{}'", "NULL"]),
    "json": ("json", ["'{}'", "'{ }'"]),
    "bytes": ("bytea", ["''", "'\\x00'", "'\\x0000'"]),
}


@pytest.mark.parametrize("about", ALIKE)
def test_values_that_other_hashes_take_for_equal(database: PostgreSQLDatabase, about: str) -> None:
    """Values that the types' own hash functions consider equal have different digests."""
    sql_type, values = ALIKE[about]
    run(database, "CREATE COLLATION en_ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    run(database, f"CREATE TABLE item (id integer PRIMARY KEY, v {sql_type})")
    run(database, *(f"INSERT INTO item VALUES ({number}, {value})" for number, value in enumerate(values)))
    table_slice = hashed(database)
    value_only = msgspec.structs.replace(table_slice, columns=table_slice.columns[1:])

    found = digests(database, value_only)

    assert len(set(found)) == len(values)


def test_zeros_that_make_no_difference(database: PostgreSQLDatabase) -> None:
    """Values with one canonical text have one digest in any notation."""
    values = ["1.0", "1.00", "1"]
    run(database, "CREATE TABLE item (id integer PRIMARY KEY, n numeric, f float8, c char(5))")
    run(database, *(f"INSERT INTO item VALUES ({number}, {value}, 0, 'a')" for number, value in enumerate(values)))
    run(database, "UPDATE item SET f = '-0', c = 'a  ' WHERE id = 1")
    table_slice = hashed(database)

    assert len(set(digests(database, msgspec.structs.replace(table_slice, columns=table_slice.columns[1:])))) == 1


MOMENTS = [
    "2024-01-01",
    "2024-01-01 00:00:00.5",
    "2024-01-01 00:00:10.100",
    "9999-12-31 23:59:59.999999",
    "infinity",
    "0044-03-15 BC",
]


@pytest.mark.parametrize(
    ("source", "target"), [("timestamp", "text"), ("timestamptz", "timestamp"), ("timestamp(3)", "timestamp")]
)
def test_moments_in_other_columns(database: PostgreSQLDatabase, source: str, target: str) -> None:
    """A moment has one digest in every column that may keep it, also in text with all digits."""
    run(
        database,
        f"CREATE TABLE item (id integer PRIMARY KEY, v {source})",
        f"CREATE TABLE kept (id integer PRIMARY KEY, v {target})",
    )
    run(database, *(f"INSERT INTO item VALUES ({number}, '{moment}')" for number, moment in enumerate(MOMENTS)))
    table_slice = hashed(database)
    types = {column.column.name: column.type for column in table_slice.columns}
    with database.connect() as connection:
        for key, text in read(database, connection, table_slice):
            assert key is not None
            assert text is not None
            run(database, f"INSERT INTO kept VALUES ({key.decode()}, '{text.decode()}')")

    assert digests(database, hashed(database, "kept", types)) == digests(database, table_slice)


@given(st.lists(st.text("0.:- BC?1", max_size=30), min_size=2, max_size=6, unique=True))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_among_moments(database: PostgreSQLDatabase, values: list[str]) -> None:
    """Text that is not a canonical moment never has a moment's digest."""
    moment = LogicalType(kind=LogicalKind.TIMESTAMP, scale=6)
    run(database, "DROP TABLE IF EXISTS item", "DROP TABLE IF EXISTS kept")
    run(database, "CREATE TABLE item (id integer PRIMARY KEY, v timestamp)", "CREATE TABLE kept (id integer PRIMARY KEY, v text)")
    run(database, *(f"INSERT INTO item VALUES ({number}, '{value}')" for number, value in enumerate(MOMENTS)))
    near = [*MOMENTS, "2024-01-01 00:00:00", "2024-01-01 00:00:00.500", "2024-01-01 00:00:0.000000", *values]
    run(database, *(f"INSERT INTO kept VALUES ({number}, '{value}')" for number, value in enumerate(near)))

    def by_text(name: str) -> dict[bytes | None, set[int]]:
        table_slice = hashed(database, name, {"v": moment})
        table_slice = msgspec.structs.replace(table_slice, columns=table_slice.columns[1:])
        with database.snapshot() as connection:
            texts = [text for _, text in sorted(read(database, connection, hashed(database, name, {"v": moment})), key=_number)]
        found: dict[bytes | None, set[int]] = {}
        for text, digest in zip(texts, digests(database, table_slice), strict=True):
            found.setdefault(text, set()).add(digest)
        return found

    source, target = by_text("item"), by_text("kept")

    for text, digest in target.items():
        others = set().union(*(held for other, held in source.items() if other != text))
        assert not digest & others
        assert digest == source.get(text, digest)


def _number(row: tuple[bytes | None, ...]) -> int:
    return int(row[0] or b"0")


def test_every_column_of_a_wide_table_counts(database: PostgreSQLDatabase) -> None:
    """A change in any of hundreds of columns, or a value in another column, changes the digest."""
    names = [f"c{number}" for number in range(250)]
    run(database, f"CREATE TABLE item (id integer PRIMARY KEY, {', '.join(f'{name} text' for name in names)})")
    run(database, "INSERT INTO item (id) VALUES (0)")
    changed = [0, 58, 59, 98, 99, 100, 199, 200, 249]
    run(database, *(f"INSERT INTO item (id, c{place}) VALUES ({number}, 'x')" for number, place in enumerate(changed, 1)))
    table_slice = hashed(database)

    found = digests(database, msgspec.structs.replace(table_slice, columns=table_slice.columns[1:]))

    assert len(set(found)) == len(changed) + 1


def test_segments_are_of_the_rows(database: PostgreSQLDatabase) -> None:
    """Sums of ranges and of hash segments are those of the rows' 60-bit digests."""
    run(database, "CREATE TABLE item (id bigint PRIMARY KEY, v text)")
    run(database, "INSERT INTO item SELECT i, md5(i::text) FROM generate_series(-50, 450) AS i")
    table_slice = hashed(database)
    with database.snapshot() as connection:
        found = all_digests(database, connection, table_slice)
        assert max(found.values()).bit_length() == 60
        for partitioning in (
            Partitioning(scheme="row_hash", segment_count=64),
            Partitioning(scheme="key_range", segment_count=7, low=1, high=400),
        ):
            assert database.digests.digest_segments(connection, table_slice, partitioning) == expected_segments(
                partitioning, found
            )
            segment_ranges = ((-1, 0), (3, 4), (6, 7)) if partitioning.scheme == "key_range" else ((0, 1), (5, 5))
            chosen = all_digests(database, connection, table_slice, partitioning, segment_ranges)
            segments = expected_segments(partitioning, chosen)
            assert {number: segments[number] for number in segments} == {
                number: segment
                for number, segment in expected_segments(partitioning, found).items()
                if any(first <= number <= last for first, last in segment_ranges)
            }


def test_probes(database: PostgreSQLDatabase, database_servers: DatabaseServers) -> None:
    """Databases that store UTF-8 agree on a probe; others have none."""
    with database.connect() as connection:
        probes = database.digests.probes(connection)
    engine = sqlalchemy.create_engine(database.engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = f"{database.engine.url.database}_latin1"
    with engine.connect() as server:
        server.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        try:
            url = database.engine.url.set(database=name).render_as_string(hide_password=False)
            with open_database(url, "psycopg") as other, other.connect() as connection:
                assert other.digests.probes(connection) == {}
        finally:
            server.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()
    with open_database(database_servers.url(POSTGRESQL)) as same, same.connect() as connection:
        assert same.digests.probes(connection) == probes
    assert probes.keys() == {PGHASH}
