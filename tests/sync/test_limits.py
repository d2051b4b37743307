"""Sources without end, and sources that take for ever: an error that names the limit, and the target as it was."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from itertools import count, repeat
from pathlib import Path
from socket import socket

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, SizeLimits, directory_from_options, table_from_options
from airflow_provider_sync.exceptions import SyncError, SyncFailed, TransportError
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.protocol.v2.messages import Message, RowDigests, Rows, Segments
from airflow_provider_sync.protocol.v2.stream import media_type, write_messages
from airflow_provider_sync.sync import plan_run, run, sync_directory, sync_tables
from airflow_provider_sync.sync.tables.slice_values import PlannedSlice
from airflow_provider_sync.sync.tables.steps import compare_table, stage_slice
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from tests.client.scripted_server import Answer, ScriptedServer, head, reply, scripted_server, stream
from tests.sync.link import Link
from tests.sync.tables.version2.test_lies import CAPABLE, DESCRIBED, DIGESTS, SEGMENTS, answer

EMPTY_TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))"
OLD_ROWS = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'old'), (4, 'd')"
SIGN = Segments(numbers=(), counts=(), sums=())


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Give a server that says what a test tells it to."""
    with scripted_server() as server:
        yield server
        server.released.set()


def endless(server: ScriptedServer, messages: Callable[[], Iterator[Message]], pause: float = 0.0) -> Answer:
    """Send messages until the client goes away; each request has its own."""

    def send(connection: socket) -> None:
        connection.sendall(head(200, {"Content-Type": media_type("zstd"), "Transfer-Encoding": "chunked"}))
        for block in write_messages(messages(), "zstd"):
            if server.released.wait(pause):
                return
            connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))

    return send


def fails(link: Link, server: ScriptedServer, answers: list[Answer], protocol: str = "2", **client: object) -> SyncFailed:
    """Sync the target, which fails; check that it is as it was."""
    before = link.target.rows("t")
    server.answer(*answers)
    options = {"max_seconds": client.pop("max_seconds", None)}
    with (
        SyncClient(server.url, protocol=protocol, retries=0, **client) as asking,  # type: ignore[arg-type]
        pytest.raises(SyncFailed) as caught,
    ):
        sync_tables(asking, [table_from_options("t", options)], link.target.database)
    assert link.target.rows("t") == before
    assert link.target.names() == ["t"]
    report = caught.value.reports[0]
    assert (report.status, report.error) == ("failed", str(caught.value))
    return caught.value


@pytest.mark.parametrize("at", ["description", "digests", "rows"])
def test_signs_of_life_end_with_the_time_limit(same: Link, server: ScriptedServer, at: str) -> None:
    """A version 2 table with only signs of life ends after max_seconds, at any point."""
    same.target.execute(EMPTY_TABLE, OLD_ROWS)
    signs: dict[str, Message] = {
        "description": SIGN,
        "digests": RowDigests(count=0, keys=b"", digests=b""),
        "rows": Rows(count=0, data=b""),
    }
    honest = [answer(DESCRIBED, SEGMENTS), answer(DIGESTS)][: list(signs).index(at)]
    forever = [*honest, endless(server, lambda: repeat(signs[at]), 0.02)]
    failure = fails(same, server, [CAPABLE, *forever], max_seconds=0.8)
    assert "Table 't': It took longer than the 0.8 seconds that max_seconds allows." in str(failure)
    assert failure.retryable


def test_the_client_sets_the_time_for_tables_that_set_none(same: Link, server: ScriptedServer) -> None:
    """The client's max_seconds applies to tables without their own; max_silence applies, too."""
    same.target.execute(EMPTY_TABLE, OLD_ROWS)
    answers = [CAPABLE, endless(server, lambda: repeat(SIGN), 0.02)]
    assert "max_silence" in str(fails(same, server, answers, max_silence=0.5))
    server.answer(*answers)
    config = ClientConfig(url=server.url, retries=0, max_seconds=0.5)
    with SyncClient.from_config(config) as client, pytest.raises(SyncFailed, match=r"0\.5 seconds that max_seconds allows"):
        sync_tables(client, [table_from_options("t", {})], same.target.database)


def rows_without_end() -> Iterator[Message]:
    """Yield rows of ever higher keys."""
    for start in count(1, 1000):
        yield Rows(count=1000, data=b"".join(b"%d\tx\n" % number for number in range(start, start + 1000)))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (SizeLimits(max_rows=5000), "more than the 5000 rows that limits.max_rows allows"),
        (SizeLimits(max_table_bytes=50_000), "more than the 50000 bytes that limits.max_table_bytes allows"),
    ],
)
def test_a_first_sync_without_end(same: Link, server: ScriptedServer, limits: SizeLimits, message: str) -> None:
    """Rows that are loaded directly stop at the limit, and none of them stays."""
    same.target.execute(EMPTY_TABLE)
    answers = [CAPABLE, answer(DESCRIBED), endless(server, rows_without_end)]
    failure = fails(same, server, answers, limits=limits)
    assert not failure.retryable
    assert message in str(failure)


