"""A history, and the API server that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_sync.history import KEEP_DAYS, History, open_history
from tests.plugin.api_server import ApiServer


@pytest.fixture(scope="module")
def history_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the place of a history."""
    return f"sqlite:///{tmp_path_factory.mktemp('history') / 'history.db'}"


@pytest.fixture
def history(history_url: str) -> History:
    """Give the history that the API server shows, empty."""
    history = open_history(history_url)
    history.prune(now=datetime.now(UTC) + timedelta(days=KEEP_DAYS + 1))
    return history


@pytest.fixture(scope="module")
def api_server(history_url: str) -> Iterator[ApiServer]:
    """Give the API server without a sync server in it."""
    with ApiServer({"AIRFLOW__SYNC__HISTORY": history_url}) as server:
        yield server
