"""Many clients at once: those that have a token, and those that have none."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Barrier
from urllib.parse import urlsplit

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.protocol.v2.messages import DescribeTable, RequestedSlice
from tests.benchmarks.halves import server
from tests.benchmarks.made_rows import MADE_ROWS
from tests.benchmarks.result import Section, limited
from tests.database_servers import POSTGRESQL, DatabaseServers

TOKEN = "token-of-the-benchmark"
_SMALL = DescribeTable(table_slice=RequestedSlice(name="orders"))
_ANSWER_SECONDS = 15


def crowd(servers: DatabaseServers, folder: Path, scale: float, _rounds: int) -> Section:
    """Ask one server from 200 clients at once, and from one beside idle connections and beside requests without a token."""
    count, refused = max(8, int(200 * scale)), max(100, int(10_000 * scale))
    with servers.database(POSTGRESQL, folder) as url:
        MADE_ROWS.fill(url, 1000, folder)
        config = {"tokens": [TOKEN], "connections": {"shop": url}, "tables": {"orders": {}}, "log": {"level": "error"}}
        with server(folder, config) as running:
            alone = min(seconds for seconds, _ in ask_at_once(running.url, TOKEN, 1))
            times = ask_at_once(running.url, TOKEN, count)
            failed = sum(error is not None for _, error in times)
            with ExitStack() as stack:
                hold_idle(running.url, 64, stack)
                beside_idle = ask_at_once(running.url, TOKEN, 1)[0][0]
            with ThreadPoolExecutor(1) as threads:
                flood = threads.submit(asyncio.run, ask_without_token(running.url, refused, per_second=1000))
                beside_flood = ask_at_once(running.url, TOKEN, 1)[0][0]
                statuses = flood.result()
    told = ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))
    return Section(
        "a crowd of clients, one server, a table of 1,000 rows in PostgreSQL",
        [
            limited(f"{count} clients at once, the last is served after", max(times)[0], "s", 20, f"{failed} failed"),
            limited("one client beside 64 idle connections", beside_idle, "s", 20, f"alone {alone:.2f} s"),
            limited("one client beside 1,000 requests a second without a token", beside_flood, "s", 20, told),
        ],
    )


def ask_at_once(url: str, token: str, count: int) -> list[tuple[float, str | None]]:
    """Ask for an unchanged small table from many clients at the same moment: seconds, and the error, of each."""
    barrier = Barrier(count)

    def ask() -> tuple[float, str | None]:
        with SyncClient(url, token=token) as client:
            barrier.wait()
            started = time.perf_counter()
            try:
                for _ in client.describe_table(_SMALL):
                    pass
            except SyncError as error:
                return time.perf_counter() - started, str(error)
            return time.perf_counter() - started, None

    with ThreadPoolExecutor(count) as threads:
        return [future.result() for future in [threads.submit(ask) for _ in range(count)]]


def hold_idle(url: str, count: int, stack: ExitStack) -> None:
    """Keep connections open that send nothing, and such that send the beginning of a request."""
    parts = urlsplit(url)
    for number in range(count):
        connection = stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 80)))
        if number % 2:
            connection.sendall(b"POST /getTable HTTP/1.1\r\nHost: loc")


async def ask_without_token(url: str, count: int, *, per_second: int) -> Counter[str]:
    """Send requests at a rate, each over a connection of its own, and count how they were answered."""
    parts = urlsplit(url)
    request = f"POST {parts.path}/getTable HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 0\r\n\r\n".encode()

    async def ask() -> str:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
                with closing(writer):
                    writer.write(request)
                    return (await reader.readline()).decode().partition(" ")[2][:3] or "closed"
        except (OSError, TimeoutError):
            return "closed"

    began = time.perf_counter()
    tasks: list[asyncio.Task[str]] = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(ask()))
    return Counter(await asyncio.gather(*tasks))
