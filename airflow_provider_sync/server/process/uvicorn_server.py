"""Serve a socket with uvicorn, within this project's limits, until stopped; also in a thread."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from threading import Event, Thread
from types import FrameType, TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette

from airflow_provider_sync import files
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases import connect
from airflow_provider_sync.server.access.shared_places import SharedPlaces
from airflow_provider_sync.server.app import create_app
from airflow_provider_sync.server.process.connection_limits import Connection, Connections
from airflow_provider_sync.server.process.listening import DEFAULT_HOST, accepted_hosts, allow_descriptors, listen, url_of
from airflow_provider_sync.server.process.live_app import LiveApp
from airflow_provider_sync.server.process.process_state import ProcessState
from airflow_provider_sync.server.process.tls import tls_context
from airflow_provider_sync.server.process.tls_connection import TLSConnection
from airflow_provider_sync.server.sources import OpenEngine, OpenStorage
from airflow_provider_sync.server.streaming import is_broken_stream

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 30
"""Seconds for streams to end after the server was asked to stop; then they are cut off."""

_CUT_SECONDS = 10
"""Seconds for cut-off requests to cancel their statements; then the process exits."""

_BACKLOG = 128
"""Connections that the kernel queues for the server: a longer queue would use up descriptors before any can be closed."""

_SHARED_BURST = 4
"""Connections that one of several processes accepts at a time, so that it does not take all waiting ones."""

MakeApp = Callable[[ServerConfig, ProcessState], Starlette]


class RunningServer:
    """A server in a separate thread, for the duration of a ``with`` block; streams that are open at its end are cut off.

    :param port: 0 for any free port
    :ivar url: base URL for clients
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        host: str = DEFAULT_HOST,
        port: int = 0,
        open_engine: OpenEngine = connect.open_engine,
        open_storage: OpenStorage = files.open_storage,
        prefix: str = "",
    ) -> None:
        self.url = ""
        self._config = config
        self._address = (host, port)
        self._prefix = prefix
        self._ready = Event()
        self._create_app = partial(create_app, open_engine=open_engine, open_storage=open_storage, prefix=prefix)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        host, port = self._address
        with ExitStack() as stack:
            listener = stack.enter_context(listen(self._config, host, port))
            self.url = url_of(self._config, listener, host, self._prefix)

            def make_app(config: ServerConfig, state: ProcessState) -> Starlette:
                return self._create_app(config, state=state, hosts=accepted_hosts(config, host, listener))

            server = UvicornServer(self._config, make_app, on_started=self._ready.set, shutdown_seconds=1)
            thread = Thread(target=self._run, args=(server, listener), name="sync-server")
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.stop)
            self._ready.wait()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    def _run(self, server: UvicornServer, listener: socket.socket) -> None:
        try:
            server.run([listener])
        finally:
            # Also after a failure, so that the caller does not wait for a server that will not start.
            self._ready.set()


