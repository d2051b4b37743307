"""One moment for all tables of a run: whatever is written meanwhile, what is copied fits together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, ServerConfig, table_from_options
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed, TableBusyError
from airflow_provider_sync.protocol.v2.messages import Capabilities, GetRows, RequestedSlice, SnapshotHeld
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.server.tables import snapshot_answers
from airflow_provider_sync.sync import Opener, diff_run, plan_run, run, sync_tables
from airflow_provider_sync.sync.run_steps import compare_tables
from tests.client.scripted_server import reply, scripted_server
from tests.server.wire import ask
from tests.stuck_target import until
from tests.sync.link import Link, linked
from tests.sync.tables.interrupted import Interrupted
from tests.sync.tables.version2.test_lies import answer

NAMES = ("debits", "credits", "others")
ACCOUNTS = 300
TOTAL = 2 * ACCOUNTS * 1000


@pytest.fixture
def accounts(database_url: str, tmp_path: Path) -> Iterator[Link]:
    """Give a source on each engine with amounts in two tables, and an empty SQLite target."""
    with linked(database_url, f"sqlite:///{tmp_path / 'target.db'}") as link:
        fill(link)
        yield link


@pytest.fixture
def same_accounts(two_same: Link) -> Link:
    """Give the same with a source on SQLite."""
    fill(two_same)
    return two_same


def fill(link: Link) -> None:
    """Make the tables, and fill them at the source."""
    if link.source.dialect == "sqlite":
        # Otherwise nobody could write while a snapshot is held.
        link.source.execute("PRAGMA journal_mode = WAL")
    for name in NAMES:
        link.create(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY, amount INTEGER NOT NULL)")
        values = ", ".join(f"({number}, 1000)" for number in range(ACCOUNTS))
        link.source.execute(f"INSERT INTO {name} VALUES {values}")


def move(link: Link, number: int) -> None:
    """Move an amount from one table to the other, in one transaction."""
    with link.source.database.connect() as connection, link.source.database.transaction(connection):
        account = number * 7 % ACCOUNTS
        connection.exec_driver_sql(f"UPDATE debits SET amount = amount - {number + 1} WHERE id = {account}")
        connection.exec_driver_sql(f"UPDATE credits SET amount = amount + {number + 1} WHERE id = {account}")


def copied(link: Link) -> int:
    """Add up what the target has in both tables."""
    return sum(int(str(amount)) for name in ("debits", "credits") for _, amount in link.target.rows(name))


@contextmanager
def interrupted(link: Link, **limits: Any) -> Iterator[Interrupted]:
    """Serve the tables, and give a client during whose requests amounts move."""
    config = ServerConfig.from_dict(
        {"connections": {"source": link.source_url}, "tables": {name: {} for name in NAMES}, "limits": limits}
    )
    with RunningServer(config) as server, Interrupted(server.url, protocol="2", retries=0) as client:
        client.interrupt(lambda _: True, 10_000, lambda left: move(link, 10_000 - left))
        yield client


def sync(link: Link, client: SyncClient, **arguments: Any) -> list[str]:
    """Sync the tables, and return their states."""
    tables = [table_from_options(name, {}) for name in NAMES]
    return [report.status for report in sync_tables(client, tables, link.target.database, **arguments)]


def client_config(link: Link, url: str, **settings: Any) -> ClientConfig:
    """Return the configuration of a run into the target."""
    local = {"local": str(link.target.database.engine.url)}
    return ClientConfig.from_dict({"url": url, "connections": local, "tables": {name: {} for name in NAMES}, **settings})


@pytest.mark.parametrize("single_transaction", [True, False])
def test_every_copy_adds_up(accounts: Link, single_transaction: bool) -> None:
    """On each engine, with changes before every request, each copy is one moment of the source."""
    with interrupted(accounts) as client:
        for expected in (["changed"] * 3, ["changed", "changed", "unchanged"]):
            with client.holding_snapshot(NAMES):
                assert sync(accounts, client, single_transaction=single_transaction) == expected
            assert copied(accounts) == TOTAL
        move(accounts, 5)
        assert copied(accounts) == TOTAL
        assert client.snapshot is None
    accounts.assert_clean()


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_tables_stay_where_they_are(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    """No table that will be read is replaced, because a table filled since would look empty."""
    url: str = request.getfixturevalue(f"{engine}_url")
    with linked(url, f"sqlite:///{tmp_path / 'target.db'}") as link:
        fill(link)
        link.source.execute(
            "CREATE TABLE prepared LIKE credits",
            "CREATE VIEW seen AS SELECT * FROM credits",
            "ALTER TABLE others PARTITION BY RANGE (id) (PARTITION p VALUES LESS THAN (1000))",
        )
        reloads = {
            "debits": "RENAME TABLE debits TO old, prepared TO debits",
            "seen": "RENAME TABLE credits TO old, prepared TO credits",
            "others": "ALTER TABLE others EXCHANGE PARTITION p WITH TABLE prepared",
        }
        link.offered = {"debits": {}, "others": {"query": "SELECT * FROM others", "primary": "id"}, "seen": {"primary": "id"}}
        with link.client("debits") as client, SyncClient(client.url, retries=0, protocol="2") as other:
            with other.holding_snapshot(list(reloads)):
                link.source.execute("INSERT INTO prepared SELECT * FROM debits")
                for reload in reloads.values():
                    with pytest.raises(TableBusyError):
                        link.source.execute("SET lock_wait_timeout = 1", reload)
            link.source.execute(reloads["debits"])


def test_without_a_snapshot_it_does_not_add_up(same_accounts: Link) -> None:
    """Without a snapshot, the copies do not add up, so the test above is effective."""
    with interrupted(same_accounts) as client:
        sync(same_accounts, client, single_transaction=False)
    assert copied(same_accounts) != TOTAL


def test_a_run(same_accounts: Link) -> None:
    """``consistent: true`` works for a run and for ``diff`` beside a writer without a pause."""
    stop, moved = Event(), Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            move(same_accounts, number)
            moved.set()
            number += 1

    with interrupted(same_accounts) as client:
        config = client_config(same_accounts, client.url, consistent=True)
        writer = Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                run(config, plan_run(config))
                assert copied(same_accounts) == TOTAL
            for _ in range(2):  # the first one may have begun before
                moved.clear()
                assert moved.wait(60)
            found = diff_run(config, plan_run(config))
        finally:
            stop.set()
            writer.join()
    assert not found.failures
    taken, given = (table.changes for table in found.tables[:2])
    assert taken is not None
    assert taken == given


def test_a_snapshot_that_ran_out(same_accounts: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that expires during a run ends it: the error names table and option, and nothing is written."""
    passed = 0.0
    monkeypatch.setattr(snapshot_answers, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed))
    monkeypatch.setattr(snapshot_answers, "IDLE_SECONDS", 0.02)
    with interrupted(same_accounts) as client:
        sync(same_accounts, client)
        before = [same_accounts.target.rows(name) for name in NAMES]
        move(same_accounts, 3)

        def expire(_: int) -> None:
            nonlocal passed
            passed = 24 * 3600
            of_the_run = GetRows(table_slice=RequestedSlice(name="debits", snapshot=client.snapshot))
            until(lambda: ask(client.url, "/getRows", of_the_run).status == 410)

        client.interrupt(GetRows, 1, expire)
        with (
            pytest.raises(SyncFailed, match=r"'debits'.*`consistent`.*limits\.snapshot_seconds") as failed,
            client.holding_snapshot(NAMES),
        ):
            sync(same_accounts, client)
        assert failed.value.retryable  # the next run takes another snapshot
        assert passed
    assert [same_accounts.target.rows(name) for name in NAMES] == before
    same_accounts.assert_clean()


