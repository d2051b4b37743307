"""What is wrong with each table is told in its own report, however many are wrong, and a missing table hides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ServerError, SyncError, SyncFailed, TableError
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.failures import TablesFailed, reasons, try_each
from tests.client.scripted_server import recorded, reply
from tests.scenario import Scenario
from tests.sync.tables.version1.existing_server import existing_server

NAMES = ("good", "missing", "unoffered", "narrow", "keyless")
TOKEN = "a-token-of-sixteen-characters"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Give the URL of our server, which offers all tables but one."""
    source = tmp_path / "source.db"
    engine = open_engine(f"sqlite:///{source}")
    scenario = Scenario(database_for(engine))
    for name in NAMES:
        scenario.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, n INTEGER)", f"INSERT INTO {name} VALUES (1, 1)")
    engine.dispose()
    tables = {name: {} for name in NAMES if name != "unoffered"}
    config = ServerConfig.from_dict({"connections": {"source": f"sqlite:///{source}"}, "tables": tables, "tokens": [TOKEN]})
    with RunningServer(config) as server:
        yield server.url


@pytest.fixture
def target(sqlite_url: str) -> Iterator[Scenario]:
    """Give a target in which each of the tables but one is wrong in a way of its own."""
    engine = open_engine(sqlite_url)
    scenario = Scenario(database_for(engine))
    scenario.execute(
        "CREATE TABLE good (id INTEGER PRIMARY KEY, n INTEGER)",
        "CREATE TABLE unoffered (id INTEGER PRIMARY KEY, n INTEGER)",
        "CREATE TABLE narrow (id INTEGER PRIMARY KEY)",
        "CREATE TABLE keyless (id INTEGER, n INTEGER)",
    )
    yield scenario
    engine.dispose()


def failing(client: SyncClient, target: Scenario, *names: str) -> tuple[dict[str, str], SyncFailed]:
    """Sync tables in one transaction, and return what each report says."""
    with pytest.raises(SyncFailed) as failure:
        sync_tables(client, [table_from_options(name, {}) for name in names], target.database)
    assert all(report.status == "failed" for report in failure.value.reports)
    return {report.name: str(report.error) for report in failure.value.reports}, failure.value


@pytest.mark.parametrize("protocol", [1, 2])
def test_each_bad_table_is_told_of(url: str, target: Scenario, protocol: int) -> None:
    """Each of several bad tables has its own reason, good ones name the shared one, and nothing is written."""
    with SyncClient(url, token=TOKEN, retries=0, protocol=protocol) as client:
        errors, failure = failing(client, target, *NAMES)
    assert "There is no table 'missing'" in errors["missing"]
    assert "does not offer a table 'unoffered'" in errors["unoffered"]
    assert "'n'" in errors["narrow"]
    assert "no primary key" in errors["keyless"]
    assert errors["good"].startswith("Nothing was changed, since it shares one transaction with ")
    assert all(f"'{name}'" in errors["good"] for name in NAMES[1:])
    assert all(errors[name].splitlines()[0].rstrip(".") in str(failure) for name in NAMES[1:])
    assert target.rows("good") == []
    assert "missing" not in target.names()


@pytest.mark.parametrize("first", [None, "locked"])
def test_a_busy_table_hides_nothing(first: str | None) -> None:
    """One 503 may be about a locked table, so all others are checked; a second one is about the server."""
    busy, bad = ServerError("locked", 503), TableError("no key")
    for error in (busy, bad):
        error.table = "locked"

    def fail(error: SyncError) -> None:
        raise error

    def check(*errors: SyncError) -> str:
        checks = [(f"t{number}", partial(fail, error)) for number, error in enumerate(errors)]
        return str(try_each(checks, busy) if first else try_each([("locked", partial(fail, busy)), *checks]))

    assert check(bad, bad) == "locked; no key; no key"
    assert check(bad, ServerError("down", 503), bad) == "locked; no key"


def test_locked_tables_hide_nothing() -> None:
    """If the server says that its 503s are about tables, all others are requested, with any number of locked ones."""
    locked, bad = ServerError("locked", 503, of_table=True), TableError("no key")

    def fail(error: SyncError) -> None:
        raise error

    checks = [(f"t{number}", partial(fail, error)) for number, error in enumerate([locked, locked, bad, locked, bad])]
    assert str(try_each(checks)) == "locked; locked; no key; locked; no key"


@pytest.mark.parametrize("protocol", [1, 2])
def test_what_fails_at_the_source_is_told_of_each(url: str, target: Scenario, protocol: int) -> None:
    """Tables that fail only at the source are all reported at once, too."""
    with SyncClient(url, token=TOKEN, retries=0, protocol=protocol) as client:
        errors, _ = failing(client, target, "good", "narrow", "unoffered")
    assert "'n'" in errors["narrow"]
    assert "does not offer a table 'unoffered'" in errors["unoffered"]
    assert "shares one transaction with 'narrow', 'unoffered'" in errors["good"]


