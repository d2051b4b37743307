"""On every engine, version 2 finds the same texts and digests for the same rows."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Grid, Window
from airflow_provider_sync.protocol.v2.types import LogicalKind
from tests.tables.canonical_rows import (
    EVERYTHING,
    Text,
    all_digests,
    canonical,
    expected_digests,
    expected_segments,
    insert,
    load,
    part_of,
    read,
    segment_of,
)
from tests.tables.scenario import Scenario

SINGLE: float = struct.unpack("f", struct.pack("f", 1.1))[0]

TYPES: dict[str, dict[str, str]] = {
    "integer": {"": "BIGINT"},
    "unsigned": {"mysql": "BIGINT UNSIGNED", "postgresql": "NUMERIC(20)", "sqlite": "TEXT"},
    "boolean": {"": "BOOLEAN"},
    "decimal": {"": "DECIMAL(14,2)"},
    "whole": {"": "DECIMAL(15)"},
    "double": {"": "{DOUBLE}"},
    "single": {"": "REAL", "mysql": "FLOAT"},
    "text": {"": "TEXT"},
    "char": {"": "CHAR(5)"},
    "bytes": {"": "{BYTES}"},
    "date": {"": "DATE"},
    "time": {"": "TIME(6)"},
    "timestamp": {"": "{DATETIME}"},
    "instant": {"mysql": "TIMESTAMP(6) NULL", "postgresql": "TIMESTAMPTZ(6)", "sqlite": "TIMESTAMP"},
    "uuid": {"mysql": "CHAR(36)", "postgresql": "UUID", "sqlite": "UUID"},
    "json": {"": "JSON"},
}
"""The type of a column, by kind and dialect."""

TEXTS: dict[str, list[tuple[Any, str]]] = {
    "integer": [(0, "0"), (-1, "-1"), (2**63 - 1, str(2**63 - 1)), (-(2**63), str(-(2**63)))],
    "unsigned": [(str(2**64 - 1), str(2**64 - 1)), ("0", "0")],
    "boolean": [(True, "1"), (False, "0")],
    "decimal": [
        ("1.10", "1.10"),
        ("0", "0.00"),
        ("-0.05", "-0.05"),
        ("7", "7.00"),
        ("123456789012.34", "123456789012.34"),
        ("-1000.00", "-1000.00"),
    ],
    "whole": [("0", "0"), ("-12", "-12"), ("999999999999999", "999999999999999")],
    "double": [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1 / 3, "0.3333333333333333"),
        (1e14, "100000000000000"),
        (1e15, "1e15"),
        (123456789012345680.0, "1.2345678901234568e17"),
        (9007199254740992.0, "9.007199254740992e15"),
        (1e-5, "0.00001"),
        (1.5e-7, "0.00000015"),
        (1e-20, "1e-20"),
        (1e300, "1e300"),
        (-2.2250738585072014e-308, "-2.2250738585072014e-308"),
        (1.7976931348623157e308, "1.7976931348623157e308"),
        (123456.789, "123456.789"),
        (1e22, "1e22"),
    ],
    "single": [(0.5, "0.5"), (SINGLE, "1.100000023841858"), (16777220.0, "16777220"), (-2.25, "-2.25"), (0.0, "0")],
    "text": [
        (value, value)
        for value in (
            "",
            " ",
            "a|b",
            "1|",
            "a ",
            "é😀",
            "e\u0301",
            "\t\n\r\\",
            "\\N",
            "NULL",
            "'",
            '"',
            "%s",
            "007",
            "\x1d\x1e\x1f",
        )
    ],
    "char": [("abc", "abc"), ("", ""), ("é😀", "é😀")],
    "bytes": [(b"", ""), (b"\x00\xff\xfe", "00fffe"), (b"ab", "6162"), (bytes(range(256)), bytes(range(256)).hex())],
    "date": [("2024-02-29", "2024-02-29"), ("1000-01-01", "1000-01-01"), ("9999-12-31", "9999-12-31")],
    "time": [
        ("12:34:56.5", "12:34:56.500000"),
        ("00:00:00", "00:00:00.000000"),
        ("23:59:59.999999", "23:59:59.999999"),
    ],
    "timestamp": [
        ("2024-02-29 12:34:56.5", "2024-02-29 12:34:56.500000"),
        ("1999-12-31 23:59:59", "1999-12-31 23:59:59.000000"),
        ("9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"),
    ],
    "instant": [
        ("2024-02-29 12:34:56.5", "2024-02-29 12:34:56.500000"),
        ("2001-07-01 00:00:00", "2001-07-01 00:00:00.000000"),
    ],
    "uuid": [("0190a3b4-1234-7abc-8def-0123456789ab", "0190a3b4-1234-7abc-8def-0123456789ab")],
    "json": [("[]", "[]"), ('{"a": [1, 2.5, "é"]}', '{"a": [1, 2.5, "é"]}')],
}
"""Values as they are inserted, and their canonical texts."""

KEYS = {
    "one": [7],
    "gaps": [-1000, -3, 0, 1, 2, 500, 10_000, 10_001],
    "dense": list(range(-20, 300)),
    "extremes": [-(2**63), -1, 0, 5, 2**63 - 1],
    "empty": [],
}

RANGES = [
    Grid(scheme="range", parts=1, low=7, high=7),
    Grid(scheme="range", parts=4, low=-1000, high=10_001),
    Grid(scheme="range", parts=64, low=-3, high=255),
    Grid(scheme="range", parts=16, low=0, high=20),  # rows below, rows above, and widths that are rounded up
    Grid(scheme="range", parts=1024, low=-(2**63), high=2**63 - 1),
    Grid(scheme="range", parts=1, low=0, high=-1),
]


def create(on: Scenario, kind: str) -> None:
    """Make a table with one column of a kind."""
    sql_type = TYPES[kind].get(on.dialect) or TYPES[kind][""]
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v {sql_type})")


def inserted(on: Scenario, kind: str) -> list[Any]:
    """Return the values of a kind; moments in full on SQLite, where they are text."""
    full = on.dialect == "sqlite" and kind in ("time", "timestamp", "instant")
    return [text if full else value for value, text in TEXTS[kind]]


def create_keyed(on: Scenario, keys: list[int]) -> None:
    """Make a table with integer keys."""
    on.execute("CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, v VARCHAR(50))")
    insert(on.database, on.describe("item"), [(key, f"v{key}" if key % 5 else None) for key in keys])


@pytest.mark.parametrize("kind", TEXTS)
def test_canonical_texts(on: Scenario, kind: str) -> None:
    """A value has one text on every engine, and the digest in the database is that of the text."""
    create(on, kind)
    table = on.describe("item")
    insert(on.database, table, [*enumerate(inserted(on, kind)), (1000, None)])
    part = part_of(on.database, table)

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, part)
        digests = all_digests(on.database, connection, part)

    texts = {number: text.encode() for number, (_, text) in enumerate(TEXTS[kind])}
    assert {int(number or b""): value for number, value in rows} == {**texts, 1000: None}
    assert digests == expected_digests(part, rows)


def test_wide_rows(on: Scenario) -> None:
    """More columns than one number has bits for: which of them are NULL is told for each sixty."""
    names = [f"c{number}" for number in range(125)]
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, {', '.join(f'{name} INTEGER' for name in names)})")
    table = on.describe("item")
    rows = [
        (0, *[None] * 125),
        (1, *[None if number in (58, 59, 60) else number for number in range(125)]),
        (2, *range(125)),
        (3, *range(124), None),
    ]
    insert(on.database, table, rows)
    part = part_of(on.database, table)

    with on.database.snapshot() as connection:
        digests = all_digests(on.database, connection, part)
        assert digests == expected_digests(part, read(on.database, connection, part))

    assert len(set(digests.values())) == 4


def test_columns_in_the_order_asked_for(on: Scenario) -> None:
    """The part says which columns take part, and in which order; names are quoted."""
    first, second = map(on.database.quote, ("or der", "a%b"))
    with on.database.connect() as connection:
        connection.exec_driver_sql(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, {first} VARCHAR(9), {second} INTEGER)")
    table = on.describe("item")
    insert(on.database, table, [(1, "x", 5)])
    part = part_of(on.database, table, columns=["a%b", "or der", "id"])

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, part)
        digests = all_digests(on.database, connection, part)

    assert rows == [(b"5", b"x", b"1")]
    assert digests == expected_digests(part, rows)


@pytest.mark.parametrize("grid", RANGES, ids=lambda grid: f"{grid.parts}-from-{grid.low}")
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_ranges(on: Scenario, keys: list[int], grid: Grid) -> None:
    """A segment's digest is the sum of its rows', and rows outside the grid count below and above it."""
    create_keyed(on, keys)
    part = part_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        digests = expected_digests(part, read(on.database, connection, part))
        segments = canonical(on.database).digest_segments(connection, part, grid)
        bounds = canonical(on.database).key_bounds(connection, part)
        everything = all_digests(on.database, connection, part, grid, [(-1, grid.parts)])

    assert dict(segments) == expected_segments(grid, digests)
    assert bounds == ((min(keys), max(keys)) if keys else None)
    assert len(digests) == len(keys)
    assert everything == digests
    assert [int(key) for (key,) in everything] == keys


@pytest.mark.parametrize("runs", [[(0, 0)], [(-1, -1)], [(16, 16)], [(3, 5), (8, 8)], [(-1, 0), (2, 3), (15, 16)], []], ids=str)
def test_rows_of_some_ranges(on: Scenario, runs: list[tuple[int, int]]) -> None:
    """Only the rows of the segments that were asked for come, in the order of their keys."""
    grid = Grid(scheme="range", parts=16, low=0, high=99)
    keys = [*range(-5, 50), *range(70, 120)]
    create_keyed(on, keys)
    part = part_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        digests = expected_digests(part, read(on.database, connection, part))
        found = all_digests(on.database, connection, part, grid, runs)

    assert list(found.items()) == [
        ((str(key),), digests[str(key),])
        for key in keys
        if any(first <= segment_of(grid, (str(key),), 0) <= last for first, last in runs)
    ]


@pytest.mark.parametrize("parts", [1, 2, 8, 1024])
def test_buckets(on: Scenario, parts: int) -> None:
    """Rows fall into buckets by the highest bits of their digests."""
    create_keyed(on, KEYS["dense"])
    part = part_of(on.database, on.describe("item"))
    grid = Grid(scheme="bucket", parts=parts)
    runs = [(0, parts // 4), (parts // 2, parts // 2)] if parts > 2 else [(0, 0)]

    with on.database.snapshot() as connection:
        digests = expected_digests(part, read(on.database, connection, part))
        segments = canonical(on.database).digest_segments(connection, part, grid)
        found = all_digests(on.database, connection, part, grid, runs)

    assert dict(segments) == expected_segments(grid, digests)
    wanted = {number for first, last in runs for number in range(first, last + 1)}
    assert found == {key: digest for key, digest in digests.items() if segment_of(grid, key, digest) in wanted}


@pytest.mark.parametrize("key", [("code",), ("code", "id")], ids=str)
@pytest.mark.parametrize("parts", [1, 8, 1024])
def test_hashes_of_keys(on: Scenario, parts: int, key: tuple[str, ...]) -> None:
    """Rows fall into segments by the hashes of their keys, whatever bytes those have, on databases that say that they can."""
    if "key" not in on.database.schemes:
        pytest.skip("cuts tables by ranges and digests only")
    on.execute(f"CREATE TABLE item (id BIGINT NOT NULL, code VARCHAR(20) NOT NULL, v VARCHAR(9), PRIMARY KEY ({', '.join(key)}))")
    insert(on.database, on.describe("item"), [(number, f"{number} é|東\t{number % 3}", None) for number in range(300)])
    part = part_of(on.database, on.describe("item"))
    grid = Grid(scheme="key", parts=parts)
    runs = [(0, parts // 4), (parts // 2, parts // 2)] if parts > 2 else [(0, 0)]

    with on.database.snapshot() as connection:
        digests = expected_digests(part, read(on.database, connection, part))
        segments = canonical(on.database).digest_segments(connection, part, grid)
        found = all_digests(on.database, connection, part, grid, runs)

    assert dict(segments) == expected_segments(grid, digests)
    wanted = {number for first, last in runs for number in range(first, last + 1)}
    assert found == {key: digest for key, digest in digests.items() if segment_of(grid, key, digest) in wanted}


def test_sums_of_many_rows(on: Scenario) -> None:
    """Sums far beyond 64 bits are exact, modulo 2**64."""
    create_keyed(on, list(range(5_000)))
    part = part_of(on.database, on.describe("item"))
    whole = Grid(scheme="range", parts=1, low=0, high=4_999)

    with on.database.snapshot() as connection:
        digests = expected_digests(part, read(on.database, connection, part))
        by_range = canonical(on.database).digest_segments(connection, part, whole)
        by_bucket = canonical(on.database).digest_segments(connection, part, EVERYTHING)

    assert sum(digests.values()) > 2**70
    assert dict(by_range) == dict(by_bucket) == expected_segments(EVERYTHING, digests)


def test_unsigned_maxima(on: Scenario) -> None:
    """Keys up to 2**64 - 1 are told apart and put into segments, where a column can hold them."""
    sql_type = {"mysql": "BIGINT UNSIGNED", "postgresql": "BIGINT", "sqlite": "BIGINT"}[on.dialect]
    on.execute(f"CREATE TABLE item (id {sql_type} NOT NULL PRIMARY KEY, v VARCHAR(50))")
    highest = 2**64 - 1 if on.dialect == "mysql" else 2**63 - 1
    keys = [0, 1, 2**62, 2**63 - 1, *range(highest - 5, highest + 1)]
    insert(on.database, on.describe("item"), [(key, "x") for key in sorted(set(keys))])
    part = part_of(on.database, on.describe("item"))
    grid = Grid(scheme="range", parts=8, low=0, high=highest)
    narrow = Grid(scheme="range", parts=4, low=highest - 3, high=highest)

    with on.database.snapshot() as connection:
        digests = expected_digests(part, read(on.database, connection, part))
        for cut in (grid, narrow):
            assert dict(canonical(on.database).digest_segments(connection, part, cut)) == expected_segments(cut, digests)
            assert all_digests(on.database, connection, part, cut, [(-1, cut.parts)]) == digests
        assert canonical(on.database).key_bounds(connection, part) == (0, highest)


TEXT_KEYS = [
    "a",
    "A",
    "b ",
    "é",
    "e",
    "e\u0301",
    "ß",
    "ss",
    "'",
    '"',
    "a\tb",
    "a\nb",
    "\\",
    "\\N",
    "%s",
    "",
    "😀",
    "📦",
    "a|b",
    "007",
    "7",
]


def create_text_keyed(on: Scenario) -> None:
    """Make a table whose keys differ only by bytes, under the collation that tells the fewest apart without a clash."""
    collation = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if on.dialect == "mysql" else ""
    on.execute(f"CREATE TABLE item (k VARCHAR(20){collation} NOT NULL PRIMARY KEY, v INTEGER)")
    insert(on.database, on.describe("item"), [(key, number) for number, key in enumerate(TEXT_KEYS)])


def test_text_keys(on: Scenario) -> None:
    """Keys of text are found by their bytes, whatever is in them."""
    create_text_keyed(on)
    part = part_of(on.database, on.describe("item"))
    wanted = [(key,) for key in TEXT_KEYS[::2]]

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, part)
        digests = expected_digests(part, rows)
        assert all_digests(on.database, connection, part) == digests
        assert set(digests) == {(key,) for key in TEXT_KEYS}
        found = [row for batch in canonical(on.database).digest_keys(connection, part, wanted) for row in batch]
        chosen = read(on.database, connection, part, wanted)

    assert sorted(found) == sorted((key, digests[key]) for key in wanted)
    assert sorted(chosen) == sorted(row for row in rows if ((row[0] or b"").decode(),) in set(wanted))


@pytest.mark.parametrize("present", ["a", "A", "é", "b"])
def test_keys_that_a_collation_calls_equal(on: Scenario, present: str) -> None:
    """A key that differs only in case, in an accent or in trailing spaces is another key."""
    on.execute("CREATE TABLE item (k {CASELESS} NOT NULL PRIMARY KEY, v INTEGER)")
    insert(on.database, on.describe("item"), [(present, 1)])
    part = part_of(on.database, on.describe("item"))
    others = [(key,) for key in ("a", "A", "á", "Á", "é", "É", "e", "b", "b ", "B") if key != present]

    with on.database.snapshot() as connection:
        assert list(canonical(on.database).digest_keys(connection, part, others)) in ([], [[]])
        assert read(on.database, connection, part, others) == []
        assert len(read(on.database, connection, part, [*others, (present,)])) == 1


def test_composite_keys(on: Scenario) -> None:
    """Keys of several columns, in the order of the part, which may be another than the table's."""
    on.execute("CREATE TABLE item (region VARCHAR(20) NOT NULL, id INTEGER NOT NULL, v VARCHAR(20), PRIMARY KEY (region, id))")
    rows = [(region, number, f"{region}{number}") for region in ("a", "a b", "", "x'y", "z\\") for number in range(-2, 40)]
    insert(on.database, on.describe("item"), rows)
    part = part_of(on.database, on.describe("item"), key=["id", "region"])
    wanted = [("-2", "a"), ("39", "x'y"), ("0", ""), ("7", "z\\"), ("7", "nowhere"), ("40", "a")]

    with on.database.snapshot() as connection:
        texts = read(on.database, connection, part)
        digests = expected_digests(part, texts)
        assert all_digests(on.database, connection, part) == digests
        found = [row for batch in canonical(on.database).digest_keys(connection, part, wanted) for row in batch]
        chosen = read(on.database, connection, part, wanted)

    assert len(digests) == len(rows)
    assert sorted(found) == sorted((key, digests[key]) for key in wanted[:4])
    assert sorted(row[2] or b"" for row in chosen) == sorted([b"a-2", b"x'y39", b"0", b"z\\7"])


