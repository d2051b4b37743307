"""A body that breaks off or is damaged is asked for again as often as ``retries`` says; no row or file comes twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import DamagedStreamError, IncompleteStreamError, SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import diff_table, sync_directory, sync_tables, table_differs
from airflow_provider_sync.sync.directories.version2 import large_files
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.scenario import Scenario
from tests.sync.directories.mirror import contents, everything, put, target_directory
from tests.sync.tables.cutting_proxy import CuttingProxy, cutting_proxy

CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(50))"
FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    " INSERT INTO t SELECT i, 'row ' || i || hex(randomblob(8)) FROM n"
)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the list of pauses between tries, which are noted instead of waited for."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Scenario]:
    """Give a source of three thousand rows."""
    engine = open_engine(f"sqlite:///{tmp_path / 'source.db'}")
    scenario = Scenario(database_for(engine))
    scenario.execute(CREATE, FILL)
    yield scenario
    engine.dispose()


@pytest.fixture
def target(sqlite_url: str) -> Iterator[Scenario]:
    """Give a target with a row of its own, and one that is otherwise."""
    engine = open_engine(sqlite_url)
    scenario = Scenario(database_for(engine))
    scenario.execute(CREATE, "INSERT INTO t VALUES (5, 'old'), (9999, 'gone')")
    yield scenario
    engine.dispose()


@pytest.fixture
def proxy(source: Scenario, tmp_path: Path) -> Iterator[CuttingProxy]:
    """Give a proxy before our server."""
    config = ServerConfig.from_dict(
        {
            "connections": {"source": source.database.engine.url.render_as_string(hide_password=False)},
            "tables": {"t": {}},
            "directories": {"d": {"path": str(tmp_path / "files")}},
        }
    )
    with RunningServer(config) as server, cutting_proxy(server.url) as proxy:
        yield proxy


def sync(client: SyncClient, target: Scenario) -> TableReport:
    """Sync in one go."""
    return sync_tables(client, [table_from_options("t", {})], target.database)[0]


def sync_in_steps(client: SyncClient, target: Scenario) -> TableReport:
    """Sync in steps."""
    table = table_from_options("t", {})
    slices = compare_table(client, table, target.database, run_id="run").slices
    assert slices
    staged = [stage_slice(client, table, target.database, table_slice) for table_slice in slices]
    return merge_slices(client, {"t": (table, staged)}, target.database)[0]


# In the checksum of gzip, and in the first bytes of zstd: elsewhere the rows may be wrong before the damage shows.
DAMAGED_AT = {1: -6, 2: 0}
BODIES = [(1, "/getTable"), (2, "/describeTable"), (2, "/digestRows"), (2, "/getRows")]


@pytest.mark.parametrize("way", [sync, sync_in_steps])
@pytest.mark.parametrize(("protocol", "endpoint"), BODIES)
def test_a_cut_body_is_asked_for_again(
    source: Scenario, target: Scenario, proxy: CuttingProxy, pauses: list[float], protocol: int, endpoint: str, way: Any
) -> None:
    """After two cuts, the third answer is used: every row is there once, and no other table is left."""
    if endpoint == "/digestRows":
        _copy(source, target)
    proxy.cuts[endpoint] = 2
    with SyncClient(proxy.url, retries=2, protocol=protocol) as client:
        report = way(client, target)
    assert proxy.cuts[endpoint] == 0
    assert target.rows("t") == source.rows("t")
    assert report.status == "changed"
    assert len(pauses) == 2
    assert target.names() == ["t"]


@pytest.mark.parametrize("way", [sync, sync_in_steps])
@pytest.mark.parametrize(("protocol", "endpoint"), BODIES)
def test_a_damaged_body_is_asked_for_again(
    source: Scenario, target: Scenario, proxy: CuttingProxy, pauses: list[float], protocol: int, endpoint: str, way: Any
) -> None:
    """An answer with a flipped bit is requested again, too."""
    if endpoint == "/digestRows":
        _copy(source, target)
    proxy.damages[endpoint] = 2
    proxy.damaged_at = DAMAGED_AT[protocol]
    with SyncClient(proxy.url, retries=2, protocol=protocol) as client:
        report = way(client, target)
    assert proxy.damages[endpoint] == 0
    assert target.rows("t") == source.rows("t")
    assert report.status == "changed"
    assert len(pauses) == 2
    assert target.names() == ["t"]


@pytest.mark.parametrize(("protocol", "endpoint"), BODIES)
def test_retries_are_a_limit_of_damaged_bodies(
    source: Scenario, target: Scenario, proxy: CuttingProxy, protocol: int, endpoint: str
) -> None:
    """More damaged answers than ``retries`` are a transient error, and the target is as it was."""
    if endpoint == "/digestRows":
        _copy(source, target)
    before = target.rows("t")
    proxy.damages[endpoint] = 100
    proxy.damaged_at = DAMAGED_AT[protocol]
    with SyncClient(proxy.url, retries=2, protocol=protocol) as client, pytest.raises(SyncFailed) as failure:
        sync(client, target)
    assert failure.value.retryable
    assert isinstance(failure.value.__cause__, DamagedStreamError)
    assert proxy.damages[endpoint] == 97
    assert target.rows("t") == before
    assert target.names() == ["t"]


@pytest.mark.parametrize("share", [0, 0.5], ids=["at its beginning", "in the middle"])
@pytest.mark.parametrize(("protocol", "endpoint"), BODIES)
def test_retries_are_a_limit(
    source: Scenario, target: Scenario, proxy: CuttingProxy, pauses: list[float], protocol: int, endpoint: str, share: float
) -> None:
    """More cuts than ``retries`` are a transient error after that many tries, and the target is as it was."""
    proxy.share = share
    if endpoint == "/digestRows":
        _copy(source, target)
    before = target.rows("t")
    proxy.cuts[endpoint] = 100
    with SyncClient(proxy.url, retries=2, protocol=protocol) as client, pytest.raises(SyncFailed) as failure:
        sync(client, target)
    assert failure.value.retryable
    assert isinstance(failure.value.__cause__, IncompleteStreamError)
    assert proxy.cuts[endpoint] == 97
    assert len(pauses) == 2
    assert target.rows("t") == before
    assert target.names() == ["t"]


def test_an_empty_target_that_is_loaded_directly(source: Scenario, target: Scenario, proxy: CuttingProxy) -> None:
    """A direct load that is cut is rolled back and started again."""
    target.execute("DELETE FROM t")
    proxy.cuts["/getRows"] = 1
    with SyncClient(proxy.url, retries=1) as client:
        assert sync(client, target).rows_inserted == 3000
    assert target.rows("t") == source.rows("t")


def test_what_is_staged_is_not_fetched_again(
    source: Scenario, target: Scenario, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 2 keeps the rows of a truncated answer."""
    monkeypatch.setattr("airflow_provider_sync.sync.tables.version2.batch_sizes.LOAD_BYTES", 10_000)
    source.execute("UPDATE t SET name = hex(randomblob(500))")
    proxy.cuts["/getRows"] = 1
    proxy.share = 0.7
    with SyncClient(proxy.url, retries=1) as client:
        report = sync(client, target)
    assert target.rows("t") == source.rows("t")
    assert report.rows_received < 2000