class UvicornServer(uvicorn.Server):
    """Uvicorn with this project's settings and limits, and a configuration that can be replaced.

    :param make_app: makes the application of a configuration
    :param on_started: called when the server answers
    :param on_stopping: called when the server is asked to stop
    :param attending: coroutines that run as long as the server does
    :param shared: what this server shares with other processes that answer on the same socket; ``None`` if it is the only one
    :param ends_process: whether to exit the process if cut-off requests cannot be cancelled
    :raises ConfigurationError: if the files of ``tls`` cannot be used
    """

    def __init__(
        self,
        config: ServerConfig,
        make_app: MakeApp,
        *,
        on_started: Callable[[], None],
        on_stopping: Callable[[], None] = lambda: None,
        attending: Sequence[Callable[[UvicornServer], Coroutine[Any, Any, None]]] = (),
        shutdown_seconds: int,
        shared: SharedPlaces | None = None,
        ends_process: bool = False,
    ) -> None:
        limits = config.limits
        self._served = config
        self._make_app = make_app
        self._state = ProcessState.begin(limits, shared)
        self._live = LiveApp(make_app(config, self._state))
        self._tls = None if config.tls is None else tls_context(config.tls)
        self._connections = Connections(limits)
        super().__init__(
            uvicorn.Config(
                self._live,
                log_config=None,
                access_log=False,
                server_header=False,
                # Uvicorn's protocol based on httptools sends chunks even to HTTP/1.0 clients, which do not support them.
                http=self._protocol(),  # type: ignore[arg-type]  # makes such a protocol
                ws="none",
                # uvloop reads from a connection as soon as it is opened, before TLS is set up.
                loop="auto" if config.tls is None else "asyncio",
                # A failing start must be an error; uvicorn's default would hide it.
                lifespan="on",
                backlog=_BACKLOG if shared is None else _SHARED_BURST,
                timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # the event loop takes any number
                timeout_graceful_shutdown=shutdown_seconds + _CUT_SECONDS,
            )
        )
        self._shutdown_seconds = shutdown_seconds
        self._on_started = on_started
        self._on_stopping = on_stopping
        self._attending = (_check_connections, *attending)
        self._ends_process = ends_process
        self._cut_now = asyncio.Event()

    def _protocol(self) -> Callable[..., Connection]:
        if self._served.tls is None:
            return partial(Connection, connections=self._connections)
        return partial(TLSConnection, connections=self._connections, context=self._tls_context)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            raise RuntimeError("A configuration with tls was replaced by one without.")
        return self._tls

    def stop(self) -> None:
        """Stop after the active requests have ended."""
        self.should_exit = True

    async def adopt(self, config: ServerConfig) -> None:
        """Use a new configuration from now on; active requests keep the one with which they began.

        The files of ``tls`` are read again, even if the configuration is the same. If clients need certificates, open connections
        are closed, so that clients show them again.

        :raises SyncError: if it cannot be used; the old one stays in use
        """
        tls = None if config.tls is None else tls_context(config.tls)
        if config != self._served:
            # In a thread, since it opens the cache of digests.
            await self._live.replace(await asyncio.to_thread(self._make_app, config, self._state))
            allow_descriptors(config.limits)
        self._tls = tls
        if config.tls is not None and config.tls.client_authorities is not None:
            # A client may have connected with a certificate that is not accepted any more.
            self._connections.close()
        self._served = config
        self._state.active_requests.adopt(config.limits)
        self._connections.adopt(config.limits)
        self.config.timeout_keep_alive = config.limits.idle_seconds  # type: ignore[assignment]  # as above

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve ``sockets`` until asked to stop."""
        uvicorn_log = logging.getLogger("uvicorn.error")
        uvicorn_log.addFilter(_is_not_a_broken_stream)
        try:
            super().run(sockets)
        finally:
            uvicorn_log.removeFilter(_is_not_a_broken_stream)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer; called by uvicorn."""
        await super().startup(sockets)
        for listener in sockets or ():
            # Asyncio uses one number for the kernel's queue and for the connections accepted at a time.
            listener.listen(_BACKLOG)
        self._attendants = [asyncio.create_task(attend(self)) for attend in self._attending]
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for streams to end, and cut off those that take too long; called by uvicorn."""
        self._on_stopping()
        cutting = asyncio.create_task(self._cut_streams())
        await super().shutdown(sockets)
        cutting.cancel()
        for attendant in self._attendants:
            attendant.cancel()
        # Uvicorn cancels the tasks, but closes the event loop while connections of slow clients are still open.
        self._abort_connections()
        await self._wait_while(lambda: bool(self.server_state.connections or self.server_state.tasks))

    async def _wait_while(self, runs: Callable[[], bool]) -> None:
        """Wait while ``runs`` is true; after :data:`_CUT_SECONDS`, exit the process if ``ends_process`` is set."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _CUT_SECONDS
        while runs():
            if self._ends_process and loop.time() > until:
                self._end_process()
            await asyncio.sleep(0.01)

    def _end_process(self) -> None:
        # A normal exit would wait for threads that may hang, on a disk or on a database that does not answer.
        log.warning(
            "Requests that could not be cancelled within %d seconds: %d. The server ends without them.",
            _CUT_SECONDS,
            len(self.server_state.tasks),
        )
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal, and cut off active requests at the second; called by uvicorn."""
        if self.should_exit:
            self._cut_now.set()
        super().handle_exit(signal.SIGTERM, frame)

    async def check_connections(self) -> None:
        """Apply the time limits of connections, from time to time."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._served.limits.head_seconds / 4))
            self._connections.check(loop.time())

    async def _cut_streams(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._cut_now.wait(), self._shutdown_seconds)
        self._state.active_requests.cut()
        await self._wait_while(lambda: bool(self.server_state.tasks))
        self._abort_connections()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


async def _check_connections(server: UvicornServer) -> None:
    await server.check_connections()


_NO_NEWS = ("Invalid HTTP request received.", "Unsupported upgrade request.", "No supported WebSocket library")
"""Format strings of uvicorn's log messages that any client can trigger."""


def _is_not_a_broken_stream(record: logging.LogRecord) -> bool:
    # A broken stream was already logged with its reason, and one cut off at shutdown is no error.
    cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    # `airflow sync` would show uvicorn's lines about its start and end; the line with the URL is enough. Bytes that are not HTTP
    # are logged in `connection_limits`, with their address.
    return (
        record.levelno >= logging.WARNING
        and not cut
        and not is_broken_stream(record)
        and not str(record.msg).startswith(_NO_NEWS)
    )
