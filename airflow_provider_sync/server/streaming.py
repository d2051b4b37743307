"""A body that is made while it is sent: in threads, piece by piece, and broken off when it cannot be completed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

_LEAST_BYTES = 64 * 1024

IDLE_SECONDS = 15.0
"""How long a stream may say nothing; clients give up after a minute unless told otherwise."""

Item = TypeVar("Item")


class StreamBroken(Exception):
    """A body could not be completed after its beginning had been sent.

    It leaves the application so that the server drops the connection, which is how the client learns of it.
    """


class StreamResponse(Response):
    """Sends blocks as they are made, one at a time, so that never more than one is in memory.

    Blocks are made in worker threads. Whatever happens (the end, an error, a client that went away), the iterator is
    closed first and ``close`` is called next, both in a worker thread. An error before the first block is raised as
    it is, to become an answer of its own.

    :param blocks: the body
    :param close: gives back what the iterator reads from
    :param what: what is being sent, for the log
    :param at_once: send each block as soon as it is there, rather than joining small ones
    """

    def __init__(
        self,
        blocks: Iterator[bytes],
        *,
        what: str,
        close: Callable[[], None] = lambda: None,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/octet-stream",
        at_once: bool = False,
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        # The length is not known; without it the server sends the body in chunks.
        del self.headers["content-length"]
        self._source = blocks
        self._blocks = (block for block in blocks) if at_once else _gathered(blocks)
        self._what = what
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; called by the framework."""
        failure: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
                failure = await self._send(send)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                release_failure = await run_sync(self._release)
        # What went wrong first is the reason for what goes wrong when everything is given back.
        if (error := failure or release_failure) is not None:
            raise error

    async def _send(self, send: Send) -> BaseException | None:
        block, failure = await run_sync(self._next)
        if failure is not None:
            return failure
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while block is not None:
            await send({"type": "http.response.body", "body": block, "more_body": True})
            block, failure = await run_sync(self._next)
            if failure is not None:
                log.error("%s broke off: %s", self._what, failure, exc_info=failure)
                broken = StreamBroken(f"{self._what} broke off: {failure}")
                broken.__cause__ = failure
                return broken
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    def _next(self) -> tuple[bytes | None, Exception | None]:
        # Returned, since an error raised through the task group would arrive wrapped in a group.
        try:
            return next(self._blocks, None), None
        except Exception as error:  # noqa: BLE001  # handed to the caller, who raises it
            return None, error

    def _release(self) -> Exception | None:
        try:
            try:
                self._blocks.close()
                if close := getattr(self._source, "close", None):
                    close()
            finally:
                self._close()
        except Exception as error:  # noqa: BLE001  # handed to the caller, who raises it or what came before
            return error
        return None


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _gathered(blocks: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Join small blocks: each costs a change of threads, and a chunk on the wire."""
    waiting: list[bytes] = []
    size = 0
    for block in blocks:
        waiting.append(block)
        size += len(block)
        if size >= _LEAST_BYTES:
            yield b"".join(waiting) if len(waiting) > 1 else block
            waiting, size = [], 0
    if size:
        yield b"".join(waiting)


def work_ahead(items: Generator[Item, None, None], *, idle: Item, seconds: float = IDLE_SECONDS) -> Generator[Item, None, None]:
    """Yield what comes, and ``idle`` whenever nothing comes for so long; the next item is made while one is sent.

    Closing it closes ``items``, as soon as the work on an item has ended.

    :param seconds: how long to wait before ``idle`` is yielded
    """
    with ThreadPoolExecutor(1, thread_name_prefix="sync-ahead") as thread:
        try:
            coming = thread.submit(next, items, None)
            while True:
                if not wait([coming], timeout=seconds).done:
                    yield idle
                    continue
                item = coming.result()
                if item is None:
                    return
                coming = thread.submit(next, items, None)
                yield item
        finally:
            # In line behind the work that may still be going on, since a generator that runs cannot be closed.
            thread.submit(items.close).result()


def attachment(file_name: str) -> str:
    """Return a ``Content-Disposition`` that names a file, in the form of existing servers: as UTF-8, unencoded.

    What would end the header or its quotes is replaced or escaped.
    """
    safe = "".join("_" if character < " " or character == "\x7f" else character for character in file_name)
    safe = safe.replace("\\", "\\\\").replace('"', '\\"')
    # Headers are Latin-1 on their way down; this makes the bytes on the wire those of UTF-8.
    return f'attachment; filename="{safe}"'.encode("utf-8", "replace").decode("latin-1")