KEY_VALUES: dict[str, list[Any]] = {
    "decimal": ["1.10", "0.00", "-3.50", "12345.67"],
    "bytes": [b"\x00\xff", b"ab", b"", b"\\"],
    "date": ["2024-02-29", "1999-12-31"],
    "timestamp": ["2024-02-29 12:34:56.5", "1999-12-31 23:59:59"],
    "uuid": ["0190a3b4-1234-7abc-8def-0123456789ab", "0190a3b4-1234-7abc-8def-0123456789ac"],
}


@pytest.mark.parametrize("kind", KEY_VALUES)
def test_keys_of_other_kinds(on: Scenario, kind: str) -> None:
    """A key of any kind is found by its canonical text."""
    sql_type = TYPES[kind].get(on.dialect) or TYPES[kind][""]
    if on.dialect == "mysql" and kind == "bytes":
        sql_type = "VARBINARY(20)"
    on.execute(f"CREATE TABLE item (k {sql_type} NOT NULL PRIMARY KEY, v INTEGER)")
    insert(on.database, on.describe("item"), [(value, number) for number, value in enumerate(KEY_VALUES[kind])])
    part = part_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, part)
        digests = expected_digests(part, rows)
        wanted = sorted(digests)[1:]
        found = [row for batch in canonical(on.database).digest_keys(connection, part, wanted) for row in batch]
        chosen = read(on.database, connection, part, wanted)

    assert len(digests) == len(KEY_VALUES[kind])
    assert sorted(found) == [(key, digests[key]) for key in wanted]
    assert len(chosen) == len(wanted)


