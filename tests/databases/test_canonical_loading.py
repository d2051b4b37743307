"""On every engine, canonical texts land in a table as they came, or are refused."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import TableError
from tests.databases.canonical_rows import Text, all_digests, create_keyed, insert, load, read, slice_of
from tests.databases.canonical_types import TEXTS, create, inserted
from tests.scenario import Scenario


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_land_as_they_came(on: Scenario, kind: str) -> None:
    """Texts read from one database are loaded into a table of the same type with the same digests."""
    create(on, kind)
    table = on.describe("item")
    insert(on.database, table, [*enumerate(inserted(on, kind)), (1000, None)])
    table_slice = slice_of(on.database, table)

    with on.database.connect(loading=True) as connection:
        rows = read(on.database, connection, table_slice)
        digests = all_digests(on.database, connection, table_slice)
        types = [column.type for column in table_slice.columns]
        staging, loaded = load(on.database, connection, table, rows, types, "_sync_test")
        landed = slice_of(on.database, staging, types={"v": table_slice.columns[1].type})
        assert sorted(read(on.database, connection, landed)) == sorted(rows)
        assert all_digests(on.database, connection, landed) == digests
        on.database.ddl.drop(connection, staging)

    assert loaded == len(rows)


def test_many_blocks_land(on: Scenario) -> None:
    """Blocks of any number of lines, including empty ones, are loaded and counted."""
    create_keyed(on, [])
    table = on.describe("item")
    table_slice = slice_of(on.database, table)
    rows = [(b"%d" % number, None if number % 7 == 0 else f"é\t{number}\\".encode()) for number in range(25_000)]

    with on.database.connect(loading=True) as connection:
        staging, loaded = load(
            on.database, connection, table, rows, [column.type for column in table_slice.columns], "_sync_test"
        )
        assert read(on.database, connection, slice_of(on.database, staging, key=["id"])) == rows
        on.database.ddl.drop(connection, staging)

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
    "not UTF-8 in an integer": ("integer", "integer", b"\xff\xfe"),
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
    "not UTF-8 in an integer",
}
"""SQLite keeps whatever it is given as it is."""


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_mangled(on: Scenario, name: str) -> None:
    """A text that the column would change is refused with table and column, or kept unchanged."""
    kind, _, text = REFUSED[name]
    create(on, kind)
    table = on.describe("item")
    table_slice = slice_of(on.database, table)
    types = [column.type for column in table_slice.columns]

    with on.database.connect(loading=True) as connection:
        if on.dialect == "sqlite" and name in TAKEN_BY_SQLITE:
            staging, _ = load(on.database, connection, table, [(b"1", text)], types, "_sync_test")
            assert read(on.database, connection, slice_of(on.database, staging)) == [(b"1", text)]
            on.database.ddl.drop(connection, staging)
        else:
            with pytest.raises(TableError) as caught, on.database.translate_errors():
                load(on.database, connection, table, [(b"1", text)], types, "_sync_test")
            assert "_sync_test" in str(caught.value)
            # A source may have what is not UTF-8, so that another version helps nobody.
            assert "UTF-8" not in name or "same version" not in str(caught.value)
            on.database.ddl.drop(connection, on.database.catalog.describe(connection, "_sync_test"))

    assert on.scalar("SELECT COUNT(*) FROM item") == 0


def test_lengths_and_missing_values_are_checked(on: Scenario) -> None:
    """A too long text, a forbidden NULL, and a duplicate key are refused."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(3) NOT NULL)")
    table = on.describe("item")
    types = [column.type for column in slice_of(on.database, table).columns]
    refused: list[list[Text]] = [[(b"1", None)], [(b"1", b"a"), (b"1", b"b")]]
    if on.dialect not in ("sqlite", "duckdb"):  # where a length is only a word
        refused.append([(b"1", b"abcd")])

    for rows in refused:
        with on.database.connect(loading=True) as connection:
            with pytest.raises(TableError), on.database.translate_errors():
                load(on.database, connection, table, rows, types, "_sync_test")
            on.database.ddl.drop(connection, on.database.catalog.describe(connection, "_sync_test"))
