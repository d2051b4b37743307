"""A stream of messages."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import IncompleteStreamError, ProtocolError, ServerError, TableError
from airflow_provider_sync.protocol.v2 import stream
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS, compressor, decompress
from airflow_provider_sync.protocol.v2.file_messages import Chunks, Content, ContentFailed, Entries, FileDigests, FileMessage
from airflow_provider_sync.protocol.v2.messages import (
    ColumnDescription,
    Described,
    End,
    Failure,
    Message,
    Partitioning,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.stream import (
    MEDIA_TYPE,
    accept,
    choose_compression,
    media_type,
    parse_media_type,
    read_file_messages,
    read_messages,
    write_file_messages,
    write_messages,
)
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_LIMIT = 1 << 20
_DESCRIBED = Described(
    columns=(
        ColumnDescription(name="id", type=LogicalType(kind=LogicalKind.INTEGER, unsigned=True), nullable=False),
        ColumnDescription(name="preis ü", type=LogicalType(kind=LogicalKind.DECIMAL, scale=2, precision=10)),
    ),
    key=("id",),
    rows=3,
    partitioning=Partitioning(scheme="key_range", segment_count=2, low=-(2**63), high=2**64 - 1),
)
_MESSAGES: list[Message] = [
    _DESCRIBED,
    Segments(numbers=(0, 1), counts=(1, 2), sums=(2**64 - 1, 0)),
    RowDigests(count=2, keys=b"1\n2\n", digests=bytes(range(12))),
    Rows(count=2, data=b"1\t\\N\n2\t1.10\n"),
]
_ALL = st.lists(
    st.sampled_from(_MESSAGES)
    | st.builds(Rows, count=st.integers(0, 9), data=st.binary(max_size=300))
    | st.builds(RowDigests, count=st.integers(0, 9), keys=st.binary(max_size=30), digests=st.binary(max_size=30)),
    max_size=5,
)
_compressed = pytest.mark.parametrize("compression", COMPRESSIONS)


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _written(messages: Iterable[Message] = _MESSAGES, compression: str = "zstd") -> bytes:
    return b"".join(write_messages(messages, compression))


def _read(body: bytes, compression: str = "zstd", *, size: int = 1 << 16, limit: int = _LIMIT) -> list[Message]:
    return list(read_messages(_cut(body, size), compression, limit=limit))


def _plain(body: bytes, compression: str = "zstd") -> bytes:
    return b"".join(decompress([body], compression, limit=_LIMIT))


def _packed(plain: bytes, compression: str = "zstd") -> bytes:
    stream = compressor(compression)
    return stream.write(plain) + stream.finish()


def _framed(message: object) -> bytes:
    content = msgspec.msgpack.encode(message)
    return len(content).to_bytes(4, "big") + content


@_compressed
@given(messages=_ALL, size=st.integers(1, 50))
def test_any_messages_in_any_pieces_come_back(compression: str, messages: list[Message], size: int) -> None:
    """For any messages and any pieces of the body, the same messages come out."""
    assert _read(_written(messages, compression), compression, size=size) == messages


def test_the_bytes_are_as_documented() -> None:
    """The stream has lengths, messages, and an end with the number of rows and the digest of all bytes before it."""
    body = b"".join(map(_framed, _MESSAGES))
    end = End(rows=3 + 2 + 2, digest=hashlib.sha256(body).hexdigest())
    for compression in COMPRESSIONS:
        assert _plain(_written(compression=compression), compression) == body + _framed(end)


@_compressed
def test_each_message_can_be_read_before_the_next_is_made(compression: str) -> None:
    """A reader can read every message before the writer begins the next."""
    made = []

    def messages() -> Iterator[Message]:
        for message in _MESSAGES:
            made.append(message)
            yield message

    received = []
    for message in read_messages(write_messages(messages(), compression), compression, limit=_LIMIT):
        received.append(message)
        assert received == made
    assert received == _MESSAGES


@_compressed
@given(messages=_ALL, data=st.data())
def test_every_truncation_is_an_error(compression: str, messages: list[Message], data: st.DataObject) -> None:
    """A body that is cut at any place is an error."""
    body = _written(messages, compression)
    end = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(IncompleteStreamError):
        _read(body[:end], compression, size=7)


@_compressed
def test_no_cut_is_overlooked(compression: str) -> None:
    """A body is refused if it is cut at any single byte, including the last bytes of the compression."""
    body = _written(compression=compression)
    for end in range(len(body)):
        with pytest.raises(IncompleteStreamError):
            _read(body[:end], compression)


@given(messages=_ALL, data=st.data())
def test_every_truncation_below_the_compression_is_an_error(messages: list[Message], data: st.DataObject) -> None:
    """A complete compressed stream with truncated content is an error."""
    plain = _plain(_written(messages))
    end = data.draw(st.integers(0, len(plain) - 1))
    with pytest.raises(IncompleteStreamError):
        _read(_packed(plain[:end]))


@_compressed
@given(messages=_ALL, data=st.data(), bits=st.integers(1, 255))
def test_no_flipped_byte_changes_a_message(compression: str, messages: list[Message], data: st.DataObject, bits: int) -> None:
    """A flipped byte is an error, unless the compression ignores it and all messages are the same."""
    body = bytearray(_written(messages, compression))
    body[data.draw(st.integers(0, len(body) - 1))] ^= bits
    with suppress(ProtocolError):
        assert _read(bytes(body), compression) == messages


@given(messages=_ALL, data=st.data(), bits=st.integers(1, 255))
def test_every_flipped_byte_below_the_compression_is_an_error(messages: list[Message], data: st.DataObject, bits: int) -> None:
    """The end record finds every changed byte, including its own."""
    plain = bytearray(_plain(_written(messages)))
    plain[data.draw(st.integers(0, len(plain) - 1))] ^= bits
    with pytest.raises(ProtocolError):
        _read(_packed(bytes(plain)))


def test_reordered_and_left_out_messages_are_errors() -> None:
    """Reordered and missing messages do not fit the end record."""
    frames = [_framed(message) for message in _MESSAGES]
    end = _plain(_written())[len(b"".join(frames)) :]
    for changed in (frames[::-1], frames[1:], frames[:-1], [*frames, frames[-1]]):
        with pytest.raises(ProtocolError, match="damaged"):
            _read(_packed(b"".join(changed) + end))


def test_a_wrong_count_is_an_error() -> None:
    """A wrong number of rows in the end record is an error."""
    body = _framed(_MESSAGES[3])
    for rows in (0, 1, 3):
        with pytest.raises(ProtocolError, match=f"announces {rows} rows and brought 2"):
            _read(_packed(body + _framed(End(rows=rows, digest=hashlib.sha256(body).hexdigest()))))


@_compressed
def test_an_error_ends_the_stream_with_its_reason(compression: str) -> None:
    """An error after the beginning is sent in place of the end; one before it is raised to the caller."""

    def failing(messages: Iterable[Message]) -> Iterator[Message]:
        yield from messages
        raise TableError("No more.")

    def explain(error: Exception) -> Failure:
        return Failure(status=422, message=str(error))

    body = b"".join(write_messages(failing(_MESSAGES), compression, explain=explain))
    received: list[Message] = []
    with pytest.raises(ServerError, match=r"No more\.") as told:
        received.extend(read_messages([body], compression, limit=_LIMIT))
    assert told.value.status == 422
    with pytest.raises(TableError):
        next(write_messages(failing([]), compression, explain=explain))
    with pytest.raises(TableError):
        list(write_messages(failing(_MESSAGES), compression))


@_compressed
def test_anything_behind_the_end_is_refused(compression: str) -> None:
    """Bytes after the end are an error, inside and outside of the compression."""
    body = _written(compression=compression)
    plain = _plain(body, compression)
    for rest in (plain, _framed(_MESSAGES[0]), b"x", bytes(4)):
        with pytest.raises(ProtocolError):
            _read(_packed(plain + rest, compression), compression)
    for rest in (b"x", body, bytes(9)):
        for size in (1, 4096):
            with pytest.raises(ProtocolError, match="follows the end"):
                _read(body + rest, compression, size=size)


@_compressed
def test_a_bomb_is_stopped(compression: str) -> None:
    """A small body that inflates above the limit is refused, in bounded memory."""
    bomb = _packed(bytes(64 << 20), compression)
    pieces: list[int] = []
    with pytest.raises(ProtocolError, match="more than 1048576 bytes"):
        pieces.extend(map(len, decompress([bomb], compression, limit=_LIMIT)))
    assert sum(pieces) <= _LIMIT
    with pytest.raises(ProtocolError):
        _read(bomb, compression)


@pytest.mark.parametrize(
    "empty", [Segments(numbers=(), counts=(), sums=()), Rows(count=0, data=b""), RowDigests(count=0, keys=b"", digests=b"")]
)
def test_signs_of_life_without_end_are_refused(monkeypatch: pytest.MonkeyPatch, empty: Message) -> None:
    """Too many keep-alives in a row are refused; other messages reset the count."""
    monkeypatch.setattr(stream, "MAX_EMPTY", 100)
    some = Rows(count=1, data=b"1\n")
    alive = [empty] * 100
    assert _read(_written([*alive, some, *alive, _DESCRIBED])) == [*alive, some, *alive, _DESCRIBED]
    with pytest.raises(ProtocolError, match="101 messages in a row without anything in them"):
        _read(_written([*alive, some, *alive, empty]))


@pytest.mark.parametrize(
    "empty",
    [Entries(entries=()), FileDigests(digests=()), Chunks(lengths=(), digests=b""), Content(number=0, data=b"")],
)
def test_signs_of_life_about_files(monkeypatch: pytest.MonkeyPatch, empty: FileMessage) -> None:
    """Streams about files limit keep-alives, too; failures of many files do not count."""
    monkeypatch.setattr(stream, "MAX_EMPTY", 100)
    failed = ContentFailed(number=0, reason="gone", message="")

    def read(messages: list[FileMessage]) -> list[FileMessage]:
        return list(read_file_messages(write_file_messages([messages], "zstd"), "zstd", limit=_LIMIT))

    assert len(read([*[empty] * 100, *[failed] * 200])) == 300
    with pytest.raises(ProtocolError, match="101 messages in a row without anything in them"):
        read([empty] * 101)


def test_an_oversized_message_is_refused_by_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is refused by its announced length, before it is read."""
    with pytest.raises(ProtocolError, match="4294967295 bytes is announced"):
        _read(_packed(b"\xff" * 4))
    body = _written([Rows(count=1, data=bytes(200))])
    monkeypatch.setattr(stream, "TABLE_MESSAGES", replace(stream.TABLE_MESSAGES, max_bytes=100))
    with pytest.raises(ProtocolError, match="announced"):
        _read(body)


