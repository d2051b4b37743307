"""What version 2 answers about many tables at once: the same as about each, and an error of one is not an error of all."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from airflow_provider_sync.protocol.v2.messages import (
    MAX_TABLES,
    ONE_SEGMENT,
    Described,
    DescribeTables,
    Message,
    RequestedSlice,
    Segments,
    TableDone,
    TableFailed,
)
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.tables.served_tables import execute, served
from tests.server.tables.test_table_answers import many_rows
from tests.server.tables.version2_answers import T, describe, messages, refusal
from tests.server.wire import ask, config

TOKEN = "a-token-of-sixteen-characters"


@pytest.fixture
def base(url: str) -> Iterator[str]:
    """Serve the table, a copy of it, and some that cannot be described."""
    execute(
        url,
        "CREATE TABLE u (id INT NOT NULL PRIMARY KEY, c VARCHAR(20))",
        "CREATE TABLE keyless (a INT)",
        "CREATE TABLE nulls (id INT, c INT)",
        "INSERT INTO nulls VALUES (NULL, 1)",
    )
    with served(url, t={}, u={}, keyless={}, missing={}, nulls={"primary": "id"}) as base:
        yield base


def ask_about(base: str, *names: str, max_rows: int = 1000) -> list[list[Message]]:
    """Return the messages about each table."""
    request = DescribeTables(table_slices=tuple(RequestedSlice(name=name) for name in names), max_rows=max_rows)
    found: list[list[Message]] = [[]]
    for message in messages(ask(base, "/describeTables", request)):
        found[-1].append(message)
        if isinstance(message, TableDone | TableFailed):
            assert message.number == len(found) - 1
            found.append([])
    assert found.pop() == []
    return found


def test_each_is_answered_as_alone(base: str) -> None:
    """Tables are answered in order, each with its own description and the sum of its segments as one."""
    empty, filled = ask_about(base, "u", "t")
    described, segments = describe(base)
    assert filled[0] == msgspec.structs.replace(described, partitioning=ONE_SEGMENT)
    counts, sums = zip(*segments.values(), strict=True)
    assert filled[1:] == [
        Segments(numbers=(0,), counts=(sum(counts),), sums=(sum(sums) % 2**64,)), TableDone(number=1)
    ]  # fmt: skip
    without_rows = describe(base, RequestedSlice(name="u"))[0]
    assert empty[0] == msgspec.structs.replace(without_rows, partitioning=ONE_SEGMENT)
    assert empty[1:] == [Segments(numbers=(), counts=(), sums=()), TableDone(number=0)]


def test_failures_are_of_one_table(base: str, caplog: pytest.LogCaptureFixture) -> None:
    """A missing, unknown or keyless table fails alone, with status and reason; the next ones are answered."""
    *failed, last = ask_about(base, "missing", "nope", "keyless", "nulls", "t")
    reasons = [(message.status, message.message) for [message] in failed if isinstance(message, TableFailed)]
    assert [status for status, _ in reasons] == [422] * 4
    for (_, reason), expected in zip(
        reasons, ("missing", "not in sync-server", "no primary key", "without a value"), strict=True
    ):
        assert expected in reason
    assert last[-1] == TableDone(number=4)
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Table ")]
    assert [
        line.count(name) for line, name in zip(lines, ("Table 'missing'", "Table 'nope'", "Table 'keyless'"), strict=False)
    ] == [1, 1, 1]


def test_large_tables_are_described_only(url: str) -> None:
    """A table with more rows than allowed has no digests, says so, and is cut as in its own request."""
    execute(url, "DELETE FROM t", *many_rows(3000))
    with served(url, t={}) as base:
        [[described, done]] = ask_about(base, "t", max_rows=100)
        assert described == describe(base)[0]
    assert isinstance(described, Described)
    assert done == TableDone(number=0, digested=False)


def test_tokens(sqlite_url: str) -> None:
    """A table that the token may not see is answered like a missing one."""
    execute(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "CREATE TABLE u (id INTEGER PRIMARY KEY)")
    offered = config(sqlite_url, tables={"t": {}, "u": {}}, tokens=[{"token": TOKEN, "tables": ["t"]}])
    with RunningServer(offered) as server:
        request = DescribeTables(table_slices=(RequestedSlice(name="u"), RequestedSlice(name="nope"), T), max_rows=10)
        hidden, unknown, *rest = messages(ask(server.url, "/describeTables", request, token=TOKEN))
    assert isinstance(hidden, TableFailed)
    assert isinstance(unknown, TableFailed)
    assert (hidden.status, hidden.message) == (unknown.status, unknown.message)
    assert rest[-1] == TableDone(number=2)


@pytest.mark.parametrize("count", [0, MAX_TABLES + 1])
def test_bounds(refusing: str, count: int) -> None:
    """A request about no table, or about more than the capabilities allow, is refused."""
    request = json.dumps({"table_slices": [{"name": "t"}] * count, "max_rows": 10}).encode()
    field, message = refusal(ask(refusing, "/describeTables", request))
    assert field == "table_slices"
    assert "length" in message
