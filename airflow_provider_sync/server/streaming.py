"""Stream a response body that threads produce piece by piece; drop the connection if the body cannot be completed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS
from airflow_provider_sync.protocol.v2.stream import Block, choose_compression, media_type
from airflow_provider_sync.server.active_requests import ActiveRequest, ClientGone
from airflow_provider_sync.server.error_answers import failure_of, log_cause, logged_text, traceback_of
from airflow_provider_sync.server.http_errors import RequestEnded
from airflow_provider_sync.server.read_ahead import read_ahead
from airflow_provider_sync.server.stall_limit import StallLimit

log = logging.getLogger(__name__)

_LEAST_BYTES = 64 * 1024
_PIECE_BYTES = 320 * 1024
"""Bytes sent at a time: a little more than a message about tables. A stalled client may keep that many in memory."""

_LARGE_PIECE_BYTES = 1088 * 1024
"""Bytes sent at a time to a client that keeps up: a little more than a group of file contents. Joining a message from several
pieces would cost the client more CPU than everything else that it does with the message."""

_QUICK_SECONDS = 1.0
"""Maximum time, in seconds, that a client may take for a piece to count as keeping up."""

IDLE_SECONDS = 15.0
"""Seconds without data after which a stream sends a keep-alive; clients give up after a minute by default."""

Item = TypeVar("Item")


class StreamBroken(Exception):
    """A body could not be completed after its beginning was sent.

    The exception leaves the application, so that the server drops the connection, from which the client learns of the failure.
    """


def is_broken_stream(record: logging.LogRecord) -> bool:
    """Tell whether a log record only repeats a broken stream that was already logged with its reason."""
    error = record.exc_info[1] if record.exc_info else None
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return isinstance(error, StreamBroken)


class StreamResponse(Response):
    """Sends blocks as they are made, with one of them in memory at a time.

    Blocks are made in worker threads. At the end, after an error, and when the client disconnects, the iterator is closed first,
    and then ``close`` is called, both in a worker thread. An error before the first block is raised unchanged, to become an error
    response.

    :param blocks: the body
    :param close: releases the resources that the iterator reads from; with ``ahead`` it may be called twice
    :param what: the kind of content, for the log
    :param active: the current request
    :param at_once: whether to send each block as soon as it is made, instead of joining small ones
    :param ahead: whether to make all blocks as fast as possible, and to call ``close`` then, whatever the pace of the client
    """

    def __init__(
        self,
        blocks: Iterator[Block],
        *,
        what: str,
        active: ActiveRequest,
        close: Callable[[], None] = lambda: None,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/octet-stream",
        at_once: bool = False,
        ahead: bool = False,
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        # The length is unknown; without the header, the server sends the body in chunks.
        del self.headers["content-length"]
        if ahead:
            blocks = read_ahead(blocks, close)
        self._source = blocks
        self._blocks = (block for block in blocks) if at_once else _gathered(blocks)
        self._what = what
        self._active = active
        self._close = close
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; called by the framework.

        :raises ClientGone: if the client disconnected
        :raises StreamBroken: if the body could not be completed; an error before its first byte is raised unchanged
        """
        try:
            await self._active.attend(receive, partial(self._send, send))
        except BaseException as error:
            # Errors of the clean-up follow from the first error, which is the one that is reported.
            with suppress(Exception):
                await self._active.release(self._release)
            if self._begun and isinstance(error, Exception) and not isinstance(error, ClientGone):
                raise self._broken(error) from error
            raise
        with anyio.CancelScope(shield=True):
            await self._active.in_thread(self._release)

    def _broken(self, error: Exception) -> StreamBroken:
        """Log why a body could not be completed, and return the exception that drops the connection."""
        self._active.account.failed(error)
        if isinstance(error, RequestEnded):
            log.warning("%s ended early: %s", self._what, error)
        else:
            log.error("%s broke off: %s", self._what, logged_text(error), exc_info=traceback_of(error))
            log_cause(self._what, error)
        return StreamBroken(f"{self._what} broke off: {error}")

    async def _send(self, send: Send) -> None:
        block = await self._active.in_thread(self._next)
        self._begun = True
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        stall_limit = StallLimit(self._active.limits)
        sent, size = 0, _PIECE_BYTES
        while block is not None:
            # In pieces, because a stalled client is only noticed between two pieces.
            rest = memoryview(block)
            while rest:
                piece, rest = rest[:size], rest[size:]
                seconds = await self._deliver(send, piece, stall_limit, sent)
                size = _LARGE_PIECE_BYTES if seconds < _QUICK_SECONDS else _PIECE_BYTES
                # Larger pieces do not allow longer stalls.
                sent = min(len(piece), _PIECE_BYTES)
            block = await self._active.in_thread(self._next)
        await self._deliver(send, b"", stall_limit, sent, more=False)

    async def _deliver(
        self, send: Send, block: bytes | memoryview, stall_limit: StallLimit, before: int, *, more: bool = True
    ) -> float:
        """Send a block; this waits until the client has taken most of the ``before`` bytes of the previous one.

        :return: the seconds that this took
        """
        began = anyio.current_time()
        with anyio.move_on_after(stall_limit.allowed(before)) as waiting:
            await send({"type": "http.response.body", "body": block, "more_body": more})
        if waiting.cancelled_caught:
            limits = self._active.limits
            raise RequestEnded(
                f"The client took nothing for {limits.stall_seconds:g} seconds, or less than {limits.min_bytes_per_second}"
                " bytes a second (limits.stall_seconds, limits.min_bytes_per_second)."
            )
        seconds = anyio.current_time() - began
        stall_limit.took(seconds, before)
        return seconds

    def _next(self) -> Block | None:
        return next(self._blocks, None)

    def _release(self) -> None:
        try:
            self._blocks.close()
            if close := getattr(self._source, "close", None):
                close()
        finally:
            self._close()


