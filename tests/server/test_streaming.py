"""Bodies that take time: broken off, given up, and side by side."""

from __future__ import annotations

import json
import logging
import os
import random
import zlib
from collections.abc import Generator
from contextlib import closing
from http.client import IncompleteRead
from pathlib import Path
from threading import Event, get_ident

import pytest
import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.exceptions import ServerError
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DigestRows, GetRows, Partitioning, RequestedSlice
from airflow_provider_sync.protocol.v2.stream import read_messages
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.server.streaming import StreamBroken, attachment, is_broken_stream, work_ahead
from tests.server.wire import ask, config, open_stream, post, read_all

ROWS = 16_000


def fill(url: str, rows: int = ROWS) -> None:
    """Make a table of 1 KB a row that hardly compresses, so that a stream is larger than the buffers of a socket."""
    engine = open_engine(url)
    text = random.Random(0).randbytes(1 << 20).hex()
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(1000) NOT NULL)"))
        connection.execute(
            sqlalchemy.text("INSERT INTO t VALUES (:id, :a)"),
            [{"id": number, "a": text[number * 1000 : number * 1000 + 1000]} for number in range(1000)],
        )
        count = 1000
        while count < rows:
            connection.execute(sqlalchemy.text(f"INSERT INTO t SELECT id + {count}, a FROM t"))
            count *= 2
    engine.dispose()


@pytest.fixture
def large_url(database_url: str) -> str:
    """Have a table of 16 MB."""
    fill(database_url)
    return database_url


@pytest.fixture
def large_files(tmp_path: Path) -> Path:
    """Have a directory with a small file and one of 64 MB."""
    root = tmp_path / "files"
    root.mkdir()
    (root / "small").write_bytes(b"small")
    (root / "large").write_bytes(bytes(64 << 20))
    return root


def inflate(body: bytes) -> tuple[bytes, bool]:
    """Return what a gzip member holds so far, and whether it is whole."""
    inflater = zlib.decompressobj(wbits=31)
    return inflater.decompress(body), inflater.eof


def _of(engine: Engine, statements: dict[str, list[str]]) -> list[str]:
    if engine.dialect.name not in statements:
        pytest.skip("no lock keeps readers waiting there")
    return statements[engine.dialect.name]


def change_alone(url: str) -> None:
    """Take the table for oneself, waiting until nobody reads it; fails after a minute."""
    engine = open_engine(url)
    statements = {
        "sqlite": ["PRAGMA busy_timeout = 60000", "BEGIN EXCLUSIVE", "COMMIT"],
        "mysql": ["SET lock_wait_timeout = 60", "LOCK TABLES t WRITE", "UNLOCK TABLES"],
        "postgresql": ["SET lock_timeout = 60000", "BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE", "COMMIT"],
    }
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in _of(engine, statements):
            connection.exec_driver_sql(statement)
    engine.dispose()


def is_read_ahead(url: str) -> bool:
    """Whether the server reads the database as fast as possible, so that it may be done before the client has the answer."""
    return url.startswith("sqlite")


def is_read(url: str) -> bool:
    """Whether somebody has the table in a transaction at this moment."""
    engine = open_engine(url)
    statements = {
        "sqlite": ["PRAGMA busy_timeout = 0", "BEGIN EXCLUSIVE"],
        "mysql": ["SET lock_wait_timeout = 1", "LOCK TABLES t WRITE"],
        "postgresql": ["BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT"],
    }
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in _of(engine, statements):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("UNLOCK TABLES" if engine.dialect.name == "mysql" else "ROLLBACK")
    except DBAPIError:
        return True
    finally:
        engine.dispose()
    return False


def test_client_that_goes_away(large_url: str) -> None:
    """A client that disconnects frees the connection and its snapshot, and the server continues."""
    with RunningServer(config(large_url, tables={"t": {}})) as server:
        with closing(open_stream(server.url, "/getTable", [("config_name", "t")])) as stream:
            assert stream.recv(12) == b"HTTP/1.1 200"
            assert is_read(large_url) or is_read_ahead(large_url)
        change_alone(large_url)
        answer = post(server.url, "/getTable", {"config_name": "t"})
        assert inflate(answer.body)[0].count(b"\n") == ROWS
        change_alone(large_url)


