"""Rows that cannot be loaded: those of a damaged stream are requested again, those that the source sent so are refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.keep_alives import NO_ROWS
from airflow_provider_sync.protocol.v2.messages import Message, Rows
from airflow_provider_sync.sync import sync_tables
from tests.client.scripted_server import Answer, ScriptedServer
from tests.client.test_wrong_messages import body, end_of
from tests.sync.link import Link
from tests.sync.tables.version2 import test_first_load, test_lies
from tests.sync.tables.version2.test_lies import ALL, DESCRIBED, HONEST, ROW, SOURCE, answer

server = test_lies.server

_lines = pytest.mark.parametrize("line", [b"x\tnew\n", b"3\n", b"3\t\\q\n"], ids=["value", "columns", "escape"])
"""A line with a text for a number, with too few columns, or with an escape that is none."""


def damaged(messages: Sequence[Message], sent: Sequence[Message]) -> Answer:
    """Return a stream of messages with the end of those that were sent."""
    return body(messages, end=end_of(sent))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load each message by a statement of its own, so that most of a stream is not read yet when a row is refused."""
    monkeypatch.setattr("airflow_provider_sync.sync.tables.version2.batch_sizes.LOAD_BYTES", 1)
    monkeypatch.setattr("time.sleep", lambda _: None)


@_lines
def test_damaged_rows_are_staged_again(into: Link, server: ScriptedServer, line: bytes) -> None:
    """A row that the staging table refuses is requested again if it was damaged on its way."""
    wrong = damaged([Rows(count=1, data=line), NO_ROWS], [ROW])
    server.answer(test_lies.CAPABLE, *HONEST[:2], wrong, *HONEST)
    into.target.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'old'), (4, 'd')"
    )
    _sync(into, server, retries=1)
    assert into.target.rows("t") == [(1, "a"), (2, "b"), (3, "new"), (4, "d")]


@_lines
def test_damaged_rows_are_loaded_again(into: Link, server: ScriptedServer, line: bytes) -> None:
    """A row that an empty target refuses is requested again if it was damaged on its way."""
    into.target.execute(test_first_load.TABLE)
    wrong = damaged([DESCRIBED, Rows(count=1, data=line), NO_ROWS], [DESCRIBED, ALL])
    server.answer(test_first_load.CAPABLE, answer(DESCRIBED), wrong, answer(DESCRIBED), answer(DESCRIBED, ALL))
    _sync(into, server, retries=1)
    assert len(into.target.rows("t")) == len(SOURCE)


@_lines
def test_rows_that_the_source_sent(into: Link, server: ScriptedServer, line: bytes) -> None:
    """A row that the source sent so is refused at once, and the target stays empty."""
    into.target.execute(test_first_load.TABLE)
    server.answer(test_first_load.CAPABLE, answer(DESCRIBED), answer(DESCRIBED, Rows(count=1, data=line), ALL))
    with pytest.raises(SyncFailed) as failure:
        _sync(into, server, retries=1)
    assert not failure.value.retryable
    assert server.asked(3)
    assert into.target.rows("t") == []


def _sync(link: Link, server: ScriptedServer, *, retries: int) -> None:
    with SyncClient(server.url, protocol="2", retries=retries) as client:
        sync_tables(client, [table_from_options("t", {})], link.target.database)
