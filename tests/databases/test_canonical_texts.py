"""On every engine, version 2 finds the same texts for the same values, and the digests of those texts for the rows."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.v2.types import LogicalKind
from tests.databases.canonical_rows import all_digests, create_keyed, expected_digests, insert, read, slice_of
from tests.databases.canonical_types import TEXTS, TYPES, create, inserted
from tests.scenario import Scenario


@pytest.mark.parametrize("kind", TEXTS)
def test_canonical_texts(on: Scenario, kind: str) -> None:
    """A value has one text on every engine, and the digest in the database is that of the text."""
    create(on, kind)
    table = on.describe("item")
    insert(on.database, table, [*enumerate(inserted(on, kind)), (1000, None)])
    table_slice = slice_of(on.database, table)

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        digests = all_digests(on.database, connection, table_slice)

    texts = {number: text.encode() for number, (_, text) in enumerate(TEXTS[kind])}
    assert {int(number or b""): value for number, value in rows} == {**texts, 1000: None}
    assert digests == expected_digests(table_slice, rows)


def test_kinds(on: Scenario) -> None:
    """Every engine returns the common logical types for its columns."""
    expected = {
        "integer": LogicalKind.INTEGER,
        "boolean": LogicalKind.INTEGER if on.dialect == "mysql" else LogicalKind.BOOLEAN,
        "decimal": LogicalKind.DECIMAL,
        "double": LogicalKind.FLOAT64,
        "single": LogicalKind.FLOAT64 if on.dialect == "sqlite" else LogicalKind.FLOAT32,
        "text": LogicalKind.TEXT,
        "char": LogicalKind.TEXT,
        "bytes": LogicalKind.BYTES,
        "date": LogicalKind.DATE,
        "time": LogicalKind.TIME,
        "timestamp": LogicalKind.TIMESTAMP,
        "instant": LogicalKind.TIMESTAMPTZ,
        "json": LogicalKind.JSON,
    }
    columns = ", ".join(f"{kind}_ {TYPES[kind].get(on.dialect) or TYPES[kind]['']}" for kind in expected)
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, {columns})")
    table = on.describe("item")

    found = {
        kind: logical.kind
        for kind in expected
        if (logical := on.database.catalog.logical_type(table.column(f"{kind}_"))) is not None
    }

    assert found == expected
    decimal = on.database.catalog.logical_type(table.column("decimal_"))
    assert decimal is not None
    assert (decimal.scale, decimal.precision) == (2, 14)


def test_wide_rows(on: Scenario) -> None:
    """With more columns than bits of a number, NULLs are written for each sixty columns."""
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
    table_slice = slice_of(on.database, table)

    with on.database.snapshot() as connection:
        digests = all_digests(on.database, connection, table_slice)
        assert digests == expected_digests(table_slice, read(on.database, connection, table_slice))

    assert len(set(digests.values())) == 4


def test_columns_in_the_order_asked_for(on: Scenario) -> None:
    """A slice has the requested columns in order; names are quoted."""
    first, second = map(on.database.quote, ("or der", "a%b"))
    with on.database.connect() as connection:
        connection.exec_driver_sql(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, {first} VARCHAR(9), {second} INTEGER)")
    table = on.describe("item")
    insert(on.database, table, [(1, "x", 5)])
    table_slice = slice_of(on.database, table, columns=["a%b", "or der", "id"])

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        digests = all_digests(on.database, connection, table_slice)

    assert rows == [(b"5", b"x", b"1")]
    assert digests == expected_digests(table_slice, rows)


def test_many_rows_come_in_blocks(on: Scenario) -> None:
    """A large table is read and counted in small blocks of whole lines."""
    create_keyed(on, list(range(40_000)))
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        blocks = list(on.database.reader.read_text(connection, table_slice))
        estimated = on.database.digests.estimate_rows(connection, table_slice)

    assert sum(count for count, _ in blocks) == 40_000
    assert all(block.count(b"\n") == count and block.endswith(b"\n") for count, block in blocks if count)
    assert max(len(block) for _, block in blocks) <= 4 * 1024 * 1024
    assert estimated >= 0