def test_two_streams(large_url: str) -> None:
    """Two clients read at their own speed, and both get everything."""
    with (
        RunningServer(config(large_url, tables={"t": {}})) as server,
        closing(open_stream(server.url, "/getTable", [("config_name", "t")], version="1.0")) as slow,
    ):
        start = slow.recv(100)
        quick = post(server.url, "/getTable", {"config_name": "t"})
        head, _, body = (start + read_all(slow)).partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert inflate(body) == inflate(quick.body)
    content, whole = inflate(body)
    assert whole
    assert [json.loads(line)["id"] for line in content.splitlines()] == list(range(ROWS))


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_one_state(request: pytest.FixtureRequest, engine: str) -> None:
    """Changes of the table during a stream are not in it, and its announced hash is correct."""
    url = request.getfixturevalue(f"{engine}_url")
    fill(url)
    database = open_engine(url)
    with RunningServer(config(url, tables={"t": {}})) as server:
        with closing(open_stream(server.url, "/getTable", [("config_name", "t"), ("hash", "x")], version="1.0")) as stream:
            start = stream.recv(12)
            with database.begin() as connection:
                connection.execute(sqlalchemy.text("DELETE FROM t WHERE id > 5"))
            content, whole = inflate((start + read_all(stream)).partition(b"\r\n\r\n")[2])
        after = post(server.url, "/getTable", {"config_name": "t", "hash": "x"})
    database.dispose()
    assert whole
    assert content.count(b"\n") == ROWS
    assert inflate(after.body)[0].count(b"\n") == 6


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_database_that_fails(request: pytest.FixtureRequest, engine: str, version: str, caplog: pytest.LogCaptureFixture) -> None:
    """If the database closes the connection, the body never looks complete."""
    url = request.getfixturevalue(f"{engine}_url")
    # So much that the database has not sent it all when it ends the connection.
    fill(url, 4 * ROWS)
    database = open_engine(url)
    with RunningServer(config(url, tables={"t": {}})) as server:
        with closing(open_stream(server.url, "/getTable", [("config_name", "t")], version=version)) as stream:
            received = stream.recv(12)
            with database.begin() as connection:
                end_readers(connection)
            received += read_all(stream)
        assert received.startswith(b"HTTP/1.1 200")
        assert not received.endswith(b"0\r\n\r\n")
        if version == "1.0":
            assert not inflate(received.partition(b"\r\n\r\n")[2])[1]
        assert post(server.url, "/getTableHash", {"config_name": "t"}).status == 200
    database.dispose()
    assert "Table 't' broke off" in caplog.text


