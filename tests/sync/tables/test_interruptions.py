"""Tables whose sync is disturbed: sudden death, other syncs, and others who write to the target."""

from __future__ import annotations

import gzip
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from socket import socket

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed, TableBusyError
from airflow_provider_sync.sync import sync_tables
from tests.client.scripted_server import reply, stream
from tests.sync.link import Link
from tests.sync.tables.sync_and_die import DOWNLOAD, END, MERGE, sync_and_die
from tests.sync.tables.version1.existing_server import existing_server

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))"
NEW = [(1, "changed"), (2, "same"), (3, "new")]
OLD = [(1, "old"), (2, "same"), (9, "gone")]


@pytest.fixture
def pair(into: Link) -> Link:
    """Give a source and a target that differ in an inserted, an updated and a deleted row."""
    into.create(TABLE)
    into.source.execute("INSERT INTO t VALUES (1, 'changed'), (2, 'same'), (3, 'new')")
    into.target.execute("INSERT INTO t VALUES (1, 'old'), (2, 'same'), (9, 'gone')")
    return into


class Hold:
    """A progress that waits where rows arrive until it is told to go on."""

    def __init__(self) -> None:
        self.working, self.go_on = threading.Event(), threading.Event()

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Say that rows arrive, and wait."""
        self.working.set()
        self.go_on.wait()


@pytest.mark.parametrize("moment", [DOWNLOAD, MERGE])
def test_a_killed_sync_leaves_the_target_as_it_was(pair: Link, moment: str) -> None:
    """A sync that is killed before its commit leaves the target as it was; the next one succeeds and cleans up."""
    assert sync_and_die(pair, moment) == -signal.SIGKILL
    assert pair.target.rows("t") == OLD
    report = pair.sync_one("t")
    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("changed", 1, 1, 1)
    pair.assert_equal("t")


def test_a_sync_that_is_killed_behind_its_commit_has_arrived(pair: Link) -> None:
    """After a kill between commit and clean-up, the rows are there; the next sync finds that, and cleans up."""
    assert sync_and_die(pair, END) == -signal.SIGKILL
    assert pair.target.rows("t") == NEW
    assert pair.sync_one("t").status == "unchanged"
    pair.assert_equal("t")


def test_two_syncs_of_one_table_exclude_each_other(pair: Link) -> None:
    """A second sync of a table fails clearly if the first does not end in time, and writes nothing."""
    hold = Hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(pair.sync_one, "t", progress=hold)
        try:
            assert hold.working.wait(60)
            with pytest.raises(SyncFailed, match="'t'") as failure:
                pair.sync_one("t", lock_timeout=0)
            assert pair.target.rows("t") == OLD
        finally:
            hold.go_on.set()
        assert first.result().status == "changed"
    assert failure.value.retryable
    assert isinstance(failure.value.__cause__, TableBusyError)
    pair.assert_equal("t")


def test_a_second_sync_waits(pair: Link) -> None:
    """A second sync of a table that waits in time finds no difference."""
    hold = Hold()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(pair.sync_one, "t", progress=hold)
        assert hold.working.wait(60)
        second = pool.submit(pair.sync_one, "t", lock_timeout=60)
        hold.go_on.set()
        assert first.result().status == "changed"
        assert second.result().status == "unchanged"
    pair.assert_equal("t")


def test_what_others_write_before_the_merge_is_merged_too(pair: Link) -> None:
    """Rows that others write to the target between staging and merge are overwritten: both sides are equal."""

    def hash_after_write(connection: socket) -> None:
        pair.target.execute("INSERT INTO t VALUES (7, 'from elsewhere')", "UPDATE t SET name = 'from elsewhere' WHERE id = 2")
        connection.sendall(hashed)

    # Not the hash of these rows, so that they are asked for twice.
    hashed = reply(200, b'{"hash":"%b"}' % (b"0" * 40))

    lines = b"".join(b'{"id":%d,"name":"%b"}\n' % (key, name.encode()) for key, name in NEW)
    with existing_server() as server, SyncClient(server.url, retries=0) as client:
        server.answer("/getTable", stream(gzip.compress(lines)))
        server.answer("/getTableHash", hashed, hash_after_write)
        (report,) = sync_tables(client, [table_from_options("t", {})], pair.target.database)
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.verified) == (1, 2, 2, "rows")
    pair.assert_equal("t")


def test_a_killed_server_changes_nothing(pair: Link) -> None:
    """A server that dies during an answer leaves the target as it was, with a transient error."""
    with existing_server() as server, SyncClient(server.url, retries=0) as client:
        server.answer("/getTable", stream(gzip.compress(b'{"id":1,"name":"x"}\n' * 100)[:-9], end=False))
        with pytest.raises(SyncFailed) as failure:
            sync_tables(client, [table_from_options("t", {})], pair.target.database)
    assert failure.value.retryable
    assert pair.target.rows("t") == OLD
    pair.assert_clean()
