"""A first sync into an empty target: what it asks for, and what proves that it arrived."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases import line_digest
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.messages import Capabilities, ColumnDescription, Rows, Segments
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync import sync_tables
from tests.client.scripted_server import reply, scripted_server
from tests.database_servers import DUCKDB, POSTGRESQL
from tests.engines import on_engines
from tests.sync.link import Link
from tests.sync.tables.version2.test_lies import ALL, COLUMNS, DESCRIBED, SOURCE, answer

TABLE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))"
ROWS = "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, 'tab\t')"
CAPABLE = reply(body=msgspec.json.encode(Capabilities(tables={"t": ()}, described_rows=True)))


def filled(link: Link) -> None:
    """Make a source with rows and an empty target."""
    link.protocol = "2"
    link.create(TABLE)
    link.source.execute(ROWS)


def test_rows_prove_themselves(into: Link) -> None:
    """Rows come with their description, and the source digests nothing: capabilities and rows are requested."""
    filled(into)
    report = into.sync_one("t")
    assert (report.status, report.verified, report.rows_inserted, report.rows_total) == ("changed", "digest", 3, 3)
    assert report.requests == 3
    assert into.target.rows("t") == [(1, "a"), (2, None), (3, "tab\t")]
    assert into.sync_one("t").status == "unchanged"


def test_an_older_server(into: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot describe rows sends its digests beside them."""

    def older(**fields: Any) -> Capabilities:
        return Capabilities(**{**fields, "described_rows": False})

    monkeypatch.setattr("airflow_provider_sync.server.capabilities.Capabilities", older)
    filled(into)
    report = into.sync_one("t")
    assert (report.verified, report.rows_inserted, report.requests) == ("digest", 3, 4)


def test_two_postgresqls(two: Link) -> None:
    """If both databases have a faster digest in common, the source sends its own beside the rows."""
    filled(two)
    report = two.sync_one("t")
    assert (report.verified, report.rows_inserted) == ("digest", 3)
    assert report.requests == (4 if two.source.dialect == two.target.dialect == "postgresql" else 3)


def test_a_dry_run_counts(into: Link) -> None:
    """The source's digests count the rows that would come, and nothing is written."""
    filled(into)
    report = into.sync_one("t", dry_run=True)
    assert (report.status, report.rows_inserted) == ("planned", 3)
    assert into.target.rows("t") == []


def test_a_target_that_is_not_what_came(into: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the digests differ, nothing is committed, and the rows are staged and compared instead."""
    wrong: list[int] = []

    def other(self: line_digest.LineDigest, rows: int, total: int) -> None:
        wrong.append(rows)
        self.found = msgspec.structs.replace(self.found, rows=self.found.rows + rows, sum=total ^ 1)

    monkeypatch.setattr(line_digest.LineDigest, "add", other)
    filled(into)
    report = into.sync_one("t")
    assert (report.verified, report.rows_inserted) == ("digest", 3)
    assert wrong == [3]
    assert into.target.rows("t") == [(1, "a"), (2, None), (3, "tab\t")]


def test_columns_that_change_before_the_rows(into: Link) -> None:
    """Rows with another description than the first are refused, and the target stays empty."""
    into.target.execute(TABLE)
    wider = msgspec.structs.replace(COLUMNS[1], type=LogicalType(kind=LogicalKind.JSON))
    other = msgspec.structs.replace(DESCRIBED, columns=(COLUMNS[0], wider))
    with scripted_server() as server:
        server.answer(CAPABLE, answer(DESCRIBED), answer(other, ALL), *[reply(500, body=b"{}")] * 3)
        with SyncClient(server.url, protocol="2", retries=0) as client, pytest.raises(SyncFailed):
            sync_tables(client, [table_from_options("t", {})], into.target.database)
    assert into.target.rows("t") == []


def test_rows_without_their_description(into: Link) -> None:
    """A server that sends no description, although it announced it, is refused."""
    into.target.execute(TABLE)
    with scripted_server() as server:
        server.answer(CAPABLE, answer(DESCRIBED), answer(ALL))
        with (
            SyncClient(server.url, protocol="2", retries=0) as client,
            pytest.raises(SyncFailed, match="instead of a description"),
        ):
            sync_tables(client, [table_from_options("t", {})], into.target.database)
    assert into.target.rows("t") == []


@on_engines(POSTGRESQL, DUCKDB)
@pytest.mark.parametrize("options", [{}, {"verify": False}], ids=["digested", "unverified"])
def test_a_value_that_is_not_of_its_type(into: Link, options: dict[str, Any]) -> None:
    """A value with more digits than the source's type is refused by name, whether the first load finds it or not."""
    into.target.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v DECIMAL(9, 2))")
    decimal = ColumnDescription(name="v", type=LogicalType(kind=LogicalKind.DECIMAL, precision=9, scale=2))
    described = msgspec.structs.replace(DESCRIBED, columns=(COLUMNS[0], decimal), rows=1)
    rows = Rows(count=1, data=b"1\t1.125\n")
    with scripted_server() as server:
        staged = [answer(described, Segments(numbers=(0,), counts=(1,), sums=(7,))), answer(rows)]
        server.answer(CAPABLE, answer(described), answer(described, rows), *staged)
        with SyncClient(server.url, protocol="2", retries=0) as client, pytest.raises(SyncFailed, match=r"column 'v' .*1\.125"):
            sync_tables(client, [table_from_options("t", options)], into.target.database)
    assert into.target.rows("t") == []
    assert into.target.names() == ["t"]


def test_scripted_rows(into: Link) -> None:
    """The unchanged scripted answers are valid."""
    into.target.execute(TABLE)
    with scripted_server() as server:
        server.answer(CAPABLE, answer(DESCRIBED), answer(DESCRIBED, ALL))
        with SyncClient(server.url, protocol="2", retries=0) as client:
            (report,) = sync_tables(client, [table_from_options("t", {})], into.target.database)
    assert (report.verified, report.rows_inserted) == ("digest", len(SOURCE))
    assert into.target.rows("t") == [(int(key), value.decode()) for key, value in SOURCE]
