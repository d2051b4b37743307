"""Whatever is sent, the answer is one of the protocol's: never an error that nobody expected, and never a traceback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from airflow_provider_sync.exceptions import ServerError
from airflow_provider_sync.protocol.v2.messages import GetRows, RequestedSlice, Rows, Window
from airflow_provider_sync.protocol.v2.stream import parse_media_type, read_file_messages, read_messages
from airflow_provider_sync.server.app import create_app
from tests.server.tables.served_tables import execute, served
from tests.server.wire import Answer, ask, config, own_lines

ODD: list[Any] = [
    None,
    True,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**63),
    2**100,
    1e308,
    -0.0,
    1.5,
    "",
    "0",
    " ",
    " t",
    "t\n",
    "\0",
    "a\0b",
    "\ud800",
    "\udcff",
    "x" * 300,
    "t",
    "d",
    "id",
    "a",
    "b",
    "key_range",
    "row_hash",
    "key_hash",
    [],
    {},
    [[]],
    [None],
    [[0, 3]],
    "1\n",
    "1\n2\n",
    "\\N\n",
    "1\t2\n",
    "\t\n",
    "-0\n",
    "99999999999999999999\n",
    "2024-02-30",
    "infinity",
    "NaN",
    "'",
    '"',
    "%s",
    "\x1b[2J",
    str(2**64),
    str(-(2**64)),
    "9" * 400,
]

VALUES = st.recursive(
    st.one_of(st.sampled_from(ODD), st.text(max_size=5), st.integers(), st.floats()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "segment_count", "low", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def near(value: Any) -> st.SearchStrategy[Any]:
    """Give a value as it should be, most of the time."""
    return st.one_of(st.just(value), st.just(value), VALUES)


def fields(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Give objects that are nearly right: a field wrong, missing, or of no use."""
    return st.fixed_dictionaries(
        {name: value if isinstance(value, st.SearchStrategy) else near(value) for name, value in required.items()},
        optional={name: value if isinstance(value, st.SearchStrategy) else near(value) for name, value in optional.items()},
    )


WINDOW = fields({"column": st.sampled_from(["id", "a", "b", "nope"]), "start": "1", "end": "3"}, {})
SLICE = fields({"name": "t"}, {"columns": ["a"], "window": WINDOW, "between": [1, 2]})
PARTITIONING = fields({"scheme": "key_range", "segment_count": 4}, {"low": 1, "high": 9})
MESSAGES = st.one_of(
    st.tuples(
        st.just("/describeTable"), fields({"table_slice": SLICE}, {"partitioning": PARTITIONING, "sample": 4, "digests": True})
    ),
    st.tuples(
        st.just("/digestRows"), fields({"table_slice": SLICE, "partitioning": PARTITIONING}, {"runs": [[0, 1]], "keys": "1\n"})
    ),
    st.tuples(st.just("/getRows"), fields({"table_slice": SLICE}, {"keys": "1\n2\n"})),
    st.tuples(st.sampled_from(["/describeTable", "/digestRows", "/getRows"]), VALUES),
)

NAMES = st.sampled_from(["a", "b", "a/b", "../a", "/a", ".", "a\0", "\ud800", "a" * 256, "ü"])
REQUESTED = fields({"path": NAMES, "size": 1, "mtime_ns": st.integers(0, 2)}, {"ranges": near([[0, 1]])})
DIRECTORY = {"directory": near("d")}
OF_DIRECTORY = {"folder": NAMES, "links": st.sampled_from(["skip", "keep", "follow", "x"])}
FILE_MESSAGES = st.one_of(
    st.tuples(st.just("/listFiles"), fields(DIRECTORY, {**OF_DIRECTORY, "state": near("x")})),
    st.tuples(
        st.just("/digestFiles"), fields({**DIRECTORY, "paths": st.lists(NAMES, max_size=3)}, {**OF_DIRECTORY, "always": True})
    ),
    st.tuples(st.just("/readFiles"), fields({**DIRECTORY, "files": st.lists(REQUESTED, max_size=3)}, OF_DIRECTORY)),
    st.tuples(st.just("/chunkFile"), fields({**DIRECTORY, "path": NAMES}, {**OF_DIRECTORY, "chunking": near("fastcdc-64k")})),
    st.tuples(st.sampled_from(["/listFiles", "/digestFiles", "/readFiles", "/chunkFile"]), VALUES),
)

FORM = "application/x-www-form-urlencoded"
TYPES = st.sampled_from(
    [
        FORM,
        "application/json",
        "application/json; charset=utf-16",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "",
        ";;=",
        'multipart/form-data; boundary="',
        "multipart/form-data; boundary=x; filename*=utf-8''%ff",
        "text/plain",
        "\xff",
    ]
)
PARTS = st.sampled_from(
    [
        b"--x\r\n",
        b"--x--\r\n",
        b"\r\n",
        b'Content-Disposition: form-data; name="config_name"\r\n',
        b"Content-Disposition: \xff\r\n",
        b"d",
        b"config_name=d",
        b"&files[0]=a",
        b"&files[]=%00",
        b"&files[x][y]=../a",
        b"&config_name[]=t",
        b"&hash=0",
        b"%",
        b"=",
        b"&" * 99,
        b"[",
    ]
)
BODIES = st.one_of(
    st.binary(max_size=40),
    st.lists(PARTS, max_size=9).map(b"".join),
    fields({"config_name": st.sampled_from(ODD)}, {"files": near(["a"]), "hash": near("x")}).map(
        lambda value: json.dumps(value).encode()
    ),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Serve a table and a directory in this process; an error that nobody expected is raised here."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "files").mkdir()
    (folder / "files" / "a").write_text("a")
    url = f"sqlite:///{folder / 'source.db'}"
    execute(
        url, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b DECIMAL(10, 2))", "INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2)"
    )
    tables = {"t": {"windows": ["id", "a", "b"]}}
    with TestClient(create_app(config(url, tables=tables, directories={"d": {"path": str(folder / "files")}}))) as client:
        yield client


