"""Which digest two halves agree on, and that those of before it go on with SHA-256."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v2.messages import (
    PGHASH,
    SHA256,
    ColumnDescription,
    Described,
    DescribeTable,
    DigestRows,
    Message,
    Partitioning,
    RequestedSlice,
)
from airflow_provider_sync.protocol.v2.stream import media_type, parse_media_type, read_messages, write_messages
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync import table_differs
from airflow_provider_sync.sync.tables.missing_target import find_target
from airflow_provider_sync.sync.tables.version2.comparison import compare_rows, compare_segments
from tests.client.scripted_server import ScriptedServer, reply, scripted_server, stream
from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.server.wire import ask
from tests.sync.link import Link, linked

T = RequestedSlice(name="t")
ALL = Partitioning(scheme="row_hash", segment_count=1)
TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(40), at TIMESTAMP)"


@pytest.fixture
def postgresql(database_servers: DatabaseServers, tmp_path: Path) -> Iterator[Link]:
    """Give source and target on PostgreSQL."""
    with (
        database_servers.database(POSTGRESQL, tmp_path) as source,
        database_servers.database(POSTGRESQL, tmp_path) as target,
        linked(source, target) as link,
    ):
        link.protocol = "2"
        link.create(TABLE)
        link.source.execute("INSERT INTO t SELECT i, md5(i::text), now() FROM generate_series(1, 300) AS i")
        yield link


def test_two_postgresql_databases(postgresql: Link) -> None:
    """Two PostgreSQL databases compare segments and rows by their own hash, and the sync works."""
    assert postgresql.sync_one("t").verified == "digest"
    postgresql.source.execute(
        "UPDATE t SET v = 'x' WHERE id = 7", "DELETE FROM t WHERE id = 8", "INSERT INTO t VALUES (1000, NULL, NULL)"
    )

    with postgresql.client("t") as client:
        target = find_target(client, postgresql.target.database, table_from_options("t", {}))
        assert target is not None
        compared = compare_segments(client, postgresql.target.database, target)
        found = compare_rows(client, postgresql.target.database, compared)

    assert compared.table_slice.digest == PGHASH
    assert (found.changes.inserted, found.changes.updated, found.changes.deleted) == ((("1000",),), (("7",),), (("8",),))
    assert postgresql.sync_one("t").verified == "digest"
    postgresql.assert_equal("t")
    assert postgresql.sync_one("t").status == "unchanged"


def test_other_pairs(into: Link) -> None:
    """If one side is not PostgreSQL, SHA-256 is used."""
    into.protocol = "2"
    into.create(TABLE)

    with into.client("t") as client:
        target = find_target(client, into.target.database, table_from_options("t", {}))
        assert target is not None
        assert compare_segments(client, into.target.database, target).table_slice.digest == SHA256


def _described(url: str, request: DescribeTable | bytes) -> Described:
    return _messages(url, "/describeTable", request)[0]  # type: ignore[return-value]


def _messages(url: str, path: str, request: DescribeTable | DigestRows | bytes) -> list[Message]:
    answer = ask(url, path, request)
    assert answer.status == 200, answer.body
    return list(read_messages([answer.body], parse_media_type(answer.headers["content-type"]), limit=1 << 30))


def test_only_a_probe_that_agrees(postgresql: Link) -> None:
    """The server uses the hash only if its own database computes the same; older clients send no probe."""
    with postgresql.target.database.connect() as connection:
        probes = dict(postgresql.target.database.digests.probes(connection))
    with postgresql.client("t") as client:
        assert _described(client.url, DescribeTable(table_slice=T, probes=probes)).digest == PGHASH
        assert _described(client.url, DescribeTable(table_slice=T, probes=probes | {"blake": "1"})).digest == PGHASH
        assert _described(client.url, DescribeTable(table_slice=T, probes={PGHASH: "0"})).digest == SHA256
        assert _described(client.url, b'{"table_slice": {"name": "t"}}').digest == SHA256
        old = _messages(
            client.url,
            "/digestRows",
            b'{"table_slice":{"name":"t"},"partitioning":{"scheme":"row_hash","segment_count":1},"segment_ranges":[[0,0]]}',
        )
        same = _messages(
            client.url, "/digestRows", DigestRows(table_slice=T, partitioning=ALL, segment_ranges=((0, 0),), digest=SHA256)
        )
        other = _messages(
            client.url, "/digestRows", DigestRows(table_slice=T, partitioning=ALL, segment_ranges=((0, 0),), digest=PGHASH)
        )
    assert old == same != other


def test_unknown_digests_are_refused(postgresql: Link) -> None:
    """A digest that the table's database lacks is refused by its name."""
    with postgresql.client("t") as client:
        answer = ask(
            client.url, "/digestRows", DigestRows(table_slice=T, partitioning=ALL, segment_ranges=((0, 0),), digest="blake")
        )

    assert (answer.status, list(json.loads(answer.body))) == (422, ["digest"])


_DESCRIBED = Described(
    columns=(ColumnDescription(name="id", type=LogicalType(kind=LogicalKind.INTEGER), nullable=False),),
    key=("id",),
    rows=0,
    partitioning=ALL,
)


def _answer(server: ScriptedServer, described: Described, capabilities: bytes) -> None:
    body = b"".join(write_messages([described], "zstd"))
    server.answer(
        reply(200, capabilities, {"Content-Type": "application/json"}), stream(body, {"Content-Type": media_type("zstd")})
    )


def test_a_server_of_before(postgresql: Link) -> None:
    """A server without digests in its capabilities gets no probes, because it would refuse the field."""
    with scripted_server() as server, SyncClient(server.url, retries=0) as client:
        _answer(server, _DESCRIBED, b'{"protocol": 2}')
        assert not table_differs(client, table_from_options("t", {}), postgresql.target.database)

    assert "probes" not in json.loads(server.requests[-1].body)


def test_a_digest_that_was_not_offered(postgresql: Link) -> None:
    """A server that uses a digest that was not offered is an error, and nothing is written."""
    with scripted_server() as server, SyncClient(server.url, retries=0) as client:
        _answer(server, msgspec.structs.replace(_DESCRIBED, digest="blake"), b'{"protocol": 2, "digests": ["blake", "pghash"]}')
        with pytest.raises(ProtocolError, match="'blake', which the client did not offer"):
            table_differs(client, table_from_options("t", {}), postgresql.target.database)

    assert list(json.loads(server.requests[-1].body)["probes"]) == [PGHASH]
    assert postgresql.target.rows("t") == []
