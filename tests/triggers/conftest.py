"""A source under a connection of Airflow, a scripted server under another, and a look at what is polled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from airflow_provider_sync.sync import Watched
from airflow_provider_sync.triggers import polls, source_moved, source_watch
from tests.client.scripted_server import ScriptedServer, scripted_server
from tests.source_server import source

__all__ = ["source"]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """Give a server that answers as the test says, to the connection ``scripted``, in version 1."""
    with scripted_server() as server:
        fields = {"conn_type": "sync", "host": server.url, "extra": {"protocol": "1"}}
        monkeypatch.setenv("AIRFLOW_CONN_SCRIPTED", json.dumps(fields))
        yield server


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[str]:
    """Give the digests that triggers got, as they get them."""
    digests: asyncio.Queue[str] = asyncio.Queue()

    async def poll(sync_conn_id: str, watched: Watched, *, known: str | None, max_seconds: float) -> str:
        digest = await polls.poll(sync_conn_id, watched, known=known, max_seconds=max_seconds)
        digests.put_nowait(digest)
        return digest

    monkeypatch.setattr(source_moved, "poll", poll)
    monkeypatch.setattr(source_watch, "poll", poll)
    return digests
