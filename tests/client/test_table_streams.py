"""The calls of version 2, against answers that are right and answers that are not."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from socket import socket

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import (
    GuardError,
    IncompleteStreamError,
    ProtocolError,
    ServerError,
    TableError,
    TransportError,
)
from airflow_provider_sync.protocol.v2.messages import (
    ColumnDescription,
    Described,
    DescribeTable,
    DigestRows,
    Failure,
    GetRows,
    Message,
    Partitioning,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
    Window,
)
from airflow_provider_sync.protocol.v2.stream import accept, media_type, write_messages
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from tests.client.scripted_server import ScriptedServer, reply, stream, until_closed

_SLICE = RequestedSlice(name="orders", columns=("id",), window=Window(column="day", start="2024-01-01", end="2024-02-01"))
PARTITIONING = Partitioning(scheme="key_range", segment_count=4, low=1, high=9)
_DESCRIBE = DescribeTable(table_slice=_SLICE)
_DIGEST = DigestRows(table_slice=_SLICE, partitioning=PARTITIONING, segment_ranges=((0, 1), (3, 3)))
_GET = GetRows(table_slice=_SLICE, keys="1\n2\n")
DESCRIBED = Described(
    columns=(ColumnDescription(name="id", type=LogicalType(kind=LogicalKind.INTEGER)),),
    key=("id",),
    rows=3,
    partitioning=PARTITIONING,
)
_SEGMENTS = [Segments(numbers=(0, 1), counts=(1, 1), sums=(5, 6)), Segments(numbers=(3,), counts=(1,), sums=(7,))]
_DIGESTS = [RowDigests(count=2, keys=b"1\n2\n", digests=bytes(12)), RowDigests(count=1, keys=b"9\n", digests=bytes(6))]
_ROWS = [Rows(count=1, data=b"1\n"), Rows(count=1, data=b"2\n")]


def _body(messages: Sequence[Message], compression: str = "zstd") -> bytes:
    return b"".join(write_messages(messages, compression))


def _answer(messages: Sequence[Message], compression: str = "zstd", *, end: bool = True) -> bytes:
    return stream(_body(messages, compression), {"Content-Type": media_type(compression)}, size=50, end=end)


def _described(client: SyncClient, request: DescribeTable = _DESCRIBE) -> list[Message]:
    with client.describe_table(request) as answer:
        return [answer.described, *answer]


def _digests(client: SyncClient, request: DigestRows = _DIGEST) -> list[Message]:
    with client.digest_rows(request) as answer:
        return list(answer)


def _rows(client: SyncClient, request: GetRows = _GET, columns: int | None = 1) -> list[Message]:
    with client.get_rows(request, columns=columns) as answer:
        return list(answer)


_CALLS = [
    pytest.param(_described, [DESCRIBED, *_SEGMENTS], "/describeTable", _DESCRIBE, id="describeTable"),
    pytest.param(_digests, _DIGESTS, "/digestRows", _DIGEST, id="digestRows"),
    pytest.param(_rows, _ROWS, "/getRows", _GET, id="getRows"),
]
_calls = pytest.mark.parametrize(("call", "messages", "endpoint", "request_"), _CALLS)


@_calls
@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_streams_are_asked_for_and_read(server, client, call, messages, endpoint, request_, compression) -> None:  # type: ignore[no-untyped-def]
    """The request is JSON and names the client's compressions, and the messages arrive as they were sent."""
    server.answer(_answer(messages, compression))
    assert call(client) == messages
    (request,) = server.requests
    assert request.path == f"/api/sync{endpoint}"
    assert msgspec.json.decode(request.body, type=type(request_)) == request_
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"].startswith(accept())
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["authorization"] == "Bearer secret-token"
    assert client.traffic.bytes_sent == len(request.body)
    assert client.traffic.bytes_received == len(_body(messages, compression))


