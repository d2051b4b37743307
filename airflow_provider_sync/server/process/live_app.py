"""Replace the ASGI application of a running server when its configuration changes, while requests are active."""

from __future__ import annotations

import asyncio
import logging

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)


class LiveApp:
    """An ASGI application that passes each request to the current application; a request stays in the one where it began.

    :param app: the first application
    """

    def __init__(self, app: Starlette) -> None:
        self._current = _Generation(app)
        self._started: set[_Generation] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request, or handle the server's start and stop (lifespan)."""
        if scope["type"] != "lifespan":
            await self._current.answer(scope, receive, send)
            return
        await receive()
        await self._start(self._current)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for generation in self._started:
            generation.retire(at_once=True)
        await asyncio.gather(*(generation.ended() for generation in self._started))
        await send({"type": "lifespan.shutdown.complete"})

    async def replace(self, app: Starlette) -> None:
        """Start a new application, and pass it all requests from now on; the old one ends after its last request.

        If the new application does not start, its error is raised, and the old one stays in use.
        """
        new = _Generation(app)
        await self._start(new)
        old, self._current = self._current, new
        old.retire()
        self._started = {generation for generation in self._started if not generation.has_ended}

    async def _start(self, generation: _Generation) -> None:
        await generation.start()
        self._started.add(generation)


class _Generation:
    """One application, from its start until it is retired and its last request has ended."""

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._requests = 0
        self._retired = False
        self._done = asyncio.Event()

    async def start(self) -> None:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The same task enters and leaves the application's context, as its task groups require.
        self._life = asyncio.create_task(self._live(started))
        await started

    async def _live(self, started: asyncio.Future[None]) -> None:
        try:
            async with self._app.router.lifespan_context(self._app):
                started.set_result(None)
                await self._done.wait()
        except Exception as error:
            if started.done():
                log.exception("What a configuration had opened could not be closed")
            else:
                started.set_exception(error)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._end_if_idle()

    def retire(self, *, at_once: bool = False) -> None:
        """Close what the application has opened, after its last request or at once."""
        self._retired = True
        if at_once:
            self._done.set()
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._retired and not self._requests:
            self._done.set()

    @property
    def has_ended(self) -> bool:
        return self._life.done()

    async def ended(self) -> None:
        await self._life
