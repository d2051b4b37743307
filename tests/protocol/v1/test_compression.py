"""One gzip member as a stream."""

from __future__ import annotations

import gzip
import zlib
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import IncompleteStreamError, ProtocolError
from airflow_provider_sync.protocol.v1.compression import BLOCK_BYTES, compress, decompress

_LIMIT = 1 << 20
_ERROR = b'{\n    "message": "Server Error"\n}'


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _inflate(data: bytes, size: int = 1 << 16, limit: int = _LIMIT) -> bytes:
    return b"".join(decompress(_cut(data, size), limit=limit))


@given(st.lists(st.binary()), st.integers(1, 50))
def test_any_blocks_in_any_pieces_come_back(blocks: list[bytes], size: int) -> None:
    """For any blocks and any pieces of the body, the same content comes out."""
    assert _inflate(b"".join(compress(blocks)), size) == b"".join(blocks)


def test_what_is_written_is_one_member_for_any_reader() -> None:
    """Another gzip reader finds exactly one member, without file name and time."""
    body = b"".join(compress([b"some ", b"rows\n"]))
    reader = zlib.decompressobj(31)
    assert reader.decompress(body) == b"some rows\n"
    assert (reader.eof, reader.unused_data, body[3], body[4:8]) == (True, b"", 0, bytes(4))


def test_nothing_is_the_gzip_of_nothing() -> None:
    """An empty table is a complete gzip member."""
    assert gzip.decompress(b"".join(compress([]))) == b""


@pytest.mark.parametrize("level", [1, 6, 9])
def test_any_level_can_be_read(level: int) -> None:
    """Other compression levels of existing servers can be read, with a name in the header or without."""
    assert _inflate(gzip.compress(b"rows" * 99, level)) == b"rows" * 99


def test_every_truncation_is_an_error() -> None:
    """A body that is cut at any place is an error."""
    body = b"".join(compress([bytes(range(256)) * 4]))
    for end in range(len(body)):
        with pytest.raises(IncompleteStreamError, match="ended in the middle"):
            _inflate(body[:end], 7)


def test_every_flipped_byte_behind_the_header_is_an_error() -> None:
    """A flipped byte after the header is an error."""
    body = b"".join(compress([b"some rows of a table\n" * 3]))
    for place in range(10, len(body)):
        with pytest.raises(ProtocolError):
            _inflate(body[:place] + bytes([body[place] ^ 0xFF]) + body[place + 1 :])


@pytest.mark.parametrize("rest", [b"x", gzip.compress(b"more"), b"\0" * 9], ids=["text", "member", "zeros"])
def test_anything_behind_the_member_is_refused(rest: bytes) -> None:
    """A second member, which existing clients would ignore, or other bytes after the first are an error."""
    body = gzip.compress(b"rows") + rest
    for size in (1, 4096):
        with pytest.raises(ProtocolError, match="follows the end"):
            _inflate(body, size)


@pytest.mark.parametrize("kept", [0, 30, 60, None])
def test_a_glued_error_is_named(kept: int | None) -> None:
    """An error message of the server at the end, or in the middle, is the user's message, and transient."""
    body = gzip.compress(bytes(range(256)))[:kept] + _ERROR
    for size in (1, 16, 4096):
        with pytest.raises(ProtocolError) as caught:
            _inflate(body, size)
        assert kept == 0 or (caught.value.retryable and "Server Error" in str(caught.value))


def test_what_is_not_gzip_is_refused() -> None:
    """A page of HTML is not read as a table."""
    with pytest.raises(ProtocolError, match="not gzip"):
        _inflate(b"<!DOCTYPE html><html>" + bytes(99))


def test_a_body_that_inflates_without_end_is_stopped() -> None:
    """A small body that inflates above the limit is refused, in bounded memory."""
    body = b"".join(compress(repeat(bytes(1 << 16), 1024)))
    pieces: list[int] = []
    with pytest.raises(ProtocolError, match="more than 1048576 bytes"):
        pieces.extend(map(len, decompress([body], limit=_LIMIT)))
    assert sum(pieces) <= _LIMIT
    assert max(pieces) <= BLOCK_BYTES


def test_a_highly_compressed_body_is_whole() -> None:
    """The reader returns everything if a few bytes inflate to many pieces."""
    zeros = bytes(3 * BLOCK_BYTES + 17)
    assert _inflate(gzip.compress(zeros), limit=len(zeros)) == zeros
