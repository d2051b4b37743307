"""The watchers of assets, run in an event loop against a real server; what they keep, they keep in memory here."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from math import nan
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.sdk import AssetWatcher  # noqa: TID251  # not on the common path
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from structlog.testing import capture_logs

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.triggers import source_watch
from airflow_provider_sync.triggers.files_changed import FilesChangedTrigger
from airflow_provider_sync.triggers.source_watch import SourceWatch
from airflow_provider_sync.triggers.table_changed import TableChangedTrigger
from tests.airflow_runs import AIRFLOW_VERSION
from tests.client.scripted_server import ScriptedServer, reply
from tests.source_server import Source

pytestmark = pytest.mark.skipif(
    AIRFLOW_VERSION < (3, 2), reason="Airflow 3.1.0 reads connections from event loops in its triggerer only"
)

INTERVAL = 0.01


class Store(dict[str, Any]):
    """The state store of an asset."""

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self[key] = value


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing wait for the triggerer, or for somebody who mends an error."""
    monkeypatch.setattr(source_watch, "DELIVERY_SECONDS", 0.0)
    monkeypatch.setattr(source_watch, "PERMANENT_ERROR_SECONDS", 0.0)


@asynccontextmanager
async def running(trigger: SourceWatch, store: Store) -> AsyncIterator[asyncio.Queue[Any]]:
    """Run a trigger made anew of what the database keeps of it, as a triggerer does; give the payloads of its events."""
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    again = type(trigger)(**json.loads(json.dumps(arguments)))
    again.asset_state_store = store  # type: ignore[assignment]
    payloads: asyncio.Queue[Any] = asyncio.Queue()

    async def run() -> None:
        async for event in again.run():
            assert isinstance(event, TriggerEvent)
            payloads.put_nowait(event.payload)

    task = asyncio.create_task(run())
    try:
        async with asyncio.timeout(60):
            yield payloads
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_events(source: Source) -> None:
    """The first state and each later change is announced once, with name, kind and digest."""

    async def watch() -> list[Any]:
        async with running(TableChangedTrigger(table="orders", poll_interval=INTERVAL), Store()) as payloads:
            first = await payloads.get()
            source.execute("DELETE FROM orders WHERE id = 1")
            second = await payloads.get()
            source.execute("DELETE FROM orders WHERE id = 2")
            return [first, second, await payloads.get()]

    events = asyncio.run(watch())
    assert [(event["name"], event["kind"]) for event in events] == [("orders", "table")] * 3
    assert len({event["digest"] for event in events}) == 3


@pytest.mark.parametrize(
    "trigger",
    [
        TableChangedTrigger(table="orders", columns="name", poll_interval=INTERVAL),
        FilesChangedTrigger(directory="images", include=["*.txt"], poll_interval=INTERVAL),
    ],
    ids=["table", "directory"],
)
def test_restarts(source: Source, trigger: SourceWatch, polled: asyncio.Queue[str]) -> None:
    """After a restart, an old state is not announced again, and a change in between is not missed."""

    async def watch() -> list[Any]:
        store = Store()
        async with running(trigger, store) as payloads:
            first = await payloads.get()
            for _ in range(2):
                await polled.get()
        async with running(trigger, store) as payloads:
            for _ in range(2):
                await polled.get()
            assert payloads.empty()
        source.execute("UPDATE orders SET name = 'x' WHERE id = 1")
        source.write("images", "one.txt", "another")
        async with running(trigger, store) as payloads:
            return [first, await payloads.get()]

    first, second = asyncio.run(watch())
    assert first["digest"] != second["digest"]
    assert first["kind"] == second["kind"]


def test_an_event_that_may_be_lost_is_sent_again(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest is not kept before the triggerer had time to store the event."""
    monkeypatch.setattr(source_watch, "DELIVERY_SECONDS", 3600.0)
    trigger = TableChangedTrigger(table="orders", poll_interval=INTERVAL)

    async def watch() -> list[Any]:
        store = Store()
        found = []
        for _ in range(2):
            async with running(trigger, store) as payloads:
                found.append(await payloads.get())
        assert not store
        return found

    first, second = asyncio.run(watch())
    assert first == second


@pytest.mark.parametrize("status", [500, 401], ids=["may pass", "permanent"])
def test_errors(scripted: ScriptedServer, status: int) -> None:
    """Errors are logged with what to do, and polling continues."""
    scripted.answer(reply(status, b'{"message": "No."}'), reply(200, b'{"hash": "a"}'))
    trigger = TableChangedTrigger(table="orders", sync_conn_id="scripted", poll_interval=INTERVAL)

    async def watch() -> Any:
        async with running(trigger, Store()) as payloads:
            return await payloads.get()

    with capture_logs() as logs:
        assert asyncio.run(watch())["digest"] == "a"
    [error] = [entry for entry in logs if entry["log_level"] == "error"]
    assert "orders of scripted: trying again in 0 seconds." in error["event"] % error.get("positional_args", ())


def test_keys() -> None:
    """Every watched table and directory has its own place for its digest, with a clear name."""
    triggers = [
        TableChangedTrigger(table="shop.orders"),
        TableChangedTrigger(table="shop.orders", columns=["id"]),
        TableChangedTrigger(table="shop.orders", sync_conn_id="other"),
        FilesChangedTrigger(directory="shop.orders"),
        FilesChangedTrigger(directory="shop.orders", exclude="*.tmp"),
    ]
    keys = {trigger.key for trigger in triggers}
    assert len(keys) == len(triggers)
    assert all(key.startswith("sync_digest.shop.orders.") for key in keys)
    assert len(TableChangedTrigger(table="t" * 1000).key) < 250
    assert TableChangedTrigger(table="shop.orders", poll_interval=1).key in keys


def test_wrong_arguments() -> None:
    """An invalid pause is refused when the DAG is parsed."""
    with pytest.raises(ConfigurationError, match="'poll_interval' is 0"):
        TableChangedTrigger(table="orders", poll_interval=0)
    for value in (1e20, nan):
        with pytest.raises(ConfigurationError, match=f"'max_seconds' is {re.escape(str(value))}"):
            TableChangedTrigger(table="orders", max_seconds=value)
    with pytest.raises(ConfigurationError, match="'max_seconds' is -1"):
        TableChangedTrigger(table="orders", max_seconds=-1)


def test_assets() -> None:
    """Airflow accepts it as the watcher of an asset, and deserializes it."""
    trigger = FilesChangedTrigger(directory="images", include="*.png")
    asset = Asset("sync://source.example/directories/images", watchers=[AssetWatcher(name="images_changed", trigger=trigger)])
    with DAG("watches", schedule=[asset], start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        pass
    path, arguments = trigger.serialize()
    assert isinstance(trigger, BaseEventTrigger)
    assert BaseEventTrigger.hash(path, arguments) == BaseEventTrigger.hash(path, json.loads(json.dumps(arguments)))
