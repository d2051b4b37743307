"""Pages that wait for the history's database, in Airflow's own API server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_sync.history import Origin, open_history, record_tables
from airflow_provider_sync.plugin.page_threads import MAX_WAITING, RETRY_SECONDS, THREADS
from airflow_provider_sync.report import TableReport
from tests.plugin.api_server import ApiServer
from tests.server.process.running import wait_until
from tests.server.tables.table_locks import locked, waiting

PAGES = 45
"""More than the 40 threads that an API server has for all that blocks, and than the pages that may wait."""


def test_pages_that_wait(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While pages wait for locked tables of the history, Airflow still answers; pages above the limit get 503 and Retry-After."""
    monkeypatch.setattr(record_tables, "ANSWER_SECONDS", 300.0)
    open_history(postgresql_url).record([TableReport(name="orders", status="changed")], Origin(source="command", job="nightly"))
    runs = "/sync-status/runs?name=orders&kind=table&job=nightly"
    with (
        ApiServer({"AIRFLOW__SYNC__HISTORY": postgresql_url}) as server,
        ThreadPoolExecutor(PAGES + 1) as threads,
    ):
        with locked(postgresql_url, "sync_history"):
            pages = [threads.submit(server.get, path, "vera") for path in ("/sync-status/", runs) * (PAGES // 2 + 1)]
            wait_until(lambda: sum(page.done() for page in pages) >= len(pages) - THREADS - MAX_WAITING)
            wait_until(lambda: waiting(postgresql_url) >= THREADS)
            # Both need a thread, and the metadata database.
            for path in ("/api/v2/dags", "/api/v2/monitor/health"):
                assert threads.submit(server.get, path, "ann").result(timeout=60).status_code == 200
        answers = [page.result() for page in pages]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == len(pages) - THREADS - MAX_WAITING
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, str(RETRY_SECONDS))}
    assert all("Many pages wait" in answer.text for answer in refused)