def test_many_keys(on: Scenario) -> None:
    """Thousands of keys may be asked for at once, and half of them may not be there."""
    create_keyed(on, list(range(0, 30_000, 2)))
    part = part_of(on.database, on.describe("item"))
    wanted = [(str(number),) for number in range(20_000)]

    with on.database.snapshot() as connection:
        found = [key for batch in canonical(on.database).digest_keys(connection, part, wanted) for (key,), _ in batch]
        rows = read(on.database, connection, part, wanted)

    assert sorted(map(int, found)) == list(range(0, 20_000, 2))
    assert sorted(int(key or b"") for key, _ in rows) == list(range(0, 20_000, 2))


def test_many_rows_come_in_blocks(on: Scenario) -> None:
    """A large table is read in blocks of whole lines, none of them large, and counted."""
    create_keyed(on, list(range(40_000)))
    part = part_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        blocks = list(canonical(on.database).read_text(connection, part))
        estimated = canonical(on.database).estimate_rows(connection, part)

    assert sum(count for count, _ in blocks) == 40_000
    assert all(block.count(b"\n") == count and block.endswith(b"\n") for count, block in blocks if count)
    assert max(len(block) for _, block in blocks) <= 4 * 1024 * 1024
    assert estimated >= 0


WINDOWS = {
    "timestamp": ("at", "2024-01-02 00:00:00.000000", "2024-01-04 00:00:00.000000", [2, 3]),
    "integer": ("id", "2", "5", [2, 3, 4]),
    "date": ("day", "2024-01-02", "2024-01-03", [2]),
    "empty": ("day", "2030-01-02", "2030-01-03", []),
    "decimal": ("price", "2.50", "10.00", [2, 3]),
}


