"""Answers of a few kilobytes that stand for gigabytes, and answers without end: refused, in little memory, by the limits."""

from __future__ import annotations

import gzip
import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from socket import socket

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, SizeLimits
from airflow_provider_sync.exceptions import ConfigurationError, GuardError, ProtocolError, SyncError
from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.protocol.v2.file_messages import Entries, FileEntry, Listed, ListFiles
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DigestRows, GetRows, RequestedSlice, Rows, Segments
from airflow_provider_sync.protocol.v2.stream import media_type, write_file_messages, write_messages
from tests.client.scripted_server import ScriptedServer, head, reply, stream
from tests.client.test_table_streams import DESCRIBED, PARTITIONING

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_ORDERS = RequestedSlice(name="orders")
_MEGABYTE = 1 << 20


@contextmanager
def memory(most: int) -> Iterator[None]:
    """Assert that Python's memory never grows by more than ``most`` bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.fixture
def message(request: pytest.FixtureRequest) -> bytes:
    """Give a message of megabytes, which is made only where it is needed: each worker collects all tests."""
    return _made(request)


@pytest.fixture
def manifest(request: pytest.FixtureRequest) -> bytes:
    """Give a manifest of megabytes; see :func:`message`."""
    return _made(request)


def _made(request: pytest.FixtureRequest) -> bytes:
    make: Callable[[], bytes] = request.param
    return make()


def _packed(message: bytes) -> bytes:
    """Frame and compress a message that no writer would write."""
    return stream(zstd.compress(struct.pack(">I", len(message)) + message), {"Content-Type": media_type("zstd")})


def _array(count: int, element: bytes) -> bytes:
    return b"\xdd" + struct.pack(">I", count) + element * count


def _text(value: str) -> bytes:
    return msgspec.msgpack.encode(value)


_COLUMN = msgspec.msgpack.encode(DESCRIBED.columns[0])
_HOSTILE_MESSAGES: dict[str, Callable[[], bytes]] = {
    "numbers of segments": lambda: b"\x84" + _text("type") + _text("segments") + _text("numbers") + _array(5_000_000, b"\x01"),
    "columns": lambda: b"\x85" + _text("type") + _text("described") + _text("columns") + _array(100_000, _COLUMN),
    "columns of the key": lambda: b"\x85" + _text("type") + _text("described") + _text("key") + _array(5_000_000, b"\xa0"),
}


@pytest.mark.parametrize("message", _HOSTILE_MESSAGES.values(), ids=_HOSTILE_MESSAGES, indirect=True)
def test_a_message_of_millions_is_refused(server: ScriptedServer, client: SyncClient, message: bytes) -> None:
    """A long list in a message is refused by its length, before it is decoded."""
    server.answer(_packed(message))
    with memory(4 * len(message) + 20 * _MEGABYTE), pytest.raises(ProtocolError, match=r"Expected `array` of length <="):
        client.describe_table(DescribeTable(table_slice=_ORDERS))


def _wide() -> bytes:
    return _text("a" * (40 << 20) + "\N{GRINNING FACE}")


_LONG_TEXTS: dict[str, Callable[[], bytes]] = {
    "type": lambda: b"\x81" + _text("type") + _wide(),
    "column": lambda: b"\x82" + _text("type") + _text("described") + _text("columns") + b"\x91\x81" + _text("name") + _wide(),
    "kind": lambda: b"\x82" + _text("type") + _text("described") + _text("columns") + b"\x91\x81" + _text("kind") + _wide(),
    "failure": lambda: (
        b"\x83" + _text("type") + _text("failure") + _text("status") + b"\xcd\x01\xf4" + _text("message") + _wide()
    ),
}


@pytest.mark.parametrize("message", _LONG_TEXTS.values(), ids=_LONG_TEXTS, indirect=True)
def test_a_message_of_text_is_refused(server: ScriptedServer, client: SyncClient, message: bytes) -> None:
    """Text, which takes four times its bytes in memory, is limited before it is decoded, wherever it is in a message."""
    server.answer(_packed(message))
    with memory(2 * len(message) + 20 * _MEGABYTE), pytest.raises(ProtocolError, match="bytes of text"):
        client.describe_table(DescribeTable(table_slice=_ORDERS))


def test_a_row_may_be_larger_than_any_text(server: ScriptedServer, client: SyncClient) -> None:
    """The limit on text does not apply to rows: a row of many megabytes arrives."""
    row = b"1\t" + b"x" * (20 << 20) + b"\n"
    server.answer(stream(b"".join(write_messages([Rows(count=1, data=row)], "zstd")), {"Content-Type": media_type("zstd")}))
    with client.get_rows(GetRows(table_slice=_ORDERS)) as answer:
        assert [message.data for message in answer] == [row]


def test_a_message_that_announces_what_does_not_come(server: ScriptedServer, client: SyncClient) -> None:
    """An announced length does not allocate memory before the content arrives."""
    for announced in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"):
        server.answer(_packed(b"\x82" + _text("type") + _text("rows") + _text("data") + announced))
        with memory(20 * _MEGABYTE), pytest.raises(ProtocolError):
            _read(client.get_rows(GetRows(table_slice=_ORDERS)))


_MANIFESTS: dict[str, Callable[[], bytes]] = {
    "empty names": lambda: b'{"hashes":[' + b'"",' * 2_500_000 + b'""]}',
    "short names": lambda: b'{"hashes":{' + b"".join(b'"%d":"",' % number for number in range(1_100_000)) + b'"":""}}',
    "quotes": lambda: b'{"hashes":["' + b'\\"' * 1_000_000 + b'"' + b',""' * 2_500_000 + b"]}",
    "backslashes": lambda: b'{"hashes":["' + b"\\\\" * 5_000_000 + b'"' + b',""' * 2_500_000 + b"]}",
}


@pytest.mark.parametrize("manifest", _MANIFESTS.values(), ids=_MANIFESTS, indirect=True)
def test_a_manifest_of_millions_is_refused(server: ScriptedServer, client: SyncClient, manifest: bytes) -> None:
    """The number of files in a manifest is checked before they are read."""
    server.answer(reply(200, gzip.compress(manifest, 1), {"Content-Encoding": "gzip"}))
    with (
        memory(3 * len(manifest) + 20 * _MEGABYTE),
        pytest.raises(GuardError, match=r"more than the 1000000 files that limits\.max_files allows"),
    ):
        client.get_file_hashes("images")


_WIDE_MANIFESTS: dict[str, Callable[[], bytes]] = {
    "names": lambda: (
        b'{"hashes":{' + b",".join(b'"%d%b":""' % (n, b"a" * 4000 + "\N{GRINNING FACE}".encode()) for n in range(5000)) + b"}}"
    ),
    "hashes": lambda: b'{"hashes":{' + b",".join(b'"%d":"%b\\ud83d\\ude00"' % (n, b"a" * 4000) for n in range(5000)) + b"}}",
}


@pytest.mark.parametrize("manifest", _WIDE_MANIFESTS.values(), ids=_WIDE_MANIFESTS, indirect=True)
def test_the_text_of_a_manifest_is_limited(server: ScriptedServer, manifest: bytes) -> None:
    """One character of four bytes makes Python store all others of a name in four bytes each; the limit counts that memory."""
    server.answer(reply(200, gzip.compress(manifest, 1), {"Content-Encoding": "gzip"}))
    with (
        SyncClient(server.url, retries=0, limits=SizeLimits(max_files=100_000)) as client,
        memory(3 * len(manifest) + 20 * _MEGABYTE),
        pytest.raises(GuardError, match=r"text of the list of files.*limits\.max_files"),
    ):
        client.get_file_hashes("images")


def test_a_path_of_megabytes_is_refused(server: ScriptedServer, client: SyncClient) -> None:
    """A path that no file system has is an error of the answer."""
    server.answer(reply(200, b'{"hashes":{"' + b"a" * 1_000_000 + b'":""}}'))
    with pytest.raises(ProtocolError, match="a path of 1000000 characters"):
        client.get_file_hashes("images")


def test_directories_that_only_paths_show_are_limited(server: ScriptedServer) -> None:
    """The number of directories that occur only in the paths of files is limited, with either version."""
    paths = [f"{number}{'/x' * 60}/f" for number in range(10)]
    entries = tuple(FileEntry(path, "file") for path in paths)
    listing = b"".join(write_file_messages([(Entries(entries=entries),), (Listed(),)], "zstd"))
    for most, passes in ((609, False), (610, True)):
        with SyncClient(server.url, retries=0, limits=SizeLimits(max_files=most)) as client:
            server.answer(reply(200, msgspec.json.encode({"hashes": dict.fromkeys(paths, "")})))
            with nullcontext() if passes else pytest.raises(GuardError, match=r"limits\.max_files"):
                assert list(client.get_file_hashes("images")) == paths
            server.answer(stream(listing, {"Content-Type": media_type("zstd")}))
            with (
                nullcontext() if passes else pytest.raises(GuardError, match=r"limits\.max_files"),
                client.list_files(ListFiles(directory="images")) as answer,
            ):
                assert [entry.path for entries in answer for entry in entries] == paths


def test_a_manifest_of_blanks_is_refused(server: ScriptedServer) -> None:
    """White space in a manifest is limited by the number of its files."""
    server.answer(reply(200, gzip.compress(b'{"hashes":{' + b" " * 100 * _MEGABYTE + b"}}", 1), {"Content-Encoding": "gzip"}))
    with (
        SyncClient(server.url, retries=0, limits=SizeLimits(max_files=1000)) as client,
        memory(60 * _MEGABYTE),
        pytest.raises(GuardError, match=r"limits\.max_files"),
    ):
        client.get_file_hashes("images")


def test_as_many_files_as_the_limit_allows(server: ScriptedServer) -> None:
    """Exactly as many files as the limit are allowed, in both forms of a manifest, with any names."""
    names = ["a", 'b"', "c\\", 'd\\"', 'e","f']
    with SyncClient(server.url, retries=0, limits=SizeLimits(max_files=5)) as client:
        server.answer(reply(200, msgspec.json.encode({"hashes": dict.fromkeys(names, "x")})))
        assert list(client.get_file_hashes("images")) == names
        server.answer(reply(200, msgspec.json.encode({"hashes": names})))
        assert list(client.get_file_hashes("images").values()) == names
        for more in ({"hashes": dict.fromkeys([*names, "g"], "x")}, {"hashes": [*names, "g"]}):
            server.answer(reply(200, msgspec.json.encode(more)))
            with pytest.raises(GuardError, match=r"limits\.max_files"):
                client.get_file_hashes("images")


@pytest.mark.parametrize("column", [b'"%d":0', b'"%d" :0', b'"%d\\\\":0'], ids=["compact", "spaces", "backslashes"])
def test_a_row_of_a_million_columns_is_refused(server: ScriptedServer, client: SyncClient, column: bytes) -> None:
    """The number of columns in a version 1 row is limited, in any notation, and whatever follows the row."""
    row = b"{" + b",".join(column % number for number in range(1_000_000)) + b"}\n"
    server.answer(stream(gzip.compress(row + b"{}\n" * 100_000, 1), size=1 << 16))
    with memory(4 * len(row) + 20 * _MEGABYTE), pytest.raises(ProtocolError, match="more than 32768 columns"):
        _read(client.get_table("orders"))


def test_capabilities_of_a_million_names_are_refused(server: ScriptedServer, client: SyncClient) -> None:
    """The number of names in capabilities is limited."""
    offered = b'{"protocol":2,"tables":{' + b",".join(b'"%d":[]' % number for number in range(300_000)) + b"}}"
    server.answer(reply(200, offered))
    with memory(40 * _MEGABYTE), pytest.raises(ProtocolError, match="names"):
        client.capabilities()


def _forever(server: ScriptedServer, kind: str, blocks: Iterator[bytes]) -> Callable[[socket], None]:
    def answer(connection: socket) -> None:
        connection.sendall(head(200, {"Content-Type": kind, "Transfer-Encoding": "chunked"}))
        for block in blocks:
            if server.released.is_set():
                return
            connection.sendall(b"%x\r\n%b\r\n" % (len(block), block))

    return answer


def _read(answer: object) -> list[object]:
    with answer:  # type: ignore[attr-defined]
        for batch in answer:  # type: ignore[attr-defined]
            for chunk in getattr(batch, "chunks", ()):
                del chunk
    return []


def _endless_rows() -> Iterator[Rows]:
    while True:
        yield Rows(count=1000, data=b"1234567\n" * 1000)


def _gzipped(line: bytes) -> Iterator[bytes]:
    deflate = zlib.compressobj(1, wbits=31)
    while True:
        if block := deflate.compress(line * 10_000):
            yield block


def _file(size: int) -> Iterator[bytes]:
    yield frame_header("a", size)
    while True:
        yield bytes(_MEGABYTE)


_ENDLESS: dict[str, tuple[str, Callable[[], Iterator[bytes]], Callable[[SyncClient], object], str]] = {
    "rows of version 1": (
        "application/octet-stream",
        lambda: _gzipped(b'{"id":1}\n'),
        lambda client: client.get_table("orders"),
        r"limits\.max_rows",
    ),
    "bytes of version 1": (
        "application/octet-stream",
        lambda: _gzipped(b'{"id":"%b"}\n' % (b"x" * 500)),
        lambda client: client.get_table("orders"),
        r"limits\.max_table_bytes",
    ),
    "rows of version 2": (
        media_type("zstd"),
        lambda: write_messages(_endless_rows(), "zstd"),
        lambda client: client.get_rows(GetRows(table_slice=_ORDERS)),
        r"limits\.max_rows",
    ),
    "bytes of version 2": (
        media_type("zstd"),
        lambda: write_messages(iter(lambda: Rows(count=1, data=b"x" * 500_000 + b"\n"), None), "zstd"),
        lambda client: client.get_rows(GetRows(table_slice=_ORDERS)),
        r"limits\.max_table_bytes",
    ),
    "a file": (
        "application/octet-stream",
        lambda: _file(1 << 45),
        lambda client: client.get_files("images", ["a"]),
        r"'a' has more than .* limits\.max_file_bytes",
    ),
    "files": (
        "application/octet-stream",
        lambda: _file(9 * _MEGABYTE),
        lambda client: client.get_files("images", ["a", "b"]),
        r"limits\.max_directory_bytes",
    ),
}


@pytest.mark.parametrize("what", list(_ENDLESS))
def test_an_endless_body_ends_at_its_limit(server: ScriptedServer, what: str) -> None:
    """An endless body stops at the limit that the error names."""
    kind, blocks, ask, message = _ENDLESS[what]
    server.answer(_forever(server, kind, blocks()))
    limits = SizeLimits(
        max_rows=100_000, max_table_bytes=5_000_000, max_file_bytes=9 * _MEGABYTE, max_directory_bytes=5 * _MEGABYTE
    )
    with (
        SyncClient(server.url, retries=0, limits=limits) as client,
        memory(40 * _MEGABYTE),
        pytest.raises(GuardError, match=message),
    ):
        _read(ask(client))


def test_more_rows_than_a_table_may_have_are_refused_when_they_are_announced(server: ScriptedServer) -> None:
    """A table is refused as soon as its announced number of rows exceeds the limit."""
    announced = Segments(numbers=(0,), counts=(10**15,), sums=(0,))
    body = b"".join(write_messages([DESCRIBED, announced], "zstd"))
    server.answer(stream(body, {"Content-Type": media_type("zstd")}))
    with SyncClient(server.url, retries=0) as client:
        answer = client.describe_table(DescribeTable(table_slice=_ORDERS))
        with answer, pytest.raises(GuardError, match=r"Table 'orders'.*2000000000 rows that limits\.max_rows allows"):
            list(answer)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(zstd.compress(bytes(10), options={zstd.CompressionParameter.window_log: 27}), id="a huge window"),
        pytest.param(zstd.compress(b"") + zstd.compress(b""), id="two frames"),
        pytest.param(b"\x50\x2a\x4d\x18" + struct.pack("<I", 1 << 31), id="a frame to be skipped"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(1000), id="a damaged frame"),
    ],
)
def test_odd_frames_of_zstd_are_refused(server: ScriptedServer, client: SyncClient, body: bytes) -> None:
    """Windows above 8 MiB, several frames and skippable frames are refused."""
    server.answer(stream(body, {"Content-Type": media_type("zstd")}))
    with memory(40 * _MEGABYTE), pytest.raises(SyncError):
        _read(client.digest_rows(DigestRows(table_slice=_ORDERS, partitioning=PARTITIONING)))


@pytest.mark.parametrize("option", list(SizeLimits.model_fields))
def test_a_limit_of_nothing_is_refused(option: str) -> None:
    """A limit of 0 is refused."""
    with pytest.raises(ConfigurationError, match=f"limits.{option} is 0"):
        ClientConfig.from_dict({"url": "http://source.example", "limits": {option: 0}})