def test_an_oversized_message_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that no reader would accept is an error of the table."""
    monkeypatch.setattr(stream, "TABLE_MESSAGES", replace(stream.TABLE_MESSAGES, max_bytes=100))
    with pytest.raises(TableError, match="1 rows make a message of"):
        list(write_messages([Rows(count=1, data=bytes(200))], "gzip"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"type": "unheard of"}),
        msgspec.msgpack.encode({"type": "rows", "count": "2", "data": b""}),
        msgspec.msgpack.encode({"type": "rows", "count": 2}),
        msgspec.msgpack.encode([1, 2]),
        msgspec.msgpack.encode(Rows(count=0, data=b"")) + b"\0",
        b"\x82\xa4type\xa4rows\xa1x" + b"\x91" * 100_000,
        b"\x82\xa4type\xa9described\xa1\xff\xc0",
        msgspec.msgpack.encode({"type": "long" * 100_000}),
    ],
    ids=["empty", "reserved", "tag", "type", "missing", "array", "trailing", "nested", "utf-8", "long"],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    """An unknown message is a short error that names it."""
    with pytest.raises(ProtocolError, match="Message 1 cannot be read") as caught:
        _read(_packed(len(content).to_bytes(4, "big") + content))
    assert len(str(caught.value)) < 1_000


@_compressed
def test_what_is_not_compressed_so_is_refused(compression: str) -> None:
    """A page of HTML, and the other compression, are refused."""
    other = next(name for name in COMPRESSIONS if name != compression)
    for body in (b"<!DOCTYPE html><html>" + bytes(99), _written(compression=other)):
        with pytest.raises(ProtocolError):
            _read(body, compression)


def test_a_zstd_window_that_claims_memory_is_refused() -> None:
    """A zstd window above 8 MiB is refused."""
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([(27 - 10) << 3]) + b"\x01\x00\x00"
    with pytest.raises(ProtocolError, match="damaged after 0"):
        _read(frame)


def test_any_level_of_gzip_can_be_read() -> None:
    """Any gzip level of a server can be read."""
    assert _read(gzip.compress(_plain(_written()), 9), "gzip") == _MESSAGES


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (accept(), "zstd"),
        (accept(["gzip"]), "gzip"),
        (accept(["gzip", "zstd"]), "zstd"),
        (f"application/json, {MEDIA_TYPE.upper()};Compression=ZSTD", "zstd"),
        (f'{MEDIA_TYPE}; compression="zstd"; q=0.5', "zstd"),
        (f"{MEDIA_TYPE}; compression=zstd; q=0", "gzip"),
        (f"{MEDIA_TYPE}; compression=lzma", "gzip"),
        (MEDIA_TYPE, "gzip"),
        ("text/html; compression=zstd", "gzip"),
        ("*/*", "gzip"),
        ("", "gzip"),
    ],
)
def test_the_best_of_what_a_client_takes_is_chosen(header: str, expected: str) -> None:
    """The best accepted compression is chosen, and gzip if the client names none."""
    assert choose_compression(header) == expected


@_compressed
def test_the_media_type_names_the_compression(compression: str) -> None:
    """The client reads the compression that the media type names."""
    assert parse_media_type(media_type(compression)) == compression
    assert parse_media_type(f'{MEDIA_TYPE.upper()};charset=x; Compression="{compression}"') == compression


@pytest.mark.parametrize("kind", ["", "text/html", MEDIA_TYPE, f"{MEDIA_TYPE}; compression=br", "text/html; compression=zstd"])
def test_another_media_type_is_refused(kind: str) -> None:
    """A body with another media type is refused."""
    with pytest.raises(ProtocolError, match="not a stream of version 2"):
        parse_media_type(kind)