QUICK = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def check(caplog: pytest.LogCaptureFixture, answer: Any) -> None:
    """Check that an answer is the protocol's, and that the log has one line at most for it."""
    assert answer.status_code in (200, 304, 404, 413, 422), answer.text[:300]
    if answer.headers.get("content-type", "").startswith("application/vnd"):
        # A failure on the way would be told by the last message.
        list(read_messages([answer.content], parse_media_type(answer.headers["content-type"]), limit=1 << 30))
    assert all(line.isprintable() for line in own_lines(caplog, logging.DEBUG))
    assert not [record for record in caplog.records if record.exc_info]
    caplog.clear()


@QUICK
@given(MESSAGES)
def test_messages(client: TestClient, caplog: pytest.LogCaptureFixture, asked: tuple[str, Any]) -> None:
    """Nearly correct and wrong requests of version 2 are answered without a failure of the server."""
    path, value = asked
    check(caplog, client.post(path, content=json.dumps(value).encode("utf-8", "surrogatepass")))


@QUICK
@given(FILE_MESSAGES)
def test_file_messages(client: TestClient, caplog: pytest.LogCaptureFixture, asked: tuple[str, Any]) -> None:
    """Nearly correct and wrong requests about directories are answered without a failure of the server."""
    path, value = asked
    answer = client.post(path, content=json.dumps(value).encode("utf-8", "surrogatepass"))
    assert answer.status_code in (200, 422), answer.text[:300]
    if answer.status_code == 200:
        list(read_file_messages([answer.content], parse_media_type(answer.headers["content-type"]), limit=1 << 30))
    assert not [record for record in caplog.records if record.exc_info]
    caplog.clear()


@QUICK
@given(st.sampled_from(["/getTable", "/getTableHash", "/getFileHashes", "/getFiles"]), TYPES, BODIES)
def test_fields(client: TestClient, caplog: pytest.LogCaptureFixture, path: str, kind: str, body: bytes) -> None:
    """Requests of version 1 with any types and values are answered without a failure of the server."""
    check(caplog, client.post(path, content=body, headers={"Content-Type": kind.encode("latin-1")}))


@QUICK
@given(st.sampled_from(["/getRows", "/getTable", "/getFiles"]), st.binary(max_size=200))
def test_bytes(client: TestClient, caplog: pytest.LogCaptureFixture, path: str, body: bytes) -> None:
    """Any bytes in a body or a header are answered without a failure of the server."""
    headers = {
        "Content-Type": b"application/json",
        "Accept": body.translate(None, b"\r\n\0"),
        "Authorization": b"Bearer " + body[:9],
    }
    check(caplog, client.post(path, content=b'{"table_slice": {"name": "t"}, "config_name": "' + body, headers=headers))


@pytest.mark.parametrize("nested", [b"[" * 100_000, b'{"a":' * 100_000, b'{"table_slice":' * 100_000])
def test_deep_values(client: TestClient, caplog: pytest.LogCaptureFixture, nested: bytes) -> None:
    """Values that are nested very deeply are answered without a failure of the server."""
    for path in ("/getRows", "/getTable", "/getFiles"):
        check(caplog, client.post(path, content=nested, headers={"Content-Type": "application/json"}))


def test_fields_that_come_twice(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A request that has a field twice is answered without a failure of the server, which uses one value."""
    for body in (b'{"table_slice":{"name":"nope"},"table_slice":{"name":"t"}}', b'{"table_slice":{"name":"t","name":"nope"}}'):
        check(caplog, client.post("/getRows", content=body))
    answer = client.post("/getTableHash", content=b"config_name=nope&config_name=t", headers={"Content-Type": FORM})
    assert answer.status_code == 200


BOUNDS = [str(2**63), str(2**64), str(-(2**64)), "9" * 400, "-" + "9" * 400, "-0", "1" * 19]


def test_windows_beyond_a_column(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A window that ends beyond the range of its column is refused or gives the rows in it."""
    execute(database_url, "CREATE TABLE t (id BIGINT PRIMARY KEY, b DECIMAL(10, 2))", "INSERT INTO t VALUES (1, 1), (2, 2)")
    with served(database_url, t={"windows": ["id", "b"]}) as url:
        for column, bound in product(("id", "b"), BOUNDS):
            window = Window(column=column, start="-5", end=bound)
            answer = ask(url, "/getRows", GetRows(table_slice=RequestedSlice(name="t", window=window)))
            assert answer.status == 422 or found(answer) in ("422", 0 if bound.startswith("-") else 2)
    assert "did not expect" not in caplog.text
    assert "Traceback" not in caplog.text


def found(answer: Answer) -> int | str:
    """Count the rows of an answer; give the status that it ends with where it fails on the way."""
    try:
        messages = list(read_messages([answer.body], parse_media_type(answer.headers["content-type"]), limit=1 << 30))
    except ServerError as error:
        return str(error.status)
    return sum(message.count for message in messages if isinstance(message, Rows))
