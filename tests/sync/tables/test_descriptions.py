"""Descriptions that are kept at once: as many as fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import ColumnDescription, Described, Partitioning, TableDone
from airflow_provider_sync.protocol.v2.stream import media_type, write_messages
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync.tables import descriptions
from airflow_provider_sync.sync.tables.descriptions import Descriptions
from airflow_provider_sync.sync.tables.version2.small_tables import describe_ahead
from tests.client.scripted_server import reply, scripted_server, stream

INTEGER = LogicalType(kind=LogicalKind.INTEGER)


def described(columns: int) -> Described:
    """Return the description of a table with so many columns."""
    return Described(
        columns=tuple(ColumnDescription(name=f"{number:0200}", type=INTEGER) for number in range(columns)),
        key=("0" * 200,),
        rows=1,
        partitioning=Partitioning(scheme="key_range", segment_count=1, low=1, high=1),
    )


@pytest.fixture(autouse=True)
def _a_megabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow less, so that there is less to make."""
    monkeypatch.setattr(descriptions, "MAX_BYTES", 1 << 20)


@contextmanager
def database(folder: Path) -> Iterator[Database]:
    """Open an empty database."""
    engine = open_engine(f"sqlite:///{folder}/target.db")
    yield database_for(engine)
    engine.dispose()


def test_more_than_may_be_kept() -> None:
    """If all descriptions together exceed the limit, the error names the first table above it, and what to do."""
    kept = Descriptions()
    for number in range(4):
        kept.keep(f"t{number}", described(1_000))
    with pytest.raises(TableError, match=r"from 't0' to 't4', have too many columns .*single_transaction"):
        kept.keep("t4", described(1_000))
    assert [*kept] == ["t0", "t1", "t2", "t3"]


def test_what_is_described_ahead_is_bounded(tmp_path: Path) -> None:
    """Tables after too many columns are described one by one."""
    tables = [TargetTable(name=f"t{number}", create_table=True) for number in range(10)]
    answer = [message for number in range(10) for message in (described(1_000), TableDone(number=number, digested=False))]
    offered = b'{"protocol": 2, "tables_per_request": 200}'
    with scripted_server() as server, SyncClient(server.url, retries=0) as client, database(tmp_path) as target:
        server.answer(reply(200, offered), stream(b"".join(write_messages(answer, "gzip")), {"Content-Type": media_type("gzip")}))
        assert [*describe_ahead(client, target, tables)] == ["t0", "t1", "t2", "t3"]