def end_readers(connection: sqlalchemy.Connection) -> None:
    """End every other connection to this database."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).all()
        return
    readers = connection.exec_driver_sql(
        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    ).all()
    for (reader,) in readers:
        connection.exec_driver_sql(f"KILL CONNECTION {reader}")


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("change", ["shrinks", "grows", "is rewritten"])
def test_file_that_changes(large_files: Path, version: str, change: str, caplog: pytest.LogCaptureFixture) -> None:
    """If a file changes while it is sent, the connection breaks before its last byte."""
    large = large_files / "large"
    with RunningServer(config(directories={"d": {"path": str(large_files)}})) as server:
        fields = [("config_name", "d"), ("files[0]", "small"), ("files[1]", "large")]
        with closing(open_stream(server.url, "/getFiles", fields, version=version)) as stream:
            received = stream.recv(12)
            with large.open("r+b") as file:
                if change == "shrinks":
                    file.truncate(63 << 20)
                elif change == "grows":
                    file.seek(0, os.SEEK_END)
                    file.write(b"x")
                else:
                    file.write(b"x")
            received += read_all(stream)
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")
    body = received.partition(b"\r\n\r\n")[2]
    assert body.count(b"\0") < 64 << 20
    assert "Files of directory 'd' broke off" in caplog.text
    assert "Traceback" not in caplog.text


def test_broken_chunks(large_files: Path) -> None:
    """A client that knows chunks sees that the body is truncated."""
    with RunningServer(config(directories={"d": {"path": str(large_files)}})) as server:
        fields = [("config_name", "d"), ("files[0]", "large")]
        stream = open_stream(server.url, "/getFiles", fields)
        with closing(stream):
            start = stream.recv(12)
            (large_files / "large").write_bytes(b"")
            rest = read_all(stream)
        assert (start + rest).count(b"\r\n0\r\n\r\n") == 0
        with pytest.raises(IncompleteRead):
            raise_if_cut(start + rest)
        assert post(server.url, "/getFiles", fields).status == 200


def raise_if_cut(answer: bytes) -> None:
    """Read chunks to their end."""
    rest = answer.partition(b"\r\n\r\n")[2]
    while True:
        length, _, rest = rest.partition(b"\r\n")
        size = int(length or b"0", 16)
        if len(rest) < size + 2:
            raise IncompleteRead(rest, size + 2 - len(rest))
        if size == 0:
            return
        rest = rest[size + 2 :]


def test_file_descriptors(large_files: Path) -> None:
    """A client that disconnects leaves no file open."""
    with RunningServer(config(directories={"d": {"path": str(large_files)}})) as server:
        fields = [("config_name", "d"), ("files[0]", "small"), ("files[1]", "large")]
        with closing(open_stream(server.url, "/getFiles", fields)) as stream:
            assert stream.recv(12) == b"HTTP/1.1 200"
    assert not [link for link in Path("/proc/self/fd").iterdir() if str(large_files) in os.path.realpath(link)]


ALL_ROWS = GetRows(table_slice=RequestedSlice(name="t"))


def test_client_of_version_2_that_goes_away(large_url: str) -> None:
    """A version 2 client that disconnects frees the connection and its snapshot."""
    with RunningServer(config(large_url, tables={"t": {}})) as server:
        with closing(open_stream(server.url, "/getRows", ALL_ROWS)) as stream:
            assert stream.recv(12) == b"HTTP/1.1 200"
            assert is_read(large_url) or is_read_ahead(large_url)
        change_alone(large_url)
        requests: list[tuple[str, DescribeTable | DigestRows | GetRows]] = [
            ("/describeTable", DescribeTable(table_slice=ALL_ROWS.table_slice)),
            (
                "/digestRows",
                DigestRows(
                    table_slice=ALL_ROWS.table_slice,
                    partitioning=Partitioning(scheme="row_hash", segment_count=1),
                    segment_ranges=((0, 0),),
                ),
            ),
            ("/getRows", GetRows(table_slice=ALL_ROWS.table_slice, keys="1\n2\n")),
        ]
        for path, request in requests:
            open_stream(server.url, path, request).close()
            change_alone(large_url)
            assert ask(server.url, path, request).status == 200
            change_alone(large_url)


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_one_state_in_version_2(request: pytest.FixtureRequest, engine: str) -> None:
    """Rows are of one moment, even if others write while they are sent."""
    url = request.getfixturevalue(f"{engine}_url")
    fill(url)
    database = open_engine(url)
    with (
        RunningServer(config(url, tables={"t": {}})) as server,
        closing(open_stream(server.url, "/getRows", ALL_ROWS, version="1.0")) as stream,
    ):
        start = stream.recv(12)
        with database.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM t WHERE id > 5"))
        body = (start + read_all(stream)).partition(b"\r\n\r\n")[2]
    database.dispose()
    assert sum(message.data.count(b"\n") for message in read_messages([body], "gzip", limit=1 << 30)) == ROWS  # type: ignore[union-attr]


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_database_that_fails_version_2(request: pytest.FixtureRequest, engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """If the database closes the connection, a stream of messages ends with the reason for the client."""
    url = request.getfixturevalue(f"{engine}_url")
    fill(url, 4 * ROWS)
    database = open_engine(url)
    with RunningServer(config(url, tables={"t": {}})) as server:
        with closing(open_stream(server.url, "/getRows", ALL_ROWS, version="1.0")) as stream:
            received = stream.recv(12)
            with database.begin() as connection:
                end_readers(connection)
            received += read_all(stream)
        body = received.partition(b"\r\n\r\n")[2]
        with pytest.raises(ServerError, match="its log has the reason") as told:
            list(read_messages([body], "gzip", limit=1 << 30))
        assert told.value.retryable
        assert ask(server.url, "/describeTable", DescribeTable(table_slice=ALL_ROWS.table_slice)).status == 200
    database.dispose()
    assert "Table 't' broke off" in caplog.text


def test_idle_streams() -> None:
    """While an item takes long, keep-alives are sent; the next item is prepared while one is sent."""
    first, second = Event(), Event()

    def items() -> Generator[str, None, None]:
        assert first.wait(60)
        second.set()
        yield "first"
        yield f"second from {get_ident() != here}"

    here = get_ident()
    ahead = work_ahead(items(), idle="…", seconds=0.001)
    assert [next(ahead) for _ in range(3)] == ["…"] * 3
    first.set()
    assert second.wait(60)
    assert [item for item in ahead if item != "…"] == ["first", "second from True"]


def test_work_ahead_ends() -> None:
    """An error is passed on, and closing the stream waits for the work and frees what it uses."""
    going_on, closed = Event(), Event()

    def items() -> Generator[int, None, None]:
        try:
            yield 1
            going_on.set()
            yield 2
            raise OSError("the disk failed")
        finally:
            closed.set()

    ahead = work_ahead(items(), idle=0)
    assert next(ahead) == 1
    assert going_on.wait(60)
    ahead.close()
    assert closed.is_set()
    closed.clear()
    with pytest.raises(OSError, match="the disk failed"):
        list(work_ahead(items(), idle=0))
    assert closed.is_set()


def test_one_line_for_a_broken_stream() -> None:
    """A broken stream is logged once with its reason; other errors of the web server are logged as usual."""

    def says(error: BaseException) -> logging.LogRecord:
        return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, "x", (), (type(error), error, None))

    broken = StreamBroken("x")
    assert is_broken_stream(says(broken))
    assert is_broken_stream(says(ExceptionGroup("x", [ExceptionGroup("y", [broken])])))
    assert not is_broken_stream(says(ExceptionGroup("x", [broken, ValueError()])))
    assert not is_broken_stream(says(ValueError()))
    assert not is_broken_stream(logging.LogRecord("uvicorn.error", logging.INFO, "", 0, "x", (), None))


def test_attachment() -> None:
    """No name can end the header that contains it."""
    assert attachment("a.txt") == 'attachment; filename="a.txt"'
    assert attachment('a"\\\r\n\x7f\0b') == 'attachment; filename="a\\"\\\\____b"'
    assert attachment("é\udcff").encode("latin-1") == 'attachment; filename="é?"'.encode()
