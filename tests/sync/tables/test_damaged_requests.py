"""Requests that are damaged on their way are no other questions: they are asked again."""

from __future__ import annotations

import re

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from tests.faults.proxy import REQUESTS, Proxy
from tests.sync.link import Link

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1499)"


class ChangingProxy(Proxy):
    """Changes the first request that has a pattern, without changing its length."""

    pattern: bytes = b""
    replacement: bytes = b""
    changed: int = 0

    def _damaged(self, direction: str, block: bytes) -> tuple[bytes, bool]:
        if direction == REQUESTS and not self.changed:
            block, self.changed = re.subn(self.pattern, self.replacement, block, count=1)
        return block, False


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        pytest.param(rb'"high":', b'"hkgh":', id="the name of a field"),
        pytest.param(rb'"high":1499', b'"high":1498', id="a key range"),
        pytest.param(rb'"segment_count":16', b'"segment_count":64', id="the number of segments"),
        pytest.param(rb"\[\[0,(\d)", b"[[1,\\g<1>", id="segments"),
    ],
)
def test_a_changed_request_is_asked_again(two_same: Link, pattern: bytes, replacement: bytes) -> None:
    """After any change of a request on its way, the target still gets the source's rows."""
    link = two_same
    link.create("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
    link.source.execute(f"INSERT INTO t {NUMBERS} SELECT i, i % 7 FROM n")
    link.target.execute(f"INSERT INTO t {NUMBERS} SELECT i, 8 FROM n WHERE i % 3 = 0", "INSERT INTO t VALUES (2000, 1)")
    config = ServerConfig.from_dict({"connections": {"source": link.source_url}, "tables": {"t": {}}})
    with RunningServer(config) as server, ChangingProxy(server.url) as proxy:
        proxy.pattern, proxy.replacement = pattern, replacement
        with SyncClient(proxy.url, retries=1) as client:
            reports = sync_tables(client, [table_from_options("t", {})], link.target.database)
        assert proxy.changed
    assert reports[0].status == "changed"
    assert link.target.rows("t") == link.source.rows("t")