def test_what_only_looks_asks_again(source: Scenario, target: Scenario, proxy: CuttingProxy) -> None:
    """Sensors and ``diff`` repeat a request whose answer was cut, too."""
    table = table_from_options("t", {})
    with SyncClient(proxy.url, retries=1) as client:
        proxy.cuts["/describeTable"] = 1
        assert table_differs(client, table, target.database)
        proxy.cuts["/describeTable"] = 1
        assert diff_table(client, table, target.database).report.rows_inserted == 2999


@pytest.mark.parametrize(("protocol", "endpoint"), [("1", "/getFiles"), ("auto", "/readFiles")])
def test_files(proxy: CuttingProxy, tmp_path: Path, pauses: list[float], protocol: str, endpoint: str) -> None:
    """Complete files of a truncated answer stay; the others are requested again, each once."""
    wanted = {name: name * 50_000 for name in "abcd"}
    for name, content in wanted.items():
        put(open_storage(str(tmp_path / "files")), name, content)
    proxy.cuts[endpoint] = 3
    proxy.share = 0.2
    target = open_storage(str(tmp_path / "copy"))
    with SyncClient(proxy.url, retries=3, protocol=protocol) as client:
        report = sync_directory(client, target_directory(), target)
    assert contents(target) == wanted
    assert (report.files_added, report.bytes_written) == (4, 200_000)
    assert len(pauses) == 3
    assert everything(tmp_path / "copy") == list("abcd")


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [("1", "/getFileHashes"), ("1", "/getFiles"), ("2", "/listFiles"), ("2", "/digestFiles"), ("2", "/readFiles")],
)
def test_retries_are_a_limit_of_directories(proxy: CuttingProxy, tmp_path: Path, protocol: str, endpoint: str) -> None:
    """``retries`` limits requests for files and their names, too, if nothing of an answer arrives."""
    for side, content in ("files", "new"), ("copy", "old"):
        put(open_storage(str(tmp_path / side)), "a", content)
    proxy.cuts[endpoint] = 100
    proxy.share = 0
    with SyncClient(proxy.url, retries=2, protocol=protocol) as client, pytest.raises(SyncFailed) as failure:
        sync_directory(client, target_directory(), open_storage(str(tmp_path / "copy")))
    assert failure.value.retryable
    assert proxy.asked[endpoint] == 3
    assert contents(open_storage(str(tmp_path / "copy"))) == {"a": "old"}


@pytest.mark.parametrize("size", [50_000, 3_000_000])
def test_damaged_files(
    proxy: CuttingProxy, tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A damaged file is requested again, a large one from its beginning; the others stay."""
    monkeypatch.setattr(large_files, "LARGE_BYTES", 1_000_000)
    wanted = {name: random.Random(name).randbytes(size).hex()[:size] for name in "abc"}
    for name, content in wanted.items():
        put(open_storage(str(tmp_path / "files")), name, content)
    proxy.damages["/readFiles"] = 2
    proxy.damaged_at = size // 2
    target = open_storage(str(tmp_path / "copy"))
    with SyncClient(proxy.url, retries=2, protocol="2") as client:
        report = sync_directory(client, target_directory(), target)
    assert contents(target) == wanted
    assert (report.files_added, report.verified) == (3, "digest")
    assert proxy.damages["/readFiles"] == 0
    assert pauses
    assert everything(tmp_path / "copy") == list("abc")


def _copy(source: Scenario, target: Scenario) -> None:
    """Give the target the source's rows but for a few, so that rows are compared."""
    rows = [row for row in source.rows("t") if row[0] != 7]
    values = ", ".join(f"({key}, '{name if key != 1500 else 'changed'}')" for key, name in rows)
    target.execute("DELETE FROM t", f"INSERT INTO t VALUES {values}")
