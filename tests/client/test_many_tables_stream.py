"""The answer about many tables, right and wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.many_tables_stream import AnsweredTable
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import GuardError, IncompleteStreamError, ProtocolError, ServerError
from airflow_provider_sync.protocol.v2.messages import (
    DescribeTables,
    Failure,
    Message,
    RequestedSlice,
    Rows,
    Segments,
    TableDone,
    TableFailed,
)
from airflow_provider_sync.protocol.v2.stream import media_type, write_messages
from tests.client.scripted_server import ScriptedServer, stream
from tests.client.test_table_streams import DESCRIBED

REQUEST = DescribeTables(table_slices=(RequestedSlice(name="orders"), RequestedSlice(name="items")), max_rows=100)
KEEP_ALIVE = Segments(numbers=(), counts=(), sums=())
SEGMENTS = Segments(numbers=(0, 3), counts=(1, 2), sums=(5, 6))
FAILED = TableFailed(number=1, status=422, message="There is no table 'items'.")


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[SyncClient]:
    """Give a client that asks once."""
    with SyncClient(server.url, retries=0) as client:
        yield client


def read(server: ScriptedServer, client: SyncClient, sent: Sequence[Message], *, cut: int = 0) -> list[AnsweredTable]:
    """Read an answer, without some bytes at its end."""
    body = b"".join(write_messages(sent, "gzip"))
    server.answer(stream(body[: len(body) - cut], {"Content-Type": media_type("gzip")}))
    with client.describe_tables(REQUEST) as answer:
        return list(answer)


def test_tables(server: ScriptedServer, client: SyncClient) -> None:
    """Each table has its description and digests; keep-alives are ignored."""
    sent = [KEEP_ALIVE, DESCRIBED, KEEP_ALIVE, SEGMENTS, TableDone(number=0), DESCRIBED, KEEP_ALIVE, TableDone(number=1)]
    assert read(server, client, sent) == [
        AnsweredTable(number=0, described=DESCRIBED, segments=(SEGMENTS,)),
        AnsweredTable(number=1, described=DESCRIBED, segments=()),
    ]


def test_no_digests(server: ScriptedServer, client: SyncClient) -> None:
    """A large table has no digests, and a failed one has neither description nor digests, also in the middle."""
    sent = [DESCRIBED, TableDone(number=0, digested=False), DESCRIBED, SEGMENTS, FAILED]
    assert read(server, client, sent) == [AnsweredTable(number=0, described=DESCRIBED), AnsweredTable(number=1)]


@pytest.mark.parametrize(
    ("sent", "error", "words"),
    [
        ([DESCRIBED, SEGMENTS, TableDone(number=1)], ProtocolError, "'orders'.* answered for table 1 where 0 was next"),
        ([FAILED], ProtocolError, "'orders'.* answered for table 1 where 0 was next"),
        ([TableDone(number=0)], ProtocolError, "'table_done' instead of a description"),
        ([SEGMENTS], ProtocolError, "'segments' instead of a description"),
        ([DESCRIBED, DESCRIBED], ProtocolError, "'described' instead of"),
        ([DESCRIBED, SEGMENTS, SEGMENTS], ProtocolError, "Segment 0 is out of order"),
        ([DESCRIBED, TableDone(number=0), Rows(count=0, data=b"")], ProtocolError, "'items'.* 'rows' instead of"),
        ([DESCRIBED, TableDone(number=0)], ProtocolError, "'items'.* nothing instead of table 1"),
        ([DESCRIBED, TableDone(number=0), FAILED, FAILED], ProtocolError, "'table_failed' instead of the end, after 2"),
    ],
)
def test_wrong_answers(
    server: ScriptedServer, client: SyncClient, sent: Sequence[Message], error: type[Exception], words: str
) -> None:
    """Messages out of place, about other tables, or about too few or too many tables, are errors that name the table."""
    with pytest.raises(error, match=words):
        read(server, client, sent)


def test_a_failure_names_its_table(server: ScriptedServer, client: SyncClient) -> None:
    """A failure in the middle is recorded for its own table, and for no other."""
    with pytest.raises(ServerError, match=r"^Table 'items': the server gave up") as caught:
        read(server, client, [DESCRIBED, TableDone(number=0), DESCRIBED, Failure(status=503, message="The database is down.")])
    assert caught.value.table == "items"


def test_cut_answers(server: ScriptedServer, client: SyncClient) -> None:
    """A truncated answer is incomplete, even if all tables have arrived."""
    with pytest.raises(IncompleteStreamError):
        read(server, client, [DESCRIBED, TableDone(number=0), FAILED], cut=40)


def test_limits(server: ScriptedServer) -> None:
    """More rows of one table than the limits allow are refused, with the option's name."""
    with SyncClient(server.url, retries=0, limits=SizeLimits(max_rows=2)) as client, pytest.raises(GuardError, match=r"max_rows"):
        read(server, client, [DESCRIBED, SEGMENTS, TableDone(number=0), FAILED])
