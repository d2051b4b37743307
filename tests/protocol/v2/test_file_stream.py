"""A stream of messages about files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileError, GuardError, IncompleteStreamError, ProtocolError
from airflow_provider_sync.protocol.v2 import stream
from airflow_provider_sync.protocol.v2.compression import (
    CONTENT_COMPRESSIONS,
    BlockCompressor,
    compressor,
    decompress,
    inflate_block,
)
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_ENTRIES,
    Chunked,
    Chunks,
    Content,
    ContentEnd,
    ContentFailed,
    Entries,
    FileDigest,
    FileDigests,
    FileEntry,
    FileMessage,
    Listed,
    Unchanged,
    UnreadableFiles,
)
from airflow_provider_sync.protocol.v2.messages import End, Rows
from airflow_provider_sync.protocol.v2.stream import (
    accept,
    choose_compression,
    media_type,
    parse_media_type,
    read_file_messages,
    write_file_messages,
    write_messages,
)

_LIMIT = 1 << 20
_MESSAGES: list[FileMessage] = [
    Unchanged(),
    Entries(
        entries=(
            FileEntry("a", "directory", mode=0o755),
            FileEntry("a/ü", "file", 2**63 - 1, -(2**63), 0o7777, bytes(range(32))),
            FileEntry("a/z", "file", same_as="a/ü"),
            FileEntry("link", "link", link_target="../x"),
        )
    ),
    UnreadableFiles(reasons={"b/": "Permission denied."}),
    Listed(state="s", links_skipped=3),
    FileDigests(digests=(FileDigest(bytes(32), 5, 6), FileDigest(None, problem="x"))),
    Content(number=0, data=b"abc"),
    Content(number=0, inflated=9, end=ContentEnd(bytes(32), 0o644), data=b"\x28" * 70_000),
    ContentFailed(number=1, reason="gone", message="It is gone."),
    Chunks(lengths=(1, 65536), digests=bytes(32)),
    Chunked(size=65537, mtime_ns=1, digest=bytes(32)),
]
_ALL = st.lists(
    st.lists(st.sampled_from(_MESSAGES) | st.builds(Content, number=st.integers(0, 9), data=st.binary(max_size=300)), max_size=4),
    max_size=3,
)
_compressed = pytest.mark.parametrize("compression", CONTENT_COMPRESSIONS)


def _written(groups: Sequence[Sequence[FileMessage]], compression: str = "none") -> bytes:
    return b"".join(write_file_messages(groups, compression))


def _read(body: bytes, compression: str = "none", *, size: int = 1 << 16, limit: int = _LIMIT) -> list[FileMessage]:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return list(read_file_messages(pieces, compression, limit=limit))


@_compressed
@settings(max_examples=40)
@given(groups=_ALL, size=st.integers(1, 50))
def test_any_messages_in_any_pieces_come_back(compression: str, groups: list[list[FileMessage]], size: int) -> None:
    """For any messages and any pieces of the body, the same messages come out."""
    assert _read(_written(groups, compression), compression, size=size) == [message for group in groups for message in group]


def test_content_is_not_copied() -> None:
    """Content is read as a view of the received piece, or of several pieces together."""
    message = Content(number=0, end=ContentEnd(bytes(32)), data=memoryview(b"x" * 70_000))
    body = _written([[message, message]])
    first, second = list(read_file_messages([body], "none", limit=_LIMIT))
    assert [message.data.obj is body for message in (first, second) if isinstance(message, Content)] == [True, True]
    (cut, whole) = list(read_file_messages([body[:1000], body[1000:]], "none", limit=_LIMIT))
    assert cut == whole == message


@_compressed
def test_a_group_is_one_piece(compression: str) -> None:
    """Each group can be read when its one piece has arrived; an empty one sends nothing."""
    pieces = write_file_messages([_MESSAGES[:2], [], _MESSAGES[2:4]], compression)
    read = read_file_messages(pieces, compression, limit=_LIMIT)
    assert [next(read), next(read)] == _MESSAGES[:2]
    assert list(read) == _MESSAGES[2:4]
    sizes = list(map(len, write_file_messages([_MESSAGES[:2], [], _MESSAGES[2:4]], "none")))
    assert len(sizes) == 3


@_compressed
@settings(max_examples=40)
@given(groups=_ALL, data=st.data())
def test_every_truncation_is_an_error(compression: str, groups: list[list[FileMessage]], data: st.DataObject) -> None:
    """A body that is cut at any place is an error."""
    body = _written(groups, compression)
    end = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(IncompleteStreamError):
        _read(body[:end], compression)


@given(groups=_ALL, data=st.data(), bits=st.integers(1, 255))
def test_a_flipped_byte_changes_nothing_but_content(groups: list[list[FileMessage]], data: st.DataObject, bits: int) -> None:
    """The end record finds every changed byte outside of content, which has its own digest."""
    messages = [message for group in groups for message in group]
    body = bytearray(_written(groups))
    body[data.draw(st.integers(0, len(body) - 1))] ^= bits
    with suppress(ProtocolError):
        assert list(map(_without_content, _read(bytes(body)))) == list(map(_without_content, messages))


def _without_content(message: FileMessage) -> FileMessage:
    return msgspec.structs.replace(message, data=bytes(len(message.data))) if isinstance(message, Content) else message


def test_the_digest_covers_all_but_the_content() -> None:
    """The digest covers the documented bytes: of a content message, everything before its ``data``."""
    covered, body = b"", b""
    for message in _MESSAGES:
        content = msgspec.msgpack.encode(message)
        frame = len(content).to_bytes(4, "big") + content
        body += frame
        covered += frame.removesuffix(message.data) if isinstance(message, Content) else frame
    end = msgspec.msgpack.encode(End(rows=4 + 2 + 2, digest=hashlib.sha256(covered).hexdigest()))
    assert _written([_MESSAGES]) == body + len(end).to_bytes(4, "big") + end


def test_messages_of_tables_are_no_messages_of_files() -> None:
    """A table is not read as a listing."""
    body = b"".join(write_messages([Rows(count=1, data=b"1\n")], "zstd"))
    with pytest.raises(ProtocolError, match="Message 1 cannot be read"):
        _read(body, "zstd")


def test_a_wrong_count_is_an_error() -> None:
    """A wrong number of entries in the end record is an error."""
    content = msgspec.msgpack.encode(_MESSAGES[1])
    body = len(content).to_bytes(4, "big") + content
    end = msgspec.msgpack.encode(End(rows=3, digest=hashlib.sha256(body).hexdigest()))
    with pytest.raises(ProtocolError, match="announces 3 entries and brought 4"):
        _read(body + len(end).to_bytes(4, "big") + end)


def test_numbers_of_entries_are_bounded_before_they_are_decoded() -> None:
    """A message with too many entries is refused by its length, before it is decoded."""
    with pytest.raises(ProtocolError, match="Message 1 cannot be read"):
        _read(_written([[Entries(entries=(FileEntry("a", "file"),) * (MAX_ENTRIES + 1))]]))


def test_an_oversized_message_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths that no reader would accept are an error of the files."""
    monkeypatch.setattr(stream, "FILE_MESSAGES", replace(stream.FILE_MESSAGES, max_bytes=100))
    with pytest.raises(FileError, match="1 entries make a message of"):
        list(write_file_messages([[Entries(entries=(FileEntry("a" * 99, "file"),))]], "none"))