@pytest.mark.parametrize(("column", "start", "end", "expected"), WINDOWS.values(), ids=WINDOWS)
def test_windows(on: Scenario, column: str, start: str, end: str, expected: list[int]) -> None:
    """A window has its first value and not its last, and never NULL, in everything that is asked."""
    on.execute("CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, at {DATETIME}, day DATE, price DECIMAL(8,2))")
    insert(
        on.database,
        on.describe("item"),
        [
            (1, "2024-01-01 23:59:59.999999", "2024-01-01", "2.49"),
            (2, "2024-01-02 00:00:00.000000", "2024-01-02", "2.50"),
            (3, "2024-01-03 12:00:00.500000", "2024-01-03", "9.99"),
            (4, "2024-01-04 00:00:00.000000", "2024-01-04", "10.00"),
            (5, None, None, None),
        ],
    )
    part = part_of(on.database, on.describe("item"), window=Window(column=column, start=start, end=end))
    grid = Grid(scheme="range", parts=2, low=1, high=5)

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, part)
        digests = expected_digests(part, rows)
        bounds = canonical(on.database).key_bounds(connection, part)
        segments = canonical(on.database).digest_segments(connection, part, grid)
        assert all_digests(on.database, connection, part, grid, [(-1, 2)]) == digests
        assert all_digests(on.database, connection, part) == digests

    assert sorted(int(row[0] or b"") for row in rows) == expected
    assert bounds == ((expected[0], expected[-1]) if expected else None)
    assert dict(segments) == expected_segments(grid, digests)


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_land_as_they_came(on: Scenario, kind: str) -> None:
    """What one database reads, another table of the same type takes, with the same digests."""
    create(on, kind)
    table = on.describe("item")
    insert(on.database, table, [*enumerate(inserted(on, kind)), (1000, None)])
    part = part_of(on.database, table)

    with on.database.connect() as connection:
        rows = read(on.database, connection, part)
        digests = all_digests(on.database, connection, part)
        types = [column.type for column in part.columns]
        staging, loaded = load(on.database, connection, table, rows, types, "_sync_test")
        landed = part_of(on.database, staging, types={"v": part.columns[1].type})
        assert sorted(read(on.database, connection, landed)) == sorted(rows)
        assert all_digests(on.database, connection, landed) == digests
        on.database.drop(connection, staging)

    assert loaded == len(rows)


