"""On every engine, rows are found by the canonical texts of their keys, byte by byte."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from airflow_provider_sync.exceptions import TableError
from tests.databases.canonical_rows import all_digests, create_keyed, expected_digests, insert, read, slice_of
from tests.databases.canonical_types import TYPES
from tests.scenario import Scenario

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
    """Text keys are found by their bytes, with any content."""
    create_text_keyed(on)
    table_slice = slice_of(on.database, on.describe("item"))
    wanted = [(key,) for key in TEXT_KEYS[::2]]

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        digests = expected_digests(table_slice, rows)
        assert all_digests(on.database, connection, table_slice) == digests
        assert set(digests) == {(key,) for key in TEXT_KEYS}
        found = [row for batch in on.database.digests.digest_keys(connection, table_slice, wanted) for row in batch]
        chosen = read(on.database, connection, table_slice, wanted)

    assert sorted(found) == sorted((key, digests[key]) for key in wanted)
    assert sorted(chosen) == sorted(row for row in rows if ((row[0] or b"").decode(),) in set(wanted))


@pytest.mark.parametrize("present", ["a", "A", "é", "b"])
def test_keys_that_a_collation_calls_equal(on: Scenario, present: str) -> None:
    """A key that differs only in case, an accent or trailing spaces is another key."""
    on.execute("CREATE TABLE item (k {CASELESS} NOT NULL PRIMARY KEY, v INTEGER)")
    insert(on.database, on.describe("item"), [(present, 1)])
    table_slice = slice_of(on.database, on.describe("item"))
    others = [(key,) for key in ("a", "A", "á", "Á", "é", "É", "e", "b", "b ", "B") if key != present]

    with on.database.snapshot() as connection:
        assert list(on.database.digests.digest_keys(connection, table_slice, others)) in ([], [[]])
        assert read(on.database, connection, table_slice, others) == []
        assert len(read(on.database, connection, table_slice, [*others, (present,)])) == 1


def test_composite_keys(on: Scenario) -> None:
    """Keys of several columns may have another order than the table's columns."""
    on.execute("CREATE TABLE item (region VARCHAR(20) NOT NULL, id INTEGER NOT NULL, v VARCHAR(20), PRIMARY KEY (region, id))")
    rows = [(region, number, f"{region}{number}") for region in ("a", "a b", "", "x'y", "z\\") for number in range(-2, 40)]
    insert(on.database, on.describe("item"), rows)
    table_slice = slice_of(on.database, on.describe("item"), key=["id", "region"])
    wanted = [("-2", "a"), ("39", "x'y"), ("0", ""), ("7", "z\\"), ("7", "nowhere"), ("40", "a")]

    with on.database.snapshot() as connection:
        texts = read(on.database, connection, table_slice)
        digests = expected_digests(table_slice, texts)
        assert all_digests(on.database, connection, table_slice) == digests
        found = [row for batch in on.database.digests.digest_keys(connection, table_slice, wanted) for row in batch]
        chosen = read(on.database, connection, table_slice, wanted)

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
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        digests = expected_digests(table_slice, rows)
        wanted = sorted(digests)[1:]
        found = [row for batch in on.database.digests.digest_keys(connection, table_slice, wanted) for row in batch]
        chosen = read(on.database, connection, table_slice, wanted)

    assert len(digests) == len(KEY_VALUES[kind])
    assert sorted(found) == [(key, digests[key]) for key in wanted]
    assert len(chosen) == len(wanted)


def test_many_keys(on: Scenario) -> None:
    """Thousands of keys may be requested at once, even if half of them do not exist."""
    create_keyed(on, list(range(0, 30_000, 2)))
    table_slice = slice_of(on.database, on.describe("item"))
    wanted = [(str(number),) for number in range(20_000)]

    with on.database.snapshot() as connection:
        found = [key for batch in on.database.digests.digest_keys(connection, table_slice, wanted) for (key,), _ in batch]
        rows = read(on.database, connection, table_slice, wanted)

    assert sorted(map(int, found)) == list(range(0, 20_000, 2))
    assert sorted(int(key or b"") for key, _ in rows) == list(range(0, 20_000, 2))


def test_errors_of_staged_rows_name_the_target(on: Scenario) -> None:
    """The error for a row without a usable key names the target instead of the staging table."""
    key = "'x'" if on.dialect == "sqlite" else "NULL"
    on.execute("CREATE TABLE _sync_1 (id INTEGER, v INTEGER)", f"INSERT INTO _sync_1 VALUES (1, 1), ({key}, 2)")
    staging = msgspec.structs.replace(on.describe("_sync_1"), stands_for="orders")
    table_slice = slice_of(on.database, staging, key=["id"])
    ask = on.database.digests.key_bounds if on.dialect == "sqlite" else partial(all_digests, on.database)
    with on.database.snapshot() as connection, pytest.raises(TableError, match="Table 'orders'"):
        ask(connection, table_slice)
