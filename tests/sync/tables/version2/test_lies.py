"""Servers that lie, in version 2: an error, the target as it was, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.messages import (
    Capabilities,
    ColumnDescription,
    Described,
    Message,
    Partitioning,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.row_text import digest_rows
from airflow_provider_sync.protocol.v2.stream import media_type, write_messages
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync import sync_tables
from tests.client.scripted_server import Answer, ScriptedServer, reply, scripted_server, stream
from tests.database_servers import MYSQL, SQLITE
from tests.engines import on_engines
from tests.sync.link import Link

INTEGER, TEXT = LogicalType(kind=LogicalKind.INTEGER), LogicalType(kind=LogicalKind.TEXT)
COLUMNS = (ColumnDescription(name="id", type=INTEGER, nullable=False), ColumnDescription(name="v", type=TEXT))
SOURCE = [(b"1", b"a"), (b"2", b"b"), (b"3", b"new"), (b"4", b"d")]
SUMS = digest_rows(SOURCE, [LogicalKind.INTEGER, LogicalKind.TEXT])
PARTITIONING = Partitioning(scheme="key_range", segment_count=1, low=1, high=4)
DESCRIBED = Described(columns=COLUMNS, key=("id",), rows=4, partitioning=PARTITIONING)
SEGMENTS = Segments(numbers=(0,), counts=(4,), sums=(sum(SUMS) % 2**64,))
KEYS = b"1\n2\n3\n4\n"
DIGESTS = RowDigests(count=4, keys=KEYS, digests=b"".join((digest >> 12).to_bytes(6) for digest in SUMS))
ROW = Rows(count=1, data=b"3\tnew\n")
ALL = Rows(count=4, data=b"".join(b"\t".join(row) + b"\n" for row in SOURCE))


def answer(*messages: Message) -> Answer:
    """Write a stream of messages, with its end."""
    body = b"".join(write_messages(iter(messages), "gzip"))
    return stream(body, {"Content-Type": media_type("gzip")})


CAPABLE = reply(body=msgspec.json.encode(Capabilities(tables={"t": ()})))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Give a server that says what a test tells it to."""
    with scripted_server() as server:
        yield server


def run(link: Link, server: ScriptedServer, answers: Sequence[Answer]) -> SyncFailed | None:
    """Sync a target of four rows, of which one is to be updated; check that it is as it was when that fails."""
    link.target.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'old'), (4, 'd')"
    )
    before = link.target.rows("t")
    server.answer(CAPABLE, *answers)
    with SyncClient(server.url, protocol="2", retries=0) as client:
        try:
            sync_tables(client, [table_from_options("t", {})], link.target.database)
        except SyncFailed as failure:
            assert link.target.rows("t") == before
            assert link.target.names() == ["t"]
            return failure
    return None


def test_an_honest_server_is_believed(into: Link, server: ScriptedServer) -> None:
    """The unchanged answers are valid."""
    assert run(into, server, [answer(DESCRIBED, SEGMENTS), answer(DIGESTS), answer(ROW)]) is None
    assert into.target.rows("t") == [(1, "a"), (2, "b"), (3, "new"), (4, "d")]


@pytest.mark.parametrize("lie", [{"counts": (5,)}, {"sums": (7,)}], ids=["count", "sum"])
def test_a_wrong_digest_of_a_segment_changes_nothing(into: Link, server: ScriptedServer, lie: dict[str, tuple[int]]) -> None:
    """A wrong digest of a segment costs only a comparison, because rows have their own digests."""
    assert run(into, server, [answer(DESCRIBED, msgspec.structs.replace(SEGMENTS, **lie)), answer(DIGESTS), answer(ROW)]) is None
    assert into.target.rows("t") == [(1, "a"), (2, "b"), (3, "new"), (4, "d")]


def bent(message: Message, **changes: object) -> Message:
    """Change fields of a message."""
    return msgspec.structs.replace(message, **changes)


AGAIN = answer(RowDigests(count=1, keys=b"3\n", digests=(SUMS[2] >> 12).to_bytes(6)))
HONEST = (answer(DESCRIBED, SEGMENTS), answer(DIGESTS), answer(ROW))


def always(*rows: Message) -> Sequence[Answer]:
    """Answer with these rows however often the one that differs is asked for, by its key."""
    return [*HONEST[:2], answer(*rows), AGAIN, answer(*rows), AGAIN, answer(*rows), answer(*rows)]


@on_engines(SQLITE, MYSQL)
@pytest.mark.parametrize(
    ("lies", "message"),
    [
        pytest.param([answer(DESCRIBED, bent(SEGMENTS, numbers=(9,))), *HONEST[1:]], "not one of 1", id="a-segment-that-is-not"),
        pytest.param([HONEST[0], answer(bent(DIGESTS, count=3)), HONEST[2]], "3 rows come with", id="count-of-digests"),
        pytest.param(always(bent(ROW, data=b"3\tother\n")), "3 times in a row", id="another-value"),
        pytest.param(always(bent(ROW, data=b"7\tnew\n")), "", id="another-key"),
        pytest.param([*HONEST[:2], answer(bent(ROW, data=b"3\n"))], "do not have 2 columns", id="too-few-columns"),
        pytest.param(always(bent(ROW, data=b"3\t\\q\n")), "Table 't': ", id="an-escape-that-is-not"),
        pytest.param([*HONEST[:2], answer(bent(ROW, count=2, data=b"3\tnew\n4\td\n"))], "2 rows where 1", id="too-many-rows"),
        pytest.param(always(), "3 times in a row", id="no-rows"),
        pytest.param([*HONEST[:2], answer(bent(ROW, data=b"x\tnew\n"))], "", id="a-text-for-a-number"),
        pytest.param(
            [answer(bent(DESCRIBED, columns=(*COLUMNS, ColumnDescription(name="w", type=TEXT))), SEGMENTS)],
            "has no column 'w', which the source has",
            id="a-column-that-is-not",
        ),
        pytest.param(
            [answer(bent(DESCRIBED, columns=(COLUMNS[0], bent(COLUMNS[1], type=LogicalType(kind=LogicalKind.BYTES)))), SEGMENTS)],
            "'v'",
            id="another-type",
        ),
        pytest.param([answer(bent(DESCRIBED, key=("nothing",)), SEGMENTS)], "not among the columns", id="a-key-that-is-not"),
    ],
)
def test_lies_change_nothing(into: Link, server: ScriptedServer, lies: Sequence[Answer], message: str) -> None:
    """Wrong counts, digests, keys, columns and types end in an error after a limited number of tries."""
    honest = [*lies, *HONEST[len(lies) :]]
    failure = run(into, server, honest * 3)
    assert failure is not None
    assert message in str(failure)


def test_a_server_that_promises_more_than_it_sends(into: Link, server: ScriptedServer) -> None:
    """An empty target stays empty if the rows are not the announced ones."""
    into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))")
    for rows in (bent(ALL, data=ALL.data.replace(b"new", b"old")), Rows(count=3, data=b"1\ta\n2\tb\n4\td\n")):
        server.answer(CAPABLE, *[answer(DESCRIBED, SEGMENTS), answer(rows)] * 3)
        with SyncClient(server.url, protocol="2", retries=0) as client, pytest.raises(SyncFailed):
            sync_tables(client, [table_from_options("t", {})], into.target.database)
        assert into.target.rows("t") == []
        assert into.target.names() == ["t"]