def test_many_blocks_land(on: Scenario) -> None:
    """Blocks of any number of lines land, empty ones too, and are counted."""
    create_keyed(on, [])
    table = on.describe("item")
    part = part_of(on.database, table)
    rows = [(b"%d" % number, None if number % 7 == 0 else f"é\t{number}\\".encode()) for number in range(25_000)]

    with on.database.connect() as connection:
        staging, loaded = load(on.database, connection, table, rows, [column.type for column in part.columns], "_sync_test")
        assert read(on.database, connection, part_of(on.database, staging, key=["id"])) == rows
        on.database.drop(connection, staging)

    assert loaded == len(rows)


REFUSED: dict[str, tuple[str, str, bytes]] = {
    "not a number": ("integer", "integer", b"abc"),
    "fraction in an integer": ("integer", "integer", b"1.5"),
    "beyond 64 bits": ("integer", "integer", b"9223372036854775808"),
    "too many digits": ("decimal", "decimal", b"1.125"),
    "not a decimal": ("decimal", "decimal", b"x"),
    "rounded double": ("double", "double", b"9007199254740993"),
    "not hexadecimal": ("bytes", "bytes", b"0g"),
    "no such day": ("date", "date", b"2023-02-29"),
    "no such time": ("timestamp", "timestamp", b"2024-02-29 25:00:00.000000"),
    "not UTF-8": ("text", "text", b"\xff\xfe"),
}
"""Name: kind of the column, kind of the text, text."""

