"""Messages that are framed in the buffer that their content is read to."""

from __future__ import annotations

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.protocol.v2.file_messages import Content, ContentEnd, ContentFailed, FileMessage
from airflow_provider_sync.protocol.v2.framing import MAX_KEPT, Buffers, FramedContent
from airflow_provider_sync.protocol.v2.stream import read_file_messages, write_file_messages

_FAILED = ContentFailed(number=9, reason="gone", message="It is gone.")


def _framed(size: int, messages: list[Content]) -> FramedContent:
    framed = FramedContent(Buffers(size))
    for message in messages:
        mode = None if message.end is None else message.end.mode
        place = framed.place(message.number, len(message.data), inflated=message.inflated, mode=mode)
        place[:] = message.data
        framed.add(place, None if message.end is None else message.end.digest)
    return framed


_ENDS = st.none() | st.builds(ContentEnd, st.binary(min_size=32, max_size=32), st.integers(0, 0o1777))
_CONTENT = st.builds(
    lambda number, inflated, end, size: Content(number=number, inflated=inflated, end=end, data=memoryview(b"x" * size)),
    st.integers(0, 2**31),
    st.integers(0, 2**20),
    _ENDS,
    st.sampled_from([0, 1, 255, 256, 65_535, 65_536]),
)


@given(st.lists(_CONTENT, max_size=5), st.sampled_from(["none", "zstd", "gzip"]))
def test_framed_in_place_is_as_framed_one_by_one(messages: list[Content], compression: str) -> None:
    """A reader gets the same messages; without compression the bytes are the same, too."""
    framed = _framed(400_000, messages)
    framed.add_failed(_FAILED)
    body = b"".join(write_file_messages([(framed,)], compression))
    assert list(read_file_messages([body], compression, limit=1 << 20)) == [*messages, _FAILED]
    if compression == "none":
        assert body == b"".join(write_file_messages([[*messages, _FAILED]], "none"))
    assert (framed.messages, framed.files) == (len(messages) + 1, sum(message.end is not None for message in messages))


def test_a_place_that_is_not_taken_leaves_nothing() -> None:
    """Content that could not be read completely is not sent."""
    framed = FramedContent(Buffers(1_000))
    framed.place(0, 100, mode=0o644)[:] = b"y" * 100
    place = framed.place(1, 3, mode=0o644)
    place[:] = b"abc"
    framed.add(place, blake3(b"abc").digest())
    expected: list[FileMessage] = [Content(number=1, end=ContentEnd(blake3(b"abc").digest(), 0o644), data=memoryview(b"abc"))]
    assert list(read_file_messages(write_file_messages([[framed]], "none"), "none", limit=1_000)) == expected


def test_a_group_is_sent_from_its_buffer() -> None:
    """A group of framed content is one piece without a copy."""
    framed = _framed(1_000, [Content(number=0, data=memoryview(b"abc"))])
    piece = next(write_file_messages([[framed]], "none"))
    assert isinstance(piece, memoryview)
    assert piece.obj is framed.data.obj


def test_buffers_are_used_again_once_there_is_no_view_of_them() -> None:
    """A buffer is reused only when no view of it exists."""
    buffers = Buffers(10)
    view = buffers.take()
    first, part = view.obj, view[2:4]
    del view
    assert buffers.take().obj is not first
    del part
    assert buffers.take().obj is first
    assert len(first) == 10


def test_few_buffers_are_kept() -> None:
    """After many simultaneous answers, only a few buffers are kept."""
    buffers = Buffers(10)
    views = [buffers.take() for _ in range(MAX_KEPT + 3)]
    made = {id(view.obj) for view in views}
    del views
    again = [buffers.take() for _ in range(MAX_KEPT)]
    assert len(made) == MAX_KEPT + 3
    assert {id(view.obj) for view in again} <= made
    assert len({id(view.obj) for view in again}) == MAX_KEPT
