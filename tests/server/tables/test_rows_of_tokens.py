"""Tokens that see other rows, or other entries, under the same name."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.protocol.v2 import tsv
from airflow_provider_sync.protocol.v2.messages import (
    Capabilities,
    Described,
    DescribeTable,
    DescribeTables,
    DigestRows,
    GetRows,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
    TableDone,
)
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.tables.served_tables import execute
from tests.server.tables.version2_answers import ALL, messages, refusal
from tests.server.wire import ask, post, send

ORDERS = RequestedSlice(name="orders")
SEEN = {
    "all": [b"1", b"2", b"3", b"4"],
    "north": [b"1", b"2"],
    "few": [b"2"],
    "partner": [b"3"],
    "pattern": [b"3", b"4"],
}
"""Keys of the orders that each token sees."""


@pytest.fixture
def base(sqlite_url: str) -> Iterator[str]:
    """Serve orders and other tables to five tokens."""
    execute(
        sqlite_url,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, branch TEXT, secret TEXT)",
        "INSERT INTO orders VALUES (1, 'north', 'a'), (2, 'north', 'b'), (3, 'south', 'c'), (4, 'south', 'd')",
    )
    settings: dict[str, Any] = {
        "connections": {"source": sqlite_url},
        "tables": {"*": {}, "orders": {}, "third": {"query": "SELECT id, branch FROM orders WHERE id >= 3", "primary": "id"}},
        "tokens": [
            "all",
            {"token": "north", "tables": ["orders"], "where": {"orders": "branch = 'north' -- only"}},
            {"token": "few", "where": {"orders": ["branch = 'north'", "id > 1"]}},
            {"token": "partner", "tables": {"orders": "third"}, "where": {"orders": "id = 3"}},
            {"token": "pattern", "tables": ["ord*"], "where": {"orders": "secret > 'b'"}},
        ],
    }
    with RunningServer(ServerConfig.from_dict(settings)) as server:
        yield server.url


@pytest.mark.parametrize("token", SEEN)
def test_rows_by_version2(base: str, token: str) -> None:
    """Descriptions, digests and rows are those of the rows that the token sees."""
    described, segments = messages(ask(base, "/describeTable", DescribeTable(table_slice=ORDERS), token=token))
    assert isinstance(described, Described)
    assert isinstance(segments, Segments)
    names = ["id", "branch"] if token == "partner" else ["id", "branch", "secret"]
    assert [column.name for column in described.columns] == names
    assert sum(segments.counts) == described.rows == len(SEEN[token])
    (digests,) = messages(
        ask(base, "/digestRows", DigestRows(table_slice=ORDERS, partitioning=ALL, segment_ranges=((0, 0),)), token=token)
    )
    assert isinstance(digests, RowDigests)
    assert [key for (key,) in tsv.decode_keys(digests.keys, 1)] == [key.decode() for key in SEEN[token]]
    # A row that the token does not see is not found by its key, either.
    for keys in (None, "1\n2\n3\n4\n"):
        (rows,) = messages(ask(base, "/getRows", GetRows(table_slice=ORDERS, keys=keys), token=token))
        assert isinstance(rows, Rows)
        assert [row[0] for row in tsv.decode_rows(rows.data, len(names))] == SEEN[token]
    together = messages(ask(base, "/describeTables", DescribeTables(table_slices=(ORDERS,), max_rows=9), token=token))
    # A small table comes as one segment, a query as the segments that it has alone.
    partitioning = None if token == "partner" else ALL
    alone = messages(ask(base, "/describeTable", DescribeTable(table_slice=ORDERS, partitioning=partitioning), token=token))
    assert together == [*alone, TableDone(number=0)]


@pytest.mark.parametrize("token", SEEN)
def test_rows_by_version1(base: str, token: str) -> None:
    """Rows and hash are those of the rows that the token sees."""
    answer = post(base, "/getTable", {"config_name": "orders"}, token=token)
    lines = zlib.decompress(answer.body, wbits=31).decode().splitlines()
    assert [str(json.loads(line)["id"]).encode() for line in lines if line] == SEEN[token]
    if token != "partner":
        hashes = {name: post(base, "/getTableHash", {"config_name": "orders"}, token=name).body for name in (token, "all")}
        assert (hashes[token] == hashes["all"]) == (token == "all")


def test_names(base: str) -> None:
    """A token with a mapping sees only the mapped names, in every request."""
    answer = send(base, "GET", "/capabilities", headers={"Authorization": "Bearer partner"})
    assert list(msgspec.json.decode(answer.body, type=Capabilities).tables) == ["orders"]
    for name in ("third", "nope"):
        answer = ask(base, "/getRows", GetRows(table_slice=RequestedSlice(name=name)), token="partner")
        assert refusal(answer)[0] == "config_name"
        assert post(base, "/getTable", {"config_name": name}, token="partner").status == 422