@_calls
def test_every_cut_is_an_error(server, client, call, messages, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """An answer that is cut at any place is an error, even if HTTP does not show it."""
    body = _body(messages)
    for end in range(len(body)):
        server.answer(until_closed(body[:end], media_type("zstd")))
        with pytest.raises(IncompleteStreamError, match="Table 'orders': "):
            call(client)
    server.answer(_answer(messages, end=False))
    with pytest.raises(IncompleteStreamError):
        call(client)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(place=st.integers(0), bits=st.integers(1, 255))
@_calls
def test_no_damage_changes_an_answer(server, client, call, messages, endpoint, request_, place, bits) -> None:  # type: ignore[no-untyped-def]
    """A flipped byte is an error, or is ignored by the compression; it never changes a message."""
    body = bytearray(_body(messages))
    body[place % len(body)] ^= bits
    server.answer(stream(bytes(body), {"Content-Type": media_type("zstd")}))
    try:
        received = call(client)
    except ProtocolError:
        return
    assert received == messages


@_calls
def test_other_messages_are_refused(server, client, call, messages, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """An answer to another request is refused."""
    others = [message for message in (_SEGMENTS[0], _DIGESTS[0], _ROWS[0]) if type(message) is not type(messages[-1])]
    for other in (*others, DESCRIBED):
        server.answer(_answer([*messages, other]))
        with pytest.raises(ProtocolError, match="The server sent"):
            call(client)


@_calls
def test_answers_of_another_kind_are_refused(server, client, call, messages, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """A login page, a table of version 1, and a compression that was not requested are refused."""
    body = _body(messages)
    for answer in (
        reply(200, b"<html>Log in</html>", kind="text/html"),
        stream(body),
        stream(body, {"Content-Type": "application/vnd.airflow-sync.v2; compression=lzma"}),
        stream(body, {"Content-Type": "application/vnd.airflow-sync.v2"}),
        stream(body, {"Content-Type": media_type("gzip")}),
        stream(body, {"Content-Type": media_type("zstd"), "Content-Encoding": "br"}),
    ):
        server.answer(answer)
        with pytest.raises(ProtocolError):
            call(client)


@_calls
def test_refusals_are_told(server, client, call, messages, endpoint, request_) -> None:  # type: ignore[no-untyped-def]
    """A refusal has the server's own message, and its status decides whether the error is transient."""
    for status, body, text in (
        (422, b'{"config_name": ["Config name not in sync-server.tables"]}', "does not offer a table 'orders'"),
        (
            422,
            b'{"config_name": ["No tables at all: is its path right?"]}',
            r"table 'orders': No tables at all: is its path right\?$",
        ),
        (401, b"{}", "Check the token"),
        (500, b'{"message": "Server Error"}', "status 500 for .*\\. Look into its log; some servers"),
        (502, b"<html>Bad Gateway</html>", "^A proxy before the server .* cannot reach the server"),
        (504, b"<html>Gateway Time-out</html>", "the time limits of the proxy"),
        (413, b"<html>Request Entity Too Large</html>", "client_max_body_size"),
        (503, b"<html>Down for maintenance</html>", "status 503\\. Look into its log, .*proxies before it\\.$"),
        (500, b'{"message": "The disk is gone."}', "status 500 for .*: The disk is gone\\. Look into its log\\.$"),
    ):
        server.answer(reply(status, body))
        with pytest.raises(ServerError, match=text) as caught:
            call(client)
        assert caught.value.status == status


@_calls
@pytest.mark.parametrize(("status", "retryable"), [(422, False), (503, True)])
def test_an_error_in_the_middle_is_told(server, client, call, messages, endpoint, request_, status, retryable) -> None:  # type: ignore[no-untyped-def]
    """An error in the middle of an answer has the server's message, and its status decides whether it is transient."""

    def failing() -> Iterator[Message]:
        yield from messages
        raise TableError("A row is too long.")

    def explain(error: Exception) -> Failure:
        return Failure(status=status, message=str(error))

    body = b"".join(write_messages(failing(), "zstd", explain=explain))
    server.answer(stream(body, {"Content-Type": media_type("zstd")}))
    with pytest.raises(ServerError, match=r"^Table 'orders': the server gave up: A row is too long") as told:
        call(client)
    assert told.value.retryable is retryable


def test_a_description_that_breaks_off_is_asked_for_again(server: ScriptedServer, pauses: list[float]) -> None:
    """A transient failure before the end of the description is retried, because nothing was returned yet."""
    messages = [DESCRIBED, *_SEGMENTS]
    with SyncClient(server.url, retries=3) as client:
        server.answer(reply(503), until_closed(_body(messages)[:20], media_type("zstd")), _answer(messages))
        assert _described(client) == messages
    assert len(server.requests) == 3


def test_signs_of_life_are_passed_over(server: ScriptedServer, client: SyncClient) -> None:
    """Messages without rows while the database works are ignored."""
    idle = Segments(numbers=(), counts=(), sums=())
    server.answer(_answer([idle, idle, DESCRIBED, idle, *_SEGMENTS]))
    assert _described(client) == [DESCRIBED, idle, *_SEGMENTS]


def _slow_answer(server: ScriptedServer, messages: Sequence[Message]) -> Callable[[socket], None]:
    """Make an answer whose first message is sent at once, and the rest when the server is released."""
    first, *rest = write_messages(messages, "zstd")
    whole = stream(first + b"".join(rest), {"Content-Type": media_type("zstd")}, size=len(first))
    place = whole.index(first) + len(first) + len(b"\r\n")

    def answer(connection: socket) -> None:
        connection.sendall(whole[:place])
        server.released.wait()
        connection.sendall(whole[place:])

    return answer


def test_the_description_is_there_before_the_digests(server: ScriptedServer, client: SyncClient) -> None:
    """The client can begin with its own side while the server is still digesting."""
    server.answer(_slow_answer(server, [DESCRIBED, *_SEGMENTS]))
    with client.describe_table(_DESCRIBE) as table:
        assert table.described == DESCRIBED
        server.released.set()
        assert list(table) == _SEGMENTS


def test_a_server_that_falls_silent_is_an_error(server: ScriptedServer) -> None:
    """Too long a pause between two messages is a transient error."""
    server.answer(_slow_answer(server, [DESCRIBED, *_SEGMENTS]))
    with (
        SyncClient(server.url, retries=0, timeout=2) as client,
        client.describe_table(_DESCRIBE) as table,
        pytest.raises(IncompleteStreamError, match=r"Table 'orders': .*stopped sending"),
    ):
        list(table)


def test_a_request_that_is_given_up_ends(server: ScriptedServer) -> None:
    """Cancelling a client ends a silent answer, and the client sends no more requests."""
    server.answer(_slow_answer(server, [DESCRIBED, *_SEGMENTS]))
    with SyncClient(server.url, retries=3) as client:
        with client.describe_table(_DESCRIBE) as table:
            client.give_up()
            with pytest.raises(TransportError, match="given up"):
                list(table)
        with pytest.raises(TransportError, match="given up"):
            client.describe_table(_DESCRIBE)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "messages",
    [
        [],
        _SEGMENTS,
        [msgspec.structs.replace(DESCRIBED, key=("name",))],
        [msgspec.structs.replace(DESCRIBED, partitioning=Partitioning(scheme="row_hash", segment_count=3))],
        [msgspec.structs.replace(DESCRIBED, columns=DESCRIBED.columns * 2)],
        [msgspec.structs.replace(DESCRIBED, digest="long" * 100_000)],
        [DESCRIBED, _SEGMENTS[1], _SEGMENTS[0]],
        [DESCRIBED, Segments(numbers=(4,), counts=(1,), sums=(0,))],
        [DESCRIBED, Segments(numbers=(0, 1), counts=(1,), sums=(0, 1))],
    ],
)
def test_descriptions_and_digests_are_checked(server: ScriptedServer, client: SyncClient, messages: list[Message]) -> None:
    """An impossible description or digest is refused."""
    server.answer(_answer(messages))
    with pytest.raises(ProtocolError, match="Table 'orders': ") as caught:
        _described(client)
    assert not caught.value.retryable
    assert len(str(caught.value)) < 1_000


def test_other_columns_than_asked_for_are_refused(server: ScriptedServer, client: SyncClient) -> None:
    """A description of other columns than those of the request is refused."""
    server.answer(_answer([DESCRIBED]))
    with pytest.raises(ProtocolError, match="lacks columns that were asked for: 'price'"):
        _described(client, DescribeTable(table_slice=RequestedSlice(name="orders", columns=("price",))))


def test_a_sample_is_the_one_that_was_asked_for(server: ScriptedServer, client: SyncClient) -> None:
    """Digests of all segments may come instead of the sample, but not those of another sample."""
    for sample, asked in ((16, 0), (8, 16), (-1, 16)):
        server.answer(_answer([msgspec.structs.replace(DESCRIBED, sample=sample)]))
        with pytest.raises(ProtocolError, match=f"a sample of {sample} segments, and {asked} were asked for"):
            _described(client, msgspec.structs.replace(_DESCRIBE, sample=asked))
    server.answer(_answer([DESCRIBED, *_SEGMENTS]))
    assert _described(client, msgspec.structs.replace(_DESCRIBE, sample=16)) == [DESCRIBED, *_SEGMENTS]


def test_digests_that_do_not_fit_are_refused(server: ScriptedServer, client: SyncClient) -> None:
    """Keys, digests and rows must have equal counts, and there are not more rows than requested keys."""
    server.answer(_answer([RowDigests(count=2, keys=b"1\n2\n", digests=bytes(11))]))
    with pytest.raises(ProtocolError, match="11 bytes of digests"):
        _digests(client)
    server.answer(_answer(_DIGESTS))
    with pytest.raises(ProtocolError, match="3 rows where 2 were asked for"):
        _digests(client, DigestRows(table_slice=_SLICE, partitioning=PARTITIONING, keys="1\n2\n"))


def test_rows_that_do_not_fit_are_refused(server: ScriptedServer, client: SyncClient) -> None:
    """The lines of an answer must have its count and columns, and there are not more rows than requested keys."""
    for message, text in (
        (Rows(count=2, data=b"1\n"), "2 rows come with 1 lines"),
        (Rows(count=1, data=b"1\t2\n"), "do not have 1 columns"),
        (Rows(count=3, data=b"1\n2\n3\n"), "3 rows where 2 were asked for"),
    ):
        server.answer(_answer([message]))
        with pytest.raises(ProtocolError, match=text):
            _rows(client)
    server.answer(_answer([Rows(count=3, data=b"1\n2\n3\n")]))
    assert len(_rows(client, GetRows(table_slice=_SLICE))) == 1


def test_rows_are_counted(server: ScriptedServer, client: SyncClient) -> None:
    """While it is read, the answer counts its rows."""
    server.answer(_answer(_ROWS))
    with client.get_rows(_GET) as answer:
        assert [message.data for message in answer] == [b"1\n", b"2\n"]
    assert answer.rows_received == 2


def test_an_answer_beyond_the_limit_is_stopped(server: ScriptedServer) -> None:
    """A body that inflates above the client's limit is refused."""
    server.answer(_answer([Rows(count=1, data=b"0" * 100_000 + b"\n")]))
    limits = SizeLimits(max_table_bytes=50_000)
    with SyncClient(server.url, retries=0, limits=limits) as client, pytest.raises(GuardError, match=r"limits\.max_table_bytes"):
        _rows(client)


def test_a_proxy_that_compresses_once_more_does_no_harm(server: ScriptedServer, client: SyncClient) -> None:
    """If a proxy adds a content encoding that HTTP allows, it is decoded first."""
    body = gzip.compress(_body(_ROWS))
    server.answer(stream(body, {"Content-Type": media_type("zstd"), "Content-Encoding": "gzip"}))
    assert _rows(client) == _ROWS
