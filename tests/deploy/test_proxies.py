"""Syncs through the web servers of the recipes: whole tables, long silence, and nobody who claims another address."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from tests.deploy.proxies import PROXIES, Proxy, nginx, traefik
from tests.scenario import Scenario, opened

pytestmark = pytest.mark.slow

ROWS = 100_000
QUIET_SECONDS = 65
"""Longer than any default of nginx's for a server that says nothing."""

Run = Callable[[str, Path], AbstractContextManager[Proxy]]

TOKENS = ["token", {"token": "other", "addresses": ["192.0.2.0/24"]}]


@pytest.fixture
def source(postgresql_on: Scenario, postgresql_url: str) -> Iterator[tuple[Scenario, str]]:
    """Serve a large table and a small one, and give the database and the URL."""
    postgresql_on.execute(
        "CREATE TABLE large (id BIGINT PRIMARY KEY, name TEXT)",
        f"INSERT INTO large SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, {ROWS}) AS n",
        "CREATE TABLE silence (until TIMESTAMPTZ)",
        "INSERT INTO silence VALUES (now())",
        # Whoever reads it gets no row before the silence is over.
        """
        CREATE VIEW quiet AS
        SELECT n AS id, md5(n::text) AS name
        FROM (SELECT pg_sleep(greatest(0, extract(epoch FROM until - clock_timestamp()))) FROM silence OFFSET 0) AS slept,
            generate_series(1, 1000) AS n
        """,
    )
    settings = {"tokens": TOKENS, "connections": {"source": postgresql_url}, "tables": {"large": {}, "quiet": {"primary": "id"}}}
    with RunningServer(ServerConfig.from_dict(settings)) as server:
        yield postgresql_on, server.url


def sync(proxy: Proxy, protocol: str, name: str, folder: Path) -> TableReport:
    """Sync one table into an empty SQLite database."""
    with (
        opened(f"sqlite:///{folder}/target-{protocol}.db") as target,
        SyncClient(
            proxy.url, token="token", verify=str(proxy.authority), retries=0, protocol=protocol, timeout=2 * QUIET_SECONDS
        ) as client,
    ):
        target.execute(f"CREATE TABLE {name} (id BIGINT PRIMARY KEY, name TEXT)")
        [report] = sync_tables(client, [table_from_options(name, {})], target.database)
    return report


@pytest.fixture
def proxies(source: tuple[Scenario, str], tmp_path: Path) -> Iterator[dict[str, Proxy]]:
    """Run every web server before the sync server."""
    with ExitStack() as stack:
        found = {}
        for name, run in PROXIES.items():
            (tmp_path / name).mkdir()
            found[name] = stack.enter_context(run(source[1], tmp_path / name))
        yield found


def test_a_large_table(proxies: dict[str, Proxy], tmp_path: Path) -> None:
    """A large table arrives complete through each web server, by both versions, and is not stored on its way."""
    for name, proxy in proxies.items():
        for protocol in ("1", "2"):
            report = sync(proxy, protocol, "large", tmp_path / name)
            assert (report.status, report.rows_inserted) == ("changed", ROWS)
    assert [path for path in (tmp_path / "nginx" / "proxy").rglob("*") if path.is_file()] == []


def test_a_long_silent_scan(proxies: dict[str, Proxy], source: tuple[Scenario, str], tmp_path: Path) -> None:
    """Each web server waits for a source that is silent for more than a minute, by both versions."""
    source[0].execute(f"UPDATE silence SET until = now() + interval '{QUIET_SECONDS} seconds'")
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(sync, proxies[name], version, "quiet", tmp_path / name) for name in proxies for version in "12"]
        reports = [sync.result() for sync in running]
    assert [report.rows_inserted for report in reports] == [1000] * 2 * len(proxies)
    # The silence was one.
    assert min(report.seconds for report in reports) > 60


def status(proxy: Proxy, path: str, **headers: str) -> tuple[int, str | None]:
    """Send a request, and return the answer's status and its Retry-After."""
    trusted = ssl.create_default_context(cafile=str(proxy.authority))
    connection = HTTPSConnection(urlsplit(proxy.url).netloc, context=trusted, timeout=60)
    try:
        connection.request("GET", f"/api/sync{path}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Retry-After"]
    finally:
        connection.close()


def test_nobody_claims_another_address(proxies: dict[str, Proxy]) -> None:
    """Behind each web server, a client cannot use a token from an address that it only claims in X-Forwarded-For."""
    for proxy in proxies.values():
        for claimed in ({}, {"X-Forwarded-For": "192.0.2.9"}):
            assert status(proxy, "/capabilities", Authorization="Bearer token", **claimed)[0] == 200
            assert status(proxy, "/capabilities", Authorization="Bearer other", **claimed)[0] == 401


@pytest.mark.parametrize(
    "run",
    [partial(nginx, rate="1r/s", burst="1"), partial(traefik, average=1, burst=2)],
    ids=["nginx", "traefik"],
)
def test_an_address_is_limited(run: Run, source: tuple[Scenario, str], tmp_path: Path) -> None:
    """Requests of one address above the limit are answered 429 with Retry-After, and the others are served."""
    with run(source[1], tmp_path) as proxy, ThreadPoolExecutor(8) as pool:
        answers = Counter(pool.map(lambda _: status(proxy, "/health"), range(8)))
    assert answers.keys() == {(200, None), (429, "1")}
