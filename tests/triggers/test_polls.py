"""A poll from an event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from socket import socket

import pytest

from airflow_provider_sync.exceptions import ConfigurationError, TransportError
from airflow_provider_sync.sync import WatchedDirectory
from airflow_provider_sync.triggers.polls import THREADS_PER_SERVER, poll
from tests.airflow_runs import AIRFLOW_VERSION
from tests.client.scripted_server import ScriptedServer
from tests.source_server import Source

pytestmark = pytest.mark.skipif(
    AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1.0 reads connections from event loops in its triggerer only"
)

IMAGES = WatchedDirectory(name="images")


def test_poll(source: Source) -> None:
    """A poll returns the digest of the source."""

    async def polls() -> list[str]:
        first = await poll("sync_default", IMAGES)
        source.write("images", "one.txt", "another")
        return [first, await poll("sync_default", IMAGES)]

    assert len(set(asyncio.run(polls()))) == 2


def test_missing_connection() -> None:
    """A connection that does not exist is an error that names it."""
    with pytest.raises(ConfigurationError, match="no connection 'nowhere'"):
        asyncio.run(poll("nowhere", IMAGES))


def test_polls_are_not_repeated(scripted: ScriptedServer) -> None:
    """A failed poll is not repeated before the next one, for any number of retries of the connection."""
    scripted.answer(b"")
    with pytest.raises(TransportError):
        asyncio.run(poll("scripted", IMAGES))
    assert len(scripted.requests) == 1


def test_cancelled_poll(scripted: ScriptedServer) -> None:
    """A poll that is cancelled while the server is sending ends its thread at the next piece."""
    sending, cancelled, ended = threading.Event(), threading.Event(), threading.Event()

    def answer(connection: socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{")
        sending.set()
        cancelled.wait()
        try:
            while True:  # as long as anybody listens
                connection.sendall(b'"a": "b",' * 1000)
        except OSError:
            ended.set()

    scripted.answer(answer)

    async def cancel() -> None:
        waiting = asyncio.create_task(poll("scripted", IMAGES))
        await asyncio.to_thread(sending.wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        cancelled.set()
        await asyncio.to_thread(ended.wait)

    asyncio.run(asyncio.wait_for(cancel(), 60))
    assert ended.is_set()


def test_polls_of_one_server_block_no_other(scripted: ScriptedServer, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many polls as a server may have, all of them unanswered, do not block the polls of other servers."""
    monkeypatch.setenv("AIRFLOW_CONN_STUCK", json.dumps({"conn_type": "sync", "host": scripted.url, "extra": {"timeout": 60}}))
    scripted.answer(scripted.silence)

    async def poll_all() -> str:
        stuck = [asyncio.create_task(poll("stuck", IMAGES)) for _ in range(THREADS_PER_SERVER)]
        await asyncio.sleep(0)
        answer = await poll("sync_default", IMAGES)
        assert not any(task.done() for task in stuck)
        scripted.released.set()
        await asyncio.gather(*stuck, return_exceptions=True)
        return answer

    assert isinstance(asyncio.run(asyncio.wait_for(poll_all(), 60)), str)


def test_polls_end(scripted: ScriptedServer) -> None:
    """The poll of a server that never answers ends after max_seconds."""
    scripted.answer(scripted.silence)
    with pytest.raises(TransportError, match=r"longer than the 0\.5 seconds that max_seconds allows"):
        asyncio.run(poll("scripted", IMAGES, max_seconds=0.5))
