"""Snapshots that are held for a client: by whom they can be read, for how long, and how many there may be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ServerError
from airflow_provider_sync.protocol.v2.messages import (
    DescribeTable,
    DescribeTables,
    GetRows,
    HoldSnapshot,
    RequestedSlice,
    SnapshotHeld,
)
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.process.running import wait_until
from tests.server.tables.served_tables import execute
from tests.server.tables.version2_answers import messages, refusal
from tests.server.wire import Answer, ask, config

TOKENS = ("a-token-of-sixteen-characters", "another-token-of-sixteen-characters")
HOLD = HoldSnapshot(tables=("t",))


@contextmanager
def holding_server(url: str, **settings: Any) -> Iterator[str]:
    """Serve a table of one row, and one of another database."""
    execute(url, "CREATE TABLE t (id INT NOT NULL PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    with RunningServer(config(url, **{"tables": {"t": {}}, **settings})) as server:
        yield server.url


def read(base: str, snapshot: str, *, token: str | None = None) -> Answer:
    """Ask for the rows of a snapshot."""
    return ask(base, "/getRows", GetRows(table_slice=RequestedSlice(name="t", snapshot=snapshot)), token=token)


def hold(base: str, *, token: str | None = None) -> str:
    """Hold a snapshot until the server ends it, and return its name."""
    first, *rest = messages(ask(base, "/holdSnapshot", HOLD, token=token))
    assert isinstance(first, SnapshotHeld)
    assert not rest
    return first.snapshot


def gone(answer: Answer) -> str:
    """Return the message about a snapshot that is not held."""
    assert answer.status == 410, answer.body
    return str(json.loads(answer.body)["message"])


def test_a_snapshot_that_ran_out(sqlite_url: str) -> None:
    """After its time a snapshot is gone; the error names the table, both options, and what to do."""
    with holding_server(sqlite_url, limits={"snapshot_seconds": 0.05}) as base:
        message = gone(read(base, hold(base)))
    for words in ("Table 't'", "`consistent`", "0.05 seconds", "limits.snapshot_seconds", "Sync again"):
        assert words in message


def test_another_process(sqlite_url: str) -> None:
    """A snapshot of another server process is an error that says so, at every endpoint."""
    with holding_server(sqlite_url) as base:
        elsewhere = RequestedSlice(name="t", snapshot="0123abcd.some-name")
        for path, request in (
            ("/getRows", GetRows(table_slice=elsewhere)),
            ("/describeTable", DescribeTable(table_slice=elsewhere)),
            ("/describeTables", DescribeTables(table_slices=(elsewhere,), max_rows=10)),
        ):
            message = gone(ask(base, path, request))
            assert "Several processes answer at this address, or the server was restarted" in message
            assert "Table 't'" in message


def test_snapshots_are_of_one_token(sqlite_url: str) -> None:
    """Only the token that holds a snapshot can read it; for others, it does not exist."""
    with (
        holding_server(sqlite_url, tokens=list(TOKENS)) as base,
        SyncClient(base, token=TOKENS[0], retries=0) as client,
        client.holding_snapshot(["t"]),
    ):
        name = client.snapshot or ""
        assert len(name.partition(".")[2]) >= 32
        assert read(base, name, token=TOKENS[0]).status == 200
        assert gone(read(base, name, token=TOKENS[1])) == gone(read(base, name[:-1] + "~", token=TOKENS[0]))


def test_number_of_snapshots(sqlite_url: str) -> None:
    """A snapshot above the limit is refused until one is free, which it is as soon as its client disconnects."""
    with (
        holding_server(sqlite_url, limits={"snapshots": 1, "snapshot_seconds": 600}) as base,
        SyncClient(base, retries=0) as client,
        SyncClient(base, retries=0) as other,
    ):
        with client.holding_snapshot(["t"]):
            with pytest.raises(ServerError, match=r"limits\.snapshots") as refused, other.holding_snapshot(["t"]):
                pass
            assert refused.value.retryable
        wait_until(lambda: can_hold(other))


def can_hold(client: SyncClient) -> bool:
    """Whether a client can hold a snapshot."""
    try:
        with client.holding_snapshot(["t"]):
            return True
    except ServerError:
        return False


def test_two_databases(sqlite_url: str, tmp_path: Path) -> None:
    """A snapshot of tables of two databases is refused."""
    connections = {"main": sqlite_url, "side": f"sqlite:///{tmp_path / 'other.db'}"}
    tables = {"t": {"connection": "main"}, "u": {"connection": "side"}}
    with holding_server(sqlite_url, connections=connections, tables=tables) as base:
        field, message = refusal(ask(base, "/holdSnapshot", HoldSnapshot(tables=("t", "u"))))
    assert field == "tables"
    assert "'t' and 'u' are in two databases" in message


@pytest.mark.parametrize("tables", [[], ["nope"]])
def test_wrong_requests(sqlite_url: str, tables: list[str]) -> None:
    """A snapshot of no table, or of an unknown one, is refused."""
    with holding_server(sqlite_url) as base:
        field, _ = refusal(ask(base, "/holdSnapshot", json.dumps({"tables": tables}).encode()))
    assert field == ("config_name" if tables else "tables")


@pytest.mark.quick_on("sqlite", "mariadb")
def test_a_reader_that_leaves(database_url: str) -> None:
    """On each engine, a snapshot can be read again after a client stopped reading it."""
    # More than the buffers of a connection take, and hardly compressible.
    rows = [f"({number}, '{token_hex(4000)}')" for number in range(1500)]
    execute(database_url, "CREATE TABLE large (id INT NOT NULL PRIMARY KEY, v TEXT)")
    execute(database_url, *(f"INSERT INTO large VALUES {', '.join(rows[start : start + 300])}" for start in range(0, 1500, 300)))
    request = GetRows(table_slice=RequestedSlice(name="large"))
    with (
        holding_server(database_url, tables={"large": {}}) as base,
        SyncClient(base, retries=0) as client,
        client.holding_snapshot(["large"]),
    ):
        for _ in range(2):
            with client.get_rows(request) as answer:
                next(iter(answer))
        with client.get_rows(request) as answer:
            assert sum(message.count for message in answer) == 1500
