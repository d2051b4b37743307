"""Hashers of the user's beside an existing server."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from tests.client.scripted_server import recorded, reply, stream
from tests.scenario import Scenario
from tests.sync.tables.version1.existing_server import ExistingServer, existing_server

HASHERS = "tests.sync.tables.version1.table_hashers"
NOT_MODIFIED = recorded("table_304_trimmed")
TABLE = stream(gzip.compress(b'{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n'))


@pytest.fixture
def server() -> Iterator[ExistingServer]:
    """Give an existing server whose hasher joins the names, and which has two rows."""
    with existing_server() as server:
        server.answer("/getTableHash", reply(200, b'{"hash":"one,two"}'))
        server.answer("/getTable", TABLE)
        yield server


@pytest.fixture
def target(database_url: str) -> Iterator[Scenario]:
    """Give a target with a row of its own."""
    engine = open_engine(database_url)
    scenario = Scenario(database_for(engine))
    scenario.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(50))", "INSERT INTO t VALUES (9, 'old')")
    yield scenario
    engine.dispose()


def sync(server: ExistingServer, target: Scenario, hasher: str, **options: Any) -> TableReport:
    """Sync the table ``t``."""
    with SyncClient(server.url, retries=0) as client:
        return sync_tables(client, [table_from_options("t", {"hasher": f"{HASHERS}.{hasher}", **options})], target.database)[0]


@pytest.mark.parametrize("options", [{}, {"columns": ["id", "name"]}], ids=["all columns", "columns"])
def test_a_hasher_that_agrees(server: ExistingServer, target: Scenario, options: dict[str, Any]) -> None:
    """Rows that arrive under a hash of the user's are verified by rows, without a doubt in the report."""
    report = sync(server, target, "NamesHasher", **options)
    assert (report.status, report.verified, report.warnings) == ("changed", "rows", ())
    assert target.rows("t") == [(1, "one"), (2, "two")]
    server.answer("/getTable", NOT_MODIFIED)
    report = sync(server, target, "NamesHasher", **options)
    assert (report.status, report.verified, report.warnings) == ("unchanged", "hash", ())
    assert dict(server.requests("/getTable")[-1].fields)["hash"] == "one,two"


def test_a_hasher_that_disagrees(server: ExistingServer, target: Scenario) -> None:
    """If rows are equal and hashes differ, the report names the hasher."""
    server.answer("/getTableHash", reply(200, b'{"hash":"another"}'))
    assert sync(server, target, "NamesHasher").warnings == ()
    report = sync(server, target, "NamesHasher")
    assert (report.status, report.verified) == ("unchanged", "rows")
    (warning,) = report.warnings
    assert f"the hash by '{HASHERS}.NamesHasher' differs from the source's although the rows are equal" in warning


@pytest.mark.parametrize(
    ("hasher", "message"),
    [
        ("NothingHasher", r"hasher is '.*NothingHasher', which returned NoneType for table 't'"),
        ("EmptyHasher", r"hasher is '.*EmptyHasher', which returned an empty text"),
        ("FailingHasher", r"hasher '.*FailingHasher' failed with KeyError: 'place'\. Correct that class"),
        ("BrokenStatementHasher", r"Table 't': .*missing_table"),
    ],
)
def test_a_hasher_that_fails(server: ExistingServer, target: Scenario, hasher: str, message: str) -> None:
    """An error of a hasher names its class, or is the database's, and nothing is written."""
    with pytest.raises(SyncFailed, match=message):
        sync(server, target, hasher)
    assert target.rows("t") == [(9, "old")]
    assert not server.requests("/getTable")
