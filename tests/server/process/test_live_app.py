"""One application after the other in the place of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from airflow_provider_sync.server.process.live_app import LiveApp

Said = list[str]


def application(name: str, said: Said, go_on: asyncio.Event) -> Starlette:
    """Return an application that answers its name, once ``go_on`` is set."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if name == "broken":
            raise OSError("cannot start")
        said.append(f"{name} starts")
        yield
        said.append(f"{name} ends")

    async def answer(_request: Request) -> Response:
        await go_on.wait()
        return PlainTextResponse(name)

    return Starlette(routes=[Route("/", answer)], lifespan=lifespan)


async def ask(app: LiveApp) -> str:
    """Send a request, and return the body of the answer."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return str(sent[-1]["body"].decode())


def lived(test: Callable[[LiveApp, Said, asyncio.Event], Coroutine[Any, Any, None]]) -> Said:
    """Run a test between start and shutdown of an application ``first``, and return what was said."""
    said: Said = []

    async def live() -> None:
        messages: asyncio.Queue[Message] = asyncio.Queue()
        answers: asyncio.Queue[Message] = asyncio.Queue()
        go_on = asyncio.Event()
        app = LiveApp(application("first", said, go_on))
        life = asyncio.create_task(app({"type": "lifespan"}, messages.get, answers.put))
        await messages.put({"type": "lifespan.startup"})
        assert (await answers.get())["type"] == "lifespan.startup.complete"
        await test(app, said, go_on)
        await messages.put({"type": "lifespan.shutdown"})
        assert (await answers.get())["type"] == "lifespan.shutdown.complete"
        await life

    asyncio.run(live())
    return said


def test_requests_end_where_they_began() -> None:
    """The next application answers new requests; the old one is closed after its last request."""

    async def test(app: LiveApp, said: Said, go_on: asyncio.Event) -> None:
        running = asyncio.create_task(ask(app))
        await asyncio.sleep(0)
        await app.replace(application("second", said, go_on))
        later = asyncio.create_task(ask(app))
        await asyncio.sleep(0)
        assert said == ["first starts", "second starts"]
        go_on.set()
        assert (await running, await later) == ("first", "second")
        while "first ends" not in said:
            await asyncio.sleep(0)

    assert lived(test) == ["first starts", "second starts", "first ends", "second ends"]


def test_one_that_does_not_start() -> None:
    """If the new application does not start, the old one stays."""

    async def test(app: LiveApp, said: Said, go_on: asyncio.Event) -> None:
        with pytest.raises(OSError, match="cannot start"):
            await app.replace(application("broken", said, go_on))
        go_on.set()
        assert await ask(app) == "first"

    assert lived(test) == ["first starts", "first ends"]
