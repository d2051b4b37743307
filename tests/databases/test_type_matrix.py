"""Every kind of value goes from every engine to every engine and has the same digest there, or is refused as the matrix says."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.type_rules import KEEPS_JSON_TEXT, map_type, mapped_type, spelled
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import ColumnDescription
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.databases.canonical_rows import all_digests, insert, load, read, slice_of
from tests.databases.canonical_types import TYPES
from tests.scenario import Scenario, opened

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "types.md"

KINDS = [kind for kind in TYPES if kind != "unsigned"]

Pair = tuple[Scenario, Scenario]

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)


def _moments(first: datetime.datetime, last: datetime.datetime) -> st.SearchStrategy[str]:
    return st.datetimes(first, last).map(lambda moment: moment.isoformat(sep=" ", timespec="microseconds"))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "decimal": st.decimals(-(10**11), 10**11, places=2).map(lambda value: str(value + 0)),
    "whole": st.integers(-(10**14), 10**14).map(str),
    "double": st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    "single": st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False).filter(
        lambda value: abs(value) > 1e-30 or not value
    ),
    "text": _TEXT,
    "char": st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=5).map(lambda text: text.rstrip(" ")),
    "bytes": st.binary(max_size=20),
    "date": st.dates(datetime.date(1000, 1, 1)).map(str),
    "time": st.times().map(lambda time: time.isoformat(timespec="microseconds")),
    "timestamp": _moments(datetime.datetime(1000, 1, 1), datetime.datetime(9999, 12, 31)),
    "instant": _moments(datetime.datetime(1971, 1, 1), datetime.datetime(2037, 1, 1)),
    "uuid": st.uuids().map(str),
    "json": _JSON.map(json.dumps),
}

ROWS = st.lists(st.tuples(*(st.none() | VALUES[kind] for kind in KINDS)), max_size=12)


@pytest.fixture
def pair(pair_urls: tuple[str, str]) -> Iterator[Pair]:
    """Give a source and a target, each with a table that has a column of every kind."""
    with opened(pair_urls[0]) as source, opened(pair_urls[1]) as target:
        yield source, target


def create(on: Scenario, **types: str) -> None:
    """Make a table with a column of each kind, of other types where told."""
    columns = ", ".join(f"{kind}_ {types.get(kind) or TYPES[kind].get(on.dialect) or TYPES[kind]['']}" for kind in KINDS)
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, {columns})")


def carry(source: Scenario, target: Scenario, rows: list[tuple[Any, ...]]) -> None:
    """Bring rows from the source into a staging table of the target, and compare the digests on both sides."""
    table = source.describe("item")
    source.execute("DELETE FROM item")
    insert(source.database, table, [(number, *row) for number, row in enumerate(rows)])
    table_slice = slice_of(source.database, table)
    with source.database.snapshot() as connection:
        texts = read(source.database, connection, table_slice)
        digests = all_digests(source.database, connection, table_slice)
    with target.database.connect() as connection:
        described = target.database.catalog.describe(connection, "item")
        types = [
            mapped_type("item", column.type, own, target.database.catalog.logical_type(own))
            for column, own in zip(table_slice.columns, described.columns, strict=True)
        ]
        staging, loaded = load(target.database, connection, described, texts, types, "_sync_test")
        try:
            landed = slice_of(
                target.database,
                staging,
                key=["id"],
                types={column.name: logical for column, logical in zip(described.columns, types, strict=True)},
            )
            assert loaded == len(rows)
            assert all_digests(target.database, connection, landed) == digests
            assert len(digests) == len(rows)
        finally:
            target.database.ddl.drop(connection, staging)


def prepare(pair: Pair) -> None:
    """Make both tables; JSON lands in text where the target's database would write it anew."""
    source, target = pair
    create(source)
    create(target, json="LONGTEXT" if target.dialect == "mysql" else "TEXT")


@settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def _few(pair: Pair, rows: list[tuple[Any, ...]]) -> None:
    carry(*pair, rows)


@settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def _many(pair: Pair, rows: list[tuple[Any, ...]]) -> None:
    carry(*pair, rows)


def test_every_kind_between_every_pair(pair: Pair) -> None:
    """Rows of every kind have one digest on both sides of every pair of engines."""
    prepare(pair)
    _few(pair)


@pytest.mark.slow
def test_many_rows_between_every_pair(pair: Pair) -> None:
    """Rows of every kind with any values have one digest on both sides of every pair of engines."""
    prepare(pair)
    _many(pair)


def test_json_between_databases(pair: Pair) -> None:
    """JSON is synced where its text is kept, and refused where the database would rewrite it."""
    source, target = pair
    for on in pair:
        create(on)
    theirs = source.database.catalog.logical_type(source.describe("item").column("json_"))
    column = target.describe("item").column("json_")
    own = target.database.catalog.logical_type(column)
    assert theirs is not None
    assert own is not None
    assert own.kind is LogicalKind.JSON

    if theirs.json_dialect == own.json_dialect or own.json_dialect in KEEPS_JSON_TEXT:
        assert mapped_type("item", theirs, column, own) == theirs
    else:
        with pytest.raises(TableError, match="text type"):
            mapped_type("item", theirs, column, own)


def test_targets_made_from_a_description(pair: Pair) -> None:
    """A target created from the source's description accepts every row of the source."""
    source, target = pair
    create(source)
    table = source.describe("item")
    table_slice = slice_of(source.database, table)
    columns = [ColumnDescription(name=column.column.name, type=column.type) for column in table_slice.columns]
    with target.database.connect() as connection:
        connection.exec_driver_sql(target.database.ddl.create_table_statement("item", columns, ["id"]))

    _few(pair)

    assert target.describe("item").primary_key == ("id",)
    assert target.scalar("SELECT COUNT(*) FROM item") == 0


