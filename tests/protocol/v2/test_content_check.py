"""What content may come for a request."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2.compression import BlockCompressor
from airflow_provider_sync.protocol.v2.content_check import ContentCheck, is_keep_alive
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_CONTENT_BYTES,
    Content,
    ContentEnd,
    ContentFailed,
    RequestedFile,
)

_FILES = (RequestedFile(path="a", size=3, mtime_ns=1), RequestedFile(path="b", size=9, mtime_ns=1, ranges=((0, 1), (5, 3))))
_A = Content(number=0, data=b"abc", end=ContentEnd(blake3(b"abc").digest()))
_B = Content(number=1, data=b"1234", end=ContentEnd(blake3(b"1234").digest()))
_FAILED = ContentFailed(number=0, reason="gone", message="It is gone.")


@given(
    contents=st.lists(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=3), max_size=4),
    compressed=st.booleans(),
)
def test_content_in_any_pieces_comes_back(contents: list[list[bytes]], compressed: bool) -> None:
    """The content of each file, in any number of pieces, is returned and found complete."""
    compress = BlockCompressor().compress
    check = ContentCheck([RequestedFile(path="f", size=sum(map(len, pieces)), mtime_ns=1) for pieces in contents])
    for number, pieces in enumerate(contents):
        end = ContentEnd(blake3(b"".join(pieces)).digest())
        for place, piece in enumerate(pieces, 1):
            message = Content(number=number, data=piece, end=end if place == len(pieces) else None)
            if compressed:
                message = replace(message, data=compress(piece), inflated=len(piece))
            assert check.receive(message) == piece
    check.finish()


def test_an_empty_file_has_an_end() -> None:
    """A file without content is a message with its end, unlike a keep-alive."""
    empty = Content(number=0, end=ContentEnd(blake3().digest()))
    check = ContentCheck([RequestedFile(path="a", size=0, mtime_ns=1)])
    assert check.receive(empty) == b""
    check.finish()
    assert not is_keep_alive(empty)
    assert is_keep_alive(Content(number=0))
    assert not is_keep_alive(_A)


def test_a_file_fails_before_or_within() -> None:
    """After a failure at any place, the next file is expected."""
    for pieces in ([], [replace(_A, data=b"a", end=None)]):
        check = ContentCheck(_FILES)
        for piece in pieces:
            check.receive(piece)
        check.fail(_FAILED)
        assert check.receive(_B) == b"1234"
        check.finish()


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([_B], "sent file 1 where 'a' was due"),
        ([replace(_A, number=-1)], "sent file -1 where 'a' was due"),
        ([_A, _A], "sent file 0 where 'b' was due"),
        ([_A, _B, _B], "after all 2 files"),
        ([replace(_A, data=b"abcd")], "more of 'a' than the 3 bytes"),
        ([replace(_A, data=b"abcd", end=None)], "more of 'a' than the 3 bytes"),
        ([replace(_A, data=b"ab")], "2 of the 3 bytes of 'a'"),
        ([replace(_A, data=b"abd")], "'a' was damaged on its way"),
        ([replace(_A, end=ContentEnd(b""))], "'a' was damaged on its way"),
        ([_A, replace(_B, data=b"123456789")], "more of 'b' than the 4 bytes"),
        ([replace(_A, inflated=3)], "'a': A block of content is damaged"),
        ([replace(_A, inflated=-1)], "a block of -1 bytes of 'a'"),
        ([replace(_A, inflated=MAX_CONTENT_BYTES + 1)], "a block of 1048577 bytes of 'a'"),
        ([replace(_A, data=bytes(MAX_CONTENT_BYTES + 1))], "a block of 1048577 bytes of 'a'"),
        ([], "did not send 'a'"),
        ([replace(_A, data=b"a", end=None)], "did not send 'a'"),
        ([_A], "did not send 'b'"),
    ],
)
def test_other_content_is_refused(messages: list[Content], text: str) -> None:
    """Only the requested bytes in order are accepted; the error names the file."""
    with pytest.raises(ProtocolError, match=text):
        _receive(messages)


def _receive(messages: list[Content]) -> None:
    check = ContentCheck(_FILES)
    for message in messages:
        check.receive(message)
    check.finish()


def test_failures_of_other_files_are_refused() -> None:
    """Only the expected file can fail."""
    with pytest.raises(ProtocolError, match="sent file 1 where 'a' was due"):
        ContentCheck(_FILES).fail(replace(_FAILED, number=1))
