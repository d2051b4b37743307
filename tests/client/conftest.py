"""A scripted server, a client for it, and a clock that does not wait."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from airflow_provider_sync.client import SyncClient
from tests.client.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Give a server that answers as the test says."""
    with scripted_server() as script:
        yield script


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[SyncClient]:
    """Give a client of the server, which tries everything once."""
    with SyncClient(server.url, token="secret-token", retries=0, timeout=10) as sync_client:
        yield sync_client


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the list of pauses between tries, which are noted instead of waited for."""
    noted: list[float] = []
    monkeypatch.setattr(time, "sleep", noted.append)
    return noted
