"""Who reads slowly from an SQLite source does not keep others from writing to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha512
from pathlib import Path

import msgspec
import pytest

from airflow_provider_sync.protocol.v2.messages import DescribeTables, GetRows, RequestedSlice
from tests.server.tables.served_tables import served
from tests.server.wire import open_stream, read_all, run_sqlite

T = RequestedSlice(name="t")
REQUESTS: dict[str, tuple[str, msgspec.Struct | list[tuple[str, str]]]] = {
    "rows": ("/getRows", GetRows(table_slice=T)),
    "many tables": ("/describeTables", DescribeTables(table_slices=(T,) * 200, max_rows=0)),
    "version 1": ("/getTable", [("config_name", "t")]),
}
WIDE = "".join(f", c{sha512(bytes([number])).hexdigest()} TEXT" for number in range(256))
"""Columns whose descriptions do not fit into what a connection buffers, even compressed."""


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "WAL"])
def test_others_write_meanwhile(tmp_path: Path, mode: str, asked: str) -> None:
    """A client that has read the beginning of an answer only does not block a writer, in any journal mode of the database."""
    path = tmp_path / "source.db"
    if asked == "many tables":
        create = f"CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT{WIDE});"
    else:
        create = (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)"
            " INSERT INTO t SELECT i, hex(randomblob(50)) FROM n;"
        )
    run_sqlite(path, f"PRAGMA journal_mode = {mode}; {create}")
    endpoint, request = REQUESTS[asked]
    with served(f"sqlite:///{path}") as base, closing(open_stream(base, endpoint, request, version="1.0")) as client:
        assert client.recv(1000)
        with closing(sqlite3.connect(path, timeout=30)) as writer, writer:
            writer.execute("INSERT INTO t (id, name) VALUES (-1, 'written meanwhile')")
        assert read_all(client)