def test_a_server_that_was_restarted(same_accounts: Link) -> None:
    """A request with another process's snapshot is not repeated, but the error is transient; nothing is written."""
    capabilities = Capabilities(tables=dict.fromkeys(NAMES, ()), snapshots=True)
    gone = reply(410, body=b'{"message": "this server process does not hold the snapshot of the run"}')
    with scripted_server() as server:
        server.answer(reply(body=msgspec.json.encode(capabilities)), answer(SnapshotHeld(snapshot="a.b", seconds=60)), gone)
        config = client_config(same_accounts, server.url, consistent=True, retries=3)
        with pytest.raises(SyncFailed, match="does not hold the snapshot") as failed:
            run(config, plan_run(config))
        assert [request.path.rpartition("/")[2] for request in server.requests] == [
            "capabilities",
            "holdSnapshot",
            "describeTable",
        ]
    assert failed.value.retryable
    assert copied(same_accounts) == 0


@pytest.mark.parametrize("protocol", [1, "auto"])
def test_servers_that_hold_none(same_accounts: Link, protocol: str | int) -> None:
    """A server that cannot hold a snapshot is refused before anything is written."""
    with scripted_server() as server:
        server.answer(reply(body=msgspec.json.encode(Capabilities(tables=dict.fromkeys(NAMES, ())))))
        config = client_config(same_accounts, server.url, consistent=True, protocol=protocol)
        with pytest.raises(SyncFailed, match=r"consistent: the server at .* cannot hold a snapshot") as failure:
            run(config, plan_run(config))
    assert [report.status for report in failure.value.reports] == ["failed"] * 3
    assert copied(same_accounts) == 0


def test_steps(same_accounts: Link) -> None:
    """The steps refuse the option and recommend another way; nothing is requested or written."""
    config = client_config(same_accounts, "http://127.0.0.1:9/", consistent=True)
    with pytest.raises(ConfigurationError, match=r"consistent: the steps .* TableSyncOperator"):
        compare_tables(config, plan_run(config), opener=Opener(), run_id="one")
    assert copied(same_accounts) == 0
