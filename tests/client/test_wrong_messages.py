"""Readable messages that contradict the request: damaged ones are told from those of a wrong server by the stream's digest."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import DamagedStreamError, IncompleteStreamError, ProtocolError
from airflow_provider_sync.protocol.v2.messages import (
    End,
    Failure,
    GetRows,
    Message,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.stream import frame_of, media_type, write_messages
from tests.client.scripted_server import ScriptedServer, stream
from tests.client.test_table_streams import DESCRIBED, _described, _digests, _rows

RIGHT: list[Message] = [Rows(count=1, data=b"1\n"), Rows(count=1, data=b"2\n")]

_wrong = pytest.mark.parametrize(
    ("call", "messages"),
    [
        pytest.param(_described, [DESCRIBED, Segments(numbers=(3, 1), counts=(1, 1), sums=(5, 6))], id="order"),
        pytest.param(_described, [Rows(count=1, data=b"1\n"), DESCRIBED], id="type"),
        pytest.param(_digests, [RowDigests(count=3, keys=b"1\n2\n", digests=bytes(12))], id="digests"),
        pytest.param(_rows, [Rows(count=2, data=b"1\n"), *RIGHT], id="count"),
        pytest.param(_rows, [*RIGHT, *RIGHT], id="more than were asked for"),
    ],
)
Call = Callable[[SyncClient], list[Message]]


def body(messages: Sequence[Message], *, end: bytes) -> bytes:
    """Return the frames of messages, then other bytes in place of their end."""
    frames = b"".join(frame_of(message) for message in messages)
    return stream(gzip.compress(frames + end), {"Content-Type": media_type("gzip")}, size=50)


def end_of(messages: Sequence[Message]) -> bytes:
    """Return the end of a stream, with the digest of its messages."""
    whole = b"".join(map(bytes, write_messages(messages, "none")))
    return whole[sum(len(frame_of(message)) for message in messages) :]


@_wrong
def test_a_damaged_message(server: ScriptedServer, client: SyncClient, call: Call, messages: Sequence[Message]) -> None:
    """If the digest at the end does not match the messages, they were damaged on their way, and the request may be repeated."""
    server.answer(body(messages, end=end_of(RIGHT)))
    with pytest.raises(DamagedStreamError, match="The stream was damaged") as raised:
        call(client)
    assert raised.value.retryable


@_wrong
def test_a_wrong_server(server: ScriptedServer, client: SyncClient, call: Call, messages: Sequence[Message]) -> None:
    """If the digest matches the messages, the server has sent them like that, and the request is not repeated."""
    server.answer(body(messages, end=end_of(messages)))
    with pytest.raises(ProtocolError) as raised:
        call(client)
    assert not isinstance(raised.value, IncompleteStreamError)
    assert not raised.value.retryable


@pytest.mark.parametrize("damaged", [True, False])
def test_content_that_the_caller_finds_wrong(server: ScriptedServer, client: SyncClient, damaged: bool) -> None:
    """After an error that only the caller finds, such as an invalid key, the digest decides whether a retry may help."""
    server.answer(body(RIGHT, end=end_of([RIGHT[1], RIGHT[0]] if damaged else RIGHT)))
    wrong = ProtocolError("This is no key.")

    def read() -> None:
        with client.get_rows(GetRows(table_slice=RequestedSlice(name="t"))) as answer:
            next(iter(answer))
            raise wrong

    with pytest.raises(ProtocolError) as raised:
        read()
    assert isinstance(raised.value, DamagedStreamError) is damaged
    assert raised.value.retryable is damaged
    if damaged:
        assert str(raised.value).startswith("Table 't': The stream was damaged")
        assert raised.value.__cause__ is wrong
    else:
        assert raised.value is wrong


def test_a_server_that_sends_many_messages(server: ScriptedServer, client: SyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wrong message, only a limited number of further messages is read to find the digest."""
    monkeypatch.setattr("airflow_provider_sync.protocol.v2.stream._MAX_REST", 2)
    server.answer(body([Rows(count=2, data=b"1\n"), *RIGHT], end=end_of(RIGHT)))
    with pytest.raises(ProtocolError, match="2 rows come with 1 lines"):
        _rows(client)


def test_the_rest_tells_nothing(server: ScriptedServer, client: SyncClient) -> None:
    """If the stream ends with a failure of the server after a wrong message, the error is about the wrong message."""
    server.answer(body([Rows(count=2, data=b"1\n")], end=frame_of(Failure(message="no", status=500))))
    with pytest.raises(ProtocolError, match="2 rows come with 1 lines"):
        _rows(client)


def test_a_cut_rest(server: ScriptedServer, client: SyncClient) -> None:
    """If the stream is cut after a wrong message, the error is about that message."""
    server.answer(body([Rows(count=2, data=b"1\n")], end=b""))
    with pytest.raises(ProtocolError, match="2 rows come with 1 lines"):
        _rows(client)


def test_no_message_at_all(server: ScriptedServer, client: SyncClient) -> None:
    """A message of no known type is damaged if the digest says so; otherwise the server has another version."""
    renamed = frame_of(RIGHT[0]).replace(b"rows", b"cows")
    for damaged in (True, False):
        honest = frame_of(End(rows=1, digest=hashlib.sha256(renamed).hexdigest()))
        server.answer(body([], end=renamed + (end_of(RIGHT[:1]) if damaged else honest)))
        with pytest.raises(ProtocolError) as raised:
            _rows(client)
        assert isinstance(raised.value, DamagedStreamError) is damaged


def test_a_server_that_never_ends(server: ScriptedServer, client: SyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wrong message, the rest of the stream is read only for a limited time."""
    monkeypatch.setattr("airflow_provider_sync.protocol.v2.stream._MAX_REST_SECONDS", 0.0)
    server.answer(body([Rows(count=2, data=b"1\n"), *RIGHT], end=end_of(RIGHT)))
    with pytest.raises(ProtocolError, match="2 rows come with 1 lines"):
        _rows(client)