ENFORCED = [
    LogicalType(kind=LogicalKind.INTEGER),
    LogicalType(kind=LogicalKind.BOOLEAN),
    LogicalType(kind=LogicalKind.DECIMAL, precision=12, scale=2),
    LogicalType(kind=LogicalKind.DECIMAL, precision=20, scale=0),
    LogicalType(kind=LogicalKind.FLOAT64),
    LogicalType(kind=LogicalKind.FLOAT32),
    LogicalType(kind=LogicalKind.TEXT),
    LogicalType(kind=LogicalKind.TEXT, fixed_width=True),
    LogicalType(kind=LogicalKind.BYTES),
    LogicalType(kind=LogicalKind.DATE),
    LogicalType(kind=LogicalKind.TIME, scale=6),
    LogicalType(kind=LogicalKind.TIMESTAMP, scale=0),
    LogicalType(kind=LogicalKind.TIMESTAMP, scale=6),
    LogicalType(kind=LogicalKind.TIMESTAMPTZ, scale=6),
    LogicalType(kind=LogicalKind.UUID),
    LogicalType(kind=LogicalKind.JSON, json_dialect="mysql"),
    LogicalType(kind=LogicalKind.JSON, json_dialect="mariadb"),
    LogicalType(kind=LogicalKind.JSON, json_dialect="postgresql"),
    LogicalType(kind=LogicalKind.JSON, json_dialect="duckdb"),
]
DECLARED = [
    LogicalType(kind=LogicalKind.INTEGER, enforced=False),
    LogicalType(kind=LogicalKind.BOOLEAN, enforced=False),
    LogicalType(kind=LogicalKind.DECIMAL, precision=12, scale=2, enforced=False),
    LogicalType(kind=LogicalKind.FLOAT64, enforced=False),
    LogicalType(kind=LogicalKind.TEXT, enforced=False),
    LogicalType(kind=LogicalKind.BYTES, enforced=False),
    LogicalType(kind=LogicalKind.DATE, enforced=False),
    LogicalType(kind=LogicalKind.TIME, scale=6, enforced=False),
    LogicalType(kind=LogicalKind.TIMESTAMP, scale=6, enforced=False),
    LogicalType(kind=LogicalKind.TIMESTAMPTZ, scale=6, enforced=False),
    LogicalType(kind=LogicalKind.UUID, enforced=False),
    LogicalType(kind=LogicalKind.JSON, json_dialect="sqlite", enforced=False),
    LogicalType(kind=LogicalKind.ANY),
]


def _wider(kind: LogicalKind) -> LogicalKind:
    return {LogicalKind.BOOLEAN: LogicalKind.INTEGER, LogicalKind.FLOAT32: LogicalKind.FLOAT64}.get(kind, kind)


def published(sources: list[LogicalType], targets: list[LogicalType]) -> str:
    """Write the pairs that are not refused as a table."""
    lines = ["| source | target | values |", "|---|---|---|"]
    for source in sources:
        allowed: dict[str, list[str]] = {"equal": []}
        for own in targets:
            with suppress(TableError):
                # Rows for every wrong type that SQLite puts up with would hide the others.
                if not own.enforced and _wider(own.kind) not in (_wider(source.kind), LogicalKind.TEXT):
                    continue
                mapped = map_type("t", source, Column(name="c", kind=Kind.OTHER, sql_type=spelled(own)), own)
                allowed.setdefault(mapped.conversion or "equal", []).append(spelled(own))
        lines += [f"| {spelled(source)} | {', '.join(names)} | {values} |" for values, names in allowed.items() if names]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("sources", "targets"),
    [(ENFORCED, ENFORCED), (ENFORCED, DECLARED), (DECLARED, ENFORCED), (DECLARED, DECLARED)],
    ids=["between servers", "into SQLite", "from SQLite", "between SQLite databases"],
)
def test_the_matrix_is_published(sources: list[LogicalType], targets: list[LogicalType]) -> None:
    """The documentation lists every allowed pair of types, and how values are converted."""
    assert published(sources, targets) in PAGE.read_text()


@pytest.mark.parametrize(
    ("source", "own"),
    [
        (LogicalType(kind=LogicalKind.BYTES), LogicalType(kind=LogicalKind.TEXT)),
        (LogicalType(kind=LogicalKind.FLOAT64), LogicalType(kind=LogicalKind.DECIMAL, precision=9, scale=2)),
        (LogicalType(kind=LogicalKind.FLOAT64), LogicalType(kind=LogicalKind.FLOAT32)),
        (
            LogicalType(kind=LogicalKind.DECIMAL, precision=9, scale=3),
            LogicalType(kind=LogicalKind.DECIMAL, precision=9, scale=2),
        ),
        (LogicalType(kind=LogicalKind.TIMESTAMP, scale=6), LogicalType(kind=LogicalKind.TIMESTAMP, scale=0)),
        (LogicalType(kind=LogicalKind.TIMESTAMP, scale=6), LogicalType(kind=LogicalKind.TIMESTAMPTZ, scale=6)),
        (LogicalType(kind=LogicalKind.TEXT), LogicalType(kind=LogicalKind.INTEGER)),
        (LogicalType(kind=LogicalKind.DATE), None),
    ],
)
def test_refusals_say_what_to_do(source: LogicalType, own: LogicalType | None) -> None:
    """A refusal names table and column, and what to change."""
    column = Column(name="price", kind=Kind.OTHER, sql_type="thing(1)")

    with pytest.raises(TableError, match=r"'shop', column 'price' \(thing\(1\)\).*`columns`"):
        map_type("shop", source, column, own)
