"""The trigger of the deferrable sensors, run in an event loop against a real server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from airflow_provider_sync.triggers.source_moved import MAX_ERRORS, SourceMovedTrigger
from tests.airflow_runs import AIRFLOW_VERSION
from tests.client.scripted_server import ScriptedServer
from tests.source_server import Source

pytestmark = pytest.mark.skipif(
    AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1.0 reads connections from event loops in its triggerer only"
)

ORDERS = {"kind": "table", "table_slice": {"name": "orders", "columns": None, "window": None}}


def trigger(**arguments: Any) -> SourceMovedTrigger:
    """Make a trigger that does not pause."""
    return SourceMovedTrigger(
        **{"sync_conn_id": "sync_default", "watched": ORDERS, "known": None, "poll_interval": 0.0, **arguments}
    )


def restarted(one: SourceMovedTrigger) -> SourceMovedTrigger:
    """Make the trigger anew, as another triggerer does, of what the database keeps."""
    path, arguments = one.serialize()
    assert path == "airflow_provider_sync.triggers.source_moved.SourceMovedTrigger"
    return SourceMovedTrigger(**json.loads(json.dumps(arguments)))


def events(one: SourceMovedTrigger) -> list[Any]:
    """Run a trigger to its end."""

    async def run() -> list[TriggerEvent]:
        return [event async for event in one.run()]

    return [event.payload for event in asyncio.run(asyncio.wait_for(run(), 60))]


def test_change(source: Source) -> None:
    """It fires once, when the digest differs from the known one, also after a restart."""
    [first] = events(trigger())
    assert first["error"] is None
    waiting = trigger(known=first["digest"])
    source.execute("DELETE FROM orders WHERE id = 1")
    for one in (waiting, restarted(waiting)):
        [event] = events(one)
        assert event["error"] is None
        assert event["digest"] not in (None, first["digest"])


def test_no_change(source: Source, polled: asyncio.Queue[str]) -> None:
    """It keeps polling while the digest is the known one."""
    [first] = events(trigger())

    async def change_later() -> Any:
        waiting = asyncio.create_task(anext(trigger(known=first["digest"]).run()))
        for _ in range(3):
            await polled.get()
        assert not waiting.done()
        source.execute("DELETE FROM orders WHERE id = 1")
        return (await waiting).payload

    assert asyncio.run(asyncio.wait_for(change_later(), 60))["digest"] != first["digest"]


def test_directories(source: Source) -> None:
    """Directories are watched in the same way."""
    images = {"kind": "directory", "name": "images", "include": [], "exclude": []}
    [first] = events(restarted(trigger(watched=images)))
    source.write("images", "one.txt", "another")
    [second] = events(restarted(trigger(watched=images, known=first["digest"])))
    assert second["digest"] != first["digest"]


def test_permanent_errors(source: Source, scripted: ScriptedServer) -> None:
    """A permanent error ends it at the first poll, with the message."""
    nothing = {"kind": "table", "table_slice": {"name": "nothing"}}
    [event] = events(trigger(watched=nothing))
    assert event["digest"] is None
    assert "nothing" in event["error"]
    [event] = events(trigger(sync_conn_id="nowhere"))
    assert "no connection 'nowhere'" in event["error"]


def test_errors_that_may_pass(scripted: ScriptedServer) -> None:
    """A transient error is polled again, up to a number of times in a row."""
    [event] = events(trigger(sync_conn_id="scripted"))
    assert event["digest"] is None
    assert len(scripted.requests) == MAX_ERRORS


def test_errors_that_pass(scripted: ScriptedServer) -> None:
    """After an answer, the count of errors starts again."""
    known = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"hash":"a"}'
    news = known.replace(b'"a"', b'"b"')
    scripted.answer(*[b""] * (MAX_ERRORS - 1), known, *[b""] * (MAX_ERRORS - 1), news)
    assert events(trigger(sync_conn_id="scripted", known="a")) == [{"digest": "b", "error": None}]


def test_cancel(source: Source) -> None:
    """It ends when it is cancelled in a pause; polls handle their own cancellation."""

    async def cancel() -> None:
        waiting = asyncio.create_task(anext(trigger(poll_interval=3600.0).run()))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(asyncio.wait_for(cancel(), 60))