def test_a_merge_that_fails_blames_its_own_table(url: str, target: Scenario) -> None:
    """A table that fails in the merge is the one whose reason is reported."""
    target.execute("DROP TABLE narrow", "CREATE TABLE narrow (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 5))")
    with SyncClient(url, token=TOKEN, retries=0) as client:
        errors, _ = failing(client, target, "good", "narrow")
    assert "CHECK" in errors["narrow"]
    assert errors["good"] == "Nothing was changed, since it shares one transaction with 'narrow', which failed."


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_target_that_is_locked_is_named(url: str, postgresql_url: str, protocol: int) -> None:
    """If DDL locks a table of the target, its report says so, and the others name it."""
    engine = open_engine(postgresql_url)
    target = Scenario(database_for(engine))
    target.execute(
        f"ALTER DATABASE {engine.url.database} SET lock_timeout = '200ms'",
        "CREATE TABLE good (id INTEGER PRIMARY KEY, n INTEGER)",
        "CREATE TABLE narrow (id INTEGER PRIMARY KEY, n INTEGER)",
    )
    try:
        with engine.connect() as elsewhere, SyncClient(url, token=TOKEN, retries=0, protocol=protocol) as client:
            elsewhere.exec_driver_sql("LOCK TABLE narrow IN ACCESS EXCLUSIVE MODE")
            errors, failure = failing(client, target, "good", "narrow")
        assert failure.retryable
        assert errors["narrow"].startswith("Table 'narrow': PostgreSQL: canceling statement due to lock timeout")
        assert errors["good"] == "Nothing was changed, since it shares one transaction with 'narrow', which failed."
        assert target.rows("good") == target.rows("narrow") == []
    finally:
        engine.dispose()


def test_traffic_of_a_failed_transaction_is_counted_once(url: str, target: Scenario) -> None:
    """After a failed transaction, requests and bytes of all reports add up to the traffic."""
    with SyncClient(url, token=TOKEN, retries=0) as client:
        _, failure = failing(client, target, "good", "narrow", "unoffered")
        traffic = client.traffic
        assert sum(report.requests for report in failure.reports) == traffic.requests
        assert sum(report.bytes_received for report in failure.reports) == traffic.bytes_received
        assert sum(report.bytes_sent for report in failure.reports) == traffic.bytes_sent


@contextmanager
def wrong(url: str, what: str) -> Iterator[tuple[SyncClient, str]]:
    """Give a client with something wrong, and a table that is missing at the target."""
    address, token = url, TOKEN
    name = "missing"
    if what == "token":
        token = "another-token-of-sixteen"
    elif what == "name":
        name = "mising"
    elif what == "path":
        address = url + "/somewhere/else"
    with SyncClient(address, token=token, retries=0) as client:
        yield client, name


@pytest.mark.parametrize(
    ("what", "message"),
    [("token", "status 401"), ("name", "does not offer a table 'mising'"), ("path", "nothing at"), ("", "There is no table")],
)
@pytest.mark.parametrize("create_table", [False, True])
def test_a_missing_table_hides_nothing(url: str, target: Scenario, what: str, message: str, create_table: bool) -> None:
    """A wrong token, name or path is reported as such, although the target table is missing, too."""
    if not what and create_table:
        return
    with wrong(url, what) as (client, name), pytest.raises(SyncFailed, match=message):
        sync_tables(client, [table_from_options(name, {"create_table": create_table})], target.database)
    assert "missing" not in target.names()


EXISTING = {
    "token": (recorded("auth_none_json"), "status 401"),
    "name": (recorded("table_unknown"), "does not offer a table 'missing'"),
    "path": (recorded("table_unknown_endpoint"), "nothing at"),
    "login page": (reply(200, b"<!DOCTYPE html><title>Log in</title>", kind="text/html"), "answered with HTML"),
    "failure": (recorded("hash_no_pk_500"), "There is no table 'missing'.*status 500"),
}


@pytest.mark.parametrize(("answer", "message"), EXISTING.values(), ids=EXISTING)
def test_a_missing_table_hides_nothing_of_an_existing_server(target: Scenario, answer: bytes, message: str) -> None:
    """The same holds with an existing server."""
    with existing_server() as server, SyncClient(server.url, retries=0) as client:
        server.answer("/getTable", answer)
        with pytest.raises(SyncFailed, match=message):
            sync_tables(client, [table_from_options("missing", {})], target.database)


def test_a_failure_keeps_its_cause(url: str, target: Scenario) -> None:
    """The error that ends a sync has its cause, which is not itself."""
    target.execute("INSERT INTO good VALUES (2, 2)")
    full = OSError("The disk is full.")

    def fail(*_: object) -> None:
        raise TableError("A row could not be written.") from full

    with SyncClient(url, token=TOKEN) as client, pytest.raises(SyncFailed) as failure:
        sync_tables(client, [table_from_options("good", {})], target.database, progress=fail)
    assert isinstance(failure.value.__cause__, TableError)
    assert failure.value.__cause__.__cause__ is full


def test_thousands_of_tables_fail_in_short_reports() -> None:
    """The report of each table names only a few others, so that names cannot fill the memory."""
    tables = [f"table_{number}" for number in range(5_000)]
    failed = TablesFailed({name: TableError("It is bad.") for name in tables[:-1]})
    for error in (TableError("Nothing answers."), failed):
        found = reasons(error, tables)
        assert "and 49" in found[tables[-1]]
        assert max(map(len, found.values())) < 1_000