@pytest.mark.parametrize("option", [None, "limits.max_files"])
def test_a_body_without_compression_is_limited_too(option: str | None) -> None:
    """More bytes than the limit are refused."""
    with pytest.raises(GuardError if option else ProtocolError, match=r"more than .*10 bytes"):
        list(decompress([bytes(6), bytes(6)], "none", limit=10, option=option))


def test_only_content_comes_without_compression() -> None:
    """Streams of tables are always compressed; content is not if the reader accepts that."""
    both = accept(CONTENT_COMPRESSIONS)
    assert choose_compression(both) == "zstd"
    assert choose_compression(both, CONTENT_COMPRESSIONS) == "none"
    assert choose_compression(accept(), CONTENT_COMPRESSIONS) == "zstd"
    assert parse_media_type(media_type("none"), CONTENT_COMPRESSIONS) == "none"
    with pytest.raises(ProtocolError, match="not a stream of version 2"):
        parse_media_type(media_type("none"))


@given(blocks=st.lists(st.binary(min_size=1, max_size=5000), max_size=3))
def test_blocks_are_frames_of_their_own(blocks: list[bytes]) -> None:
    """Each block can be inflated independently of those before it."""
    compress = BlockCompressor()
    assert [
        inflate_block(frame, len(block)) for frame, block in [(compress.compress(block), block) for block in blocks]
    ] == blocks


def test_blocks_inflate_to_what_was_announced() -> None:
    """Another size, or a truncated, damaged or second frame is an error, and inflating stops at the announced size."""
    frame = BlockCompressor().compress(b"abc" * 100)
    stream = compressor("zstd")
    bomb = stream.write(bytes(64 << 20)) + stream.finish()
    for data, size in ((frame, 299), (frame, 301), (frame[:-1], 300), (frame + b"x", 300), (b"x" + frame, 300), (bomb, 1000)):
        with pytest.raises(ProtocolError, match="A block of content"):
            inflate_block(data, size)
