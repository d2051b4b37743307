"""The link from a task to the history of its syncs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import conf

from airflow_provider_sync.operators import history_link
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.provider_info import get_provider_info

# Airflow's own class is in another place in 3.1.
KEY: Any = SimpleNamespace(dag_id="shop", task_id="group.tables", run_id="r", try_number=1, map_index=-1)


@pytest.mark.parametrize(
    ("base_url", "in_frame", "expected"),
    [
        ("", True, "/plugin/sync/sync-status/"),
        ("https://example.org/", True, "https://example.org/plugin/sync/sync-status/"),
        ("https://example.org/air", True, "https://example.org/air/plugin/sync/air/sync-status/"),
        ("https://example.org/air", False, "https://example.org/air/sync-status/"),
    ],
)
def test_where_it_leads(monkeypatch: pytest.MonkeyPatch, base_url: str, in_frame: bool, expected: str) -> None:
    """The link leads to the page of the task's own syncs, inside Airflow's frame if the version supports that."""
    monkeypatch.setattr(history_link, "_FRAMES_TAKE_PATHS", in_frame)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    assert conf.get("api", "base_url") == base_url
    operator = TableSyncOperator(task_id="t", tables="orders")
    link = history_link.SyncHistoryLink().get_link(operator, ti_key=KEY)
    assert link == f"{expected}?job=shop%2Fgroup.tables"


def test_operators_have_it() -> None:
    """Both operators have the link, and its class is registered in Airflow."""
    for operator in (TableSyncOperator, FileSyncOperator):
        assert [link.name for link in operator.operator_extra_links] == ["Sync history"]
    kind = history_link.SyncHistoryLink
    assert get_provider_info()["extra-links"] == [f"{kind.__module__}.{kind.__qualname__}"]
