"""Parts of a table, as version 2 is asked for them: windows of a column, and ranges of keys."""

from __future__ import annotations

import json

import pytest

from airflow_provider_sync.protocol.v2.messages import GetRows, RequestedSlice, Window
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.tables.served_tables import execute, served
from tests.server.tables.version2_answers import describe, digests, refusal, rows
from tests.server.wire import ask, config, send


def window(column: str, start: str, end: str) -> RequestedSlice:
    """Return the part of the table in a window, without the window's column."""
    return RequestedSlice(name="t", columns=("a",), window=Window(column=column, start=start, end=end))


def test_windows(base: str) -> None:
    """A window has the rows from its start up to its end, without NULL; its column need not be sent."""
    for column, start, end, expected in (
        ("b", "20", "30", [b"2"]),
        ("b", "20", "31", [b"-3", b"2"]),
        ("b", "30", "20", []),
        ("id", "-3", "2", [b"-3", b"1"]),
    ):
        requested_slice = window(column, start, end)
        assert [row[0] for row in rows(base, 2, requested_slice=requested_slice)] == expected
        described, segments = describe(base, requested_slice)
        assert sum(count for count, _ in segments.values()) == len(expected)
        assert sorted(key.encode() for (key,) in digests(base, requested_slice=requested_slice)) == expected
        if expected:
            assert (described.partitioning.low, described.partitioning.high) == (
                int(min(expected, key=int)),
                int(max(expected, key=int)),
            )
        assert [row[0] for row in rows(base, 2, requested_slice=requested_slice, keys="-3\n2\n")] == [
            key for key in expected if key != b"1"
        ]


@pytest.mark.parametrize(
    ("column", "start", "end", "words"),
    [
        ("a", "x", "y", "Name it under `windows`"),
        ("nope", "1", "2", "Allowed: b, id."),
        ("b", "x", "2", "'x' is not a value of type integer"),
        ("b", "1", "2; DROP TABLE t", "is not a value of type integer"),
        ("b", "1", "", "'' is not a value"),
    ],
)
def test_refused_windows(base: str, column: str, start: str, end: str, words: str) -> None:
    """A window of a column that is not allowed, or with impossible ends, is refused."""
    field, message = refusal(ask(base, "/getRows", GetRows(table_slice=window(column, start, end))))
    assert field == "table_slice.window"
    assert words in message


def test_windows_of_days(database_url: str) -> None:
    """Texts from Airflow's templates work as windows of dates and of times."""
    kind = "TIMESTAMP" if database_url.startswith("postgresql") else "DATETIME"
    execute(
        database_url,
        f"CREATE TABLE t (id INT NOT NULL PRIMARY KEY, d DATE, m {kind})",
        "INSERT INTO t VALUES (1, '2024-02-28', '2024-02-28 23:59:59'), (2, '2024-02-29', '2024-02-29 00:00:00'),"
        " (3, '2024-03-01', '2024-03-01 00:00:00'), (4, NULL, NULL)",
    )
    with served(database_url, t={"windows": ["d", "m"]}) as base:
        for column in ("d", "m"):
            for start, end in (("2024-02-29", "2024-03-01"), ("2024-02-28T23:59:59.5+00:00", "2024-03-01T01:00:00+01:00")):
                requested_slice = RequestedSlice(name="t", columns=("id",), window=Window(column=column, start=start, end=end))
                assert rows(base, 1, requested_slice=requested_slice) == [(b"2",)]


def test_windows_are_announced(url: str) -> None:
    """Capabilities have the allowed windows."""
    with RunningServer(config(url, tables={"t": {"windows": ["b", "id"]}, "u": {}})) as server:
        assert json.loads(send(server.url, "GET", "/capabilities").body)["tables"] == {"t": ["b", "id"], "u": []}
        assert send(server.url, "HEAD", "/capabilities").body == b""


def test_ranges_of_keys(base: str) -> None:
    """A range includes its lowest and its highest key, in every answer."""
    for key_range, expected in (
        ((-3, 1), [b"-3", b"1"]),
        ((2, None), [b"2"]),
        ((None, -4), []),
        ((None, None), [b"-3", b"1", b"2"]),
        ((2**63, 2**64 - 1), []),
        ((-(2**63), -(2**63)), []),
    ):
        requested_slice = RequestedSlice(name="t", columns=("a",), key_range=key_range)
        assert sorted(row[0] or b"" for row in rows(base, 2, requested_slice=requested_slice)) == expected
        described, segments = describe(base, requested_slice)
        assert sum(count for count, _ in segments.values()) == len(expected)
        assert sorted(key.encode() for (key,) in digests(base, requested_slice=requested_slice)) == expected
        if expected:
            assert (described.partitioning.low, described.partitioning.high) == (
                int(min(expected, key=int)),
                int(max(expected, key=int)),
            )


@pytest.mark.parametrize(("key_range", "words"), [((2, 1), "no keys between 2 and 1"), ((None, 2**64), "no keys between")])
def test_refused_ranges_of_keys(base: str, key_range: tuple[int | None, int | None], words: str) -> None:
    """An impossible range of keys is refused."""
    field, message = refusal(ask(base, "/getRows", GetRows(table_slice=RequestedSlice(name="t", key_range=key_range))))
    assert field == "table_slice.key_range"
    assert words in message
