"""A source under a connection of Airflow, and a scripted server under another."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

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