def stream_messages(
    write: Callable[..., Iterator[Block]],
    messages: Generator[object, None, None],
    accept: str,
    active: ActiveRequest,
    *,
    what: str,
    compressions: Sequence[str] = COMPRESSIONS,
    close: Callable[[], None] = lambda: None,
    ahead: bool = False,
) -> StreamResponse:
    """Respond with a stream of version 2 messages; an error before the first message becomes an error response.

    :param write: frames and compresses them, as :func:`.write_messages` does
    :param messages: the messages; closed at the end, in a worker thread
    :param accept: ``Accept`` header of the request
    :param what: the kind of content, for the log
    :param compressions: the allowed compressions
    :param close: called after ``messages`` were closed, whatever happens; with ``ahead`` it may be called again
    :param ahead: see :class:`StreamResponse`
    """
    compression = choose_compression(accept, compressions)

    def release() -> None:
        try:
            messages.close()
        finally:
            close()

    return StreamResponse(
        write(messages, compression, explain=failure_of(what, active)),
        what=what,
        active=active,
        close=release,
        # Keep proxies from compressing a stream again, and nginx from buffering it.
        headers={"Content-Encoding": "identity", "X-Accel-Buffering": "no"},
        media_type=media_type(compression),
        at_once=True,
        ahead=ahead,
    )


def _gathered(blocks: Iterator[Block]) -> Generator[Block, None, None]:
    """Join small blocks, since each block costs a change of threads and a chunk on the wire."""
    waiting: list[Block] = []
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
    """Yield the items, each made while the previous one is sent; yield ``idle`` whenever the next one takes too long.

    Closing this generator closes ``items`` after the item that is being made.

    :param seconds: seconds to wait for an item before ``idle`` is yielded
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
            # Queued after the item that may still be in progress, since a running generator cannot be closed.
            thread.submit(items.close).result()


def attachment(file_name: str) -> str:
    """Return a ``Content-Disposition`` that names a file, in the form of existing servers: as UTF-8, unencoded.

    Control characters are replaced; quotes and backslashes are escaped.
    """
    safe = "".join("_" if character < " " or character == "\x7f" else character for character in file_name)
    safe = safe.replace("\\", "\\\\").replace('"', '\\"')
    # Headers are Latin-1 on their way down; this makes the bytes on the wire those of UTF-8.
    return f'attachment; filename="{safe}"'.encode("utf-8", "replace").decode("latin-1")