TAKEN_BY_SQLITE = {
    "not a number",
    "fraction in an integer",
    "too many digits",
    "not a decimal",
    "no such day",
    "no such time",
    "not UTF-8",
}
"""SQLite keeps whatever it is given as it is."""


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_mangled(on: Scenario, name: str) -> None:
    """A text that the column would change is refused with the names of table and column, or kept as it is."""
    kind, _, text = REFUSED[name]
    create(on, kind)
    table = on.describe("item")
    part = part_of(on.database, table)
    types = [column.type for column in part.columns]

    with on.database.connect() as connection:
        if on.dialect == "sqlite" and name in TAKEN_BY_SQLITE:
            staging, _ = load(on.database, connection, table, [(b"1", text)], types, "_sync_test")
            assert read(on.database, connection, part_of(on.database, staging)) == [(b"1", text)]
            on.database.drop(connection, staging)
        else:
            with pytest.raises(TableError) as caught, on.database.translate_errors():
                load(on.database, connection, table, [(b"1", text)], types, "_sync_test")
            assert "_sync_test" in str(caught.value)
            on.database.drop(connection, on.database.describe(connection, "_sync_test"))

    assert on.scalar("SELECT COUNT(*) FROM item") == 0


def test_lengths_and_missing_values_are_checked(on: Scenario) -> None:
    """A text longer than its column, a NULL where none may be, and the same key twice are refused."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(3) NOT NULL)")
    table = on.describe("item")
    types = [column.type for column in part_of(on.database, table).columns]
    refused: list[list[Text]] = [[(b"1", None)], [(b"1", b"a"), (b"1", b"b")]]
    if on.dialect != "sqlite":  # where a length is only a word
        refused.append([(b"1", b"abcd")])

    for rows in refused:
        with on.database.connect() as connection:
            with pytest.raises(TableError), on.database.translate_errors():
                load(on.database, connection, table, rows, types, "_sync_test")
            on.database.drop(connection, on.database.describe(connection, "_sync_test"))


def test_kinds(on: Scenario) -> None:
    """Every engine says what its columns hold in the terms that all share."""
    expected = {
        "integer": LogicalKind.INTEGER,
        "boolean": LogicalKind.INTEGER,
        "decimal": LogicalKind.DECIMAL,
        "double": LogicalKind.FLOAT,
        "single": LogicalKind.FLOAT,
        "text": LogicalKind.TEXT,
        "char": LogicalKind.TEXT,
        "bytes": LogicalKind.BYTES,
        "date": LogicalKind.DATE,
        "time": LogicalKind.TIME,
        "timestamp": LogicalKind.TIMESTAMP,
        "instant": LogicalKind.INSTANT,
        "json": LogicalKind.JSON,
    }
    columns = ", ".join(f"{kind}_ {TYPES[kind].get(on.dialect) or TYPES[kind]['']}" for kind in expected)
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, {columns})")
    table = on.describe("item")

    found = {
        kind: logical.kind
        for kind in expected
        if (logical := canonical(on.database).logical_type(table.column(f"{kind}_"))) is not None
    }

    assert found == expected
    decimal = canonical(on.database).logical_type(table.column("decimal_"))
    assert decimal is not None
    assert (decimal.scale, decimal.size) == (2, 14)