def test_rows_of_version_1_without_end(same: Link, server: ScriptedServer) -> None:
    """Rows of version 1 stop at the limit, and the staged ones are dropped."""
    same.target.execute(EMPTY_TABLE, OLD_ROWS)
    body = gzip.compress(b"".join(b'{"id":%d,"v":"x"}\n' % number for number in range(20_000)))
    failure = fails(same, server, [stream(body)], "1", limits=SizeLimits(max_rows=5000))
    assert "more than the 5000 rows that limits.max_rows allows" in str(failure)


def test_digests_of_rows_without_end(same: Link, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests of many more rows than announced are not kept in memory."""
    same.target.execute(EMPTY_TABLE, OLD_ROWS)

    def digests() -> Iterator[Message]:
        for start in count(1, 100):
            keys = b"".join(b"%d\n" % number for number in range(start, start + 100))
            yield RowDigests(count=100, keys=keys, digests=bytes(600))

    described = answer(DESCRIBED, SEGMENTS)
    tries = [message for _ in range(3) for message in (described, endless(server, digests))]
    monkeypatch.setattr(batch_sizes, "SLICE_ROWS", 1000)
    failure = fails(same, server, [CAPABLE, *tries])
    assert "announced 4 rows, and sent digests of more than 1100" in str(failure)
    assert failure.retryable


def test_the_time_limit_holds_for_each_step(same: Link, server: ScriptedServer) -> None:
    """Comparing and downloading in steps have the same limit."""
    same.target.execute(EMPTY_TABLE, OLD_ROWS)
    options = table_from_options("t", {"max_seconds": 0.6})
    table_slice = PlannedSlice(table="t", run_id="r", protocol=2)
    steps: list[Callable[[SyncClient], object]] = [
        lambda client: compare_table(client, options, same.target.database, run_id="r"),
        lambda client: stage_slice(client, options, same.target.database, table_slice),
    ]
    for step in steps:
        server.answer(CAPABLE, endless(server, lambda: repeat(SIGN), 0.02))
        with SyncClient(server.url, protocol="2", retries=0) as client, pytest.raises(TransportError, match="max_seconds"):
            step(client)
    assert same.target.rows("t") == [(1, "a"), (2, "b"), (3, "old"), (4, "d")]


def files(sizes: dict[str, int]) -> list[Answer]:
    """Answer a manifest, then each file by itself."""
    manifest = reply(body=msgspec.json.encode({"hashes": dict.fromkeys(sizes, "")}))
    return [manifest, *(stream(frame_header(path, size) + bytes(size)) for path, size in sizes.items())]


@pytest.mark.parametrize(
    ("limits", "sizes", "arrived", "message"),
    [
        (
            SizeLimits(max_file_bytes=10),
            {"a": 10, "b": 11, "c": 1},
            ["a"],
            "'b' has more than the 10 bytes that limits.max_file_bytes",
        ),
        (
            SizeLimits(max_directory_bytes=300),
            {"a": 200, "b": 101, "c": 1},
            ["a"],
            "more than the 300 bytes that limits.max_directory_bytes",
        ),
        (SizeLimits(max_files=2), {"a": 1, "b": 1, "c": 1}, [], "more than the 2 files that limits.max_files"),
    ],
)
def test_directories_stop_at_their_limits(
    server: ScriptedServer, tmp_path: Path, limits: SizeLimits, sizes: dict[str, int], arrived: list[str], message: str
) -> None:
    """A file above a limit is not written, in any number of answers, and nothing is deleted."""
    (tmp_path / "mine").write_text("mine")
    server.answer(*files(sizes))
    options = directory_from_options("d", {"path": str(tmp_path), "files_per_request": 1, "allow_empty_source": True})
    version1 = SyncClient(server.url, retries=0, limits=limits, protocol="1")
    with version1 as client, pytest.raises(SyncError, match=message) as caught:
        sync_directory(client, options, open_storage(str(tmp_path)))
    assert not caught.value.retryable
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".airflow")) == [*arrived, "mine"]


def test_a_directory_takes_no_longer_than_its_time(server: ScriptedServer, tmp_path: Path) -> None:
    """A file that arrives byte by byte ends after max_seconds."""

    def slowly(connection: socket) -> None:
        connection.sendall(head(200, {"Content-Type": "application/octet-stream"}) + frame_header("a", 1000))
        while not server.released.wait(0.02):
            connection.sendall(b"x")

    server.answer(reply(body=b'{"hashes":{"a":""}}'), slowly)
    options = directory_from_options("d", {"path": str(tmp_path), "max_seconds": 0.6})
    with SyncClient(server.url, retries=0, protocol="1") as client, pytest.raises(SyncFailed, match="max_seconds") as caught:
        sync_directory(client, options, open_storage(str(tmp_path)))
    assert caught.value.retryable
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".airflow")] == []


def test_limits_of_a_configuration(server: ScriptedServer, tmp_path: Path) -> None:
    """The limits of client.yaml apply to a run."""
    server.answer(*files({"a": 11}))
    settings = {"url": server.url, "retries": 0, "protocol": 1, "limits": {"max_file_bytes": 10}}
    config = ClientConfig.from_dict({**settings, "directories": {"d": {"path": str(tmp_path)}}})
    with pytest.raises(SyncFailed, match=r"limits\.max_file_bytes") as caught:
        run(config, plan_run(config))
    assert [report.status for report in caught.value.reports] == ["failed"]
