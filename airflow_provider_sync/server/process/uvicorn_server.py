"""Run the application on a socket with uvicorn: in this process until a signal, or in a thread."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from threading import Event, Thread, current_thread, main_thread
from types import FrameType, TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette

from airflow_provider_sync import files
from airflow_provider_sync.config import ServerConfig, ServerLimits
from airflow_provider_sync.databases import connect
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.access.connection_limits import Connection, Connections
from airflow_provider_sync.server.active_requests import ActiveRequests
from airflow_provider_sync.server.app import create_app, normal_prefix
from airflow_provider_sync.server.request_heads import LOCAL_HOSTS
from airflow_provider_sync.server.sources import OpenEngine, OpenStorage
from airflow_provider_sync.server.streaming import is_broken_stream

log = logging.getLogger(__name__)

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765

SHUTDOWN_SECONDS = 30
"""Seconds that streams get to end once the server is told to stop; then they are ended."""

_CUT_SECONDS = 10
"""Seconds that ended requests get to cancel their statements; then the process exits."""

_BACKLOG = 128
"""Connections that the kernel queues for the server: a longer queue would use up descriptors before any can be closed."""

_DESCRIPTORS_OF_A_REQUEST = 70
"""File descriptors of one request: a database connection, or the files that it sends."""

_DESCRIPTORS_BESIDE = 100


def serve(
    config: ServerConfig,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    on_ready: Callable[[str], None] | None = None,
    open_engine: OpenEngine = connect.open_engine,
    open_storage: OpenStorage = files.open_storage,
) -> None:
    """Serve until SIGTERM or SIGINT, then return. Running streams get time to end; a second signal ends them at once.

    SIGHUP is logged and ignored: the configuration is read once.

    :param port: 0 for any free one
    :param on_ready: called with the URL when the server answers; the default prints one line with the URL
    :raises ConfigurationError: when other machines could reach a server without tokens, or the address cannot be used
    """
    with _listen(config, host, port) as listener, _signals_end_quietly():
        url = _url(listener, host)
        hosts = _hosts(config, host, listener)
        app = create_app(config, open_engine=open_engine, open_storage=open_storage, hosts=hosts)
        limits = config.limits
        _allow_descriptors(limits.connections + limits.requests * _DESCRIPTORS_OF_A_REQUEST + _DESCRIPTORS_BESIDE)
        started = partial(on_ready or _print_url, url)
        _Server(app, config.limits, on_started=started, shutdown_seconds=SHUTDOWN_SECONDS, ends_process=True).run([listener])


class RunningServer:
    """A server in a thread of its own, for the length of a ``with`` block; streams that run at its end are ended.

    :param port: 0 for any free one
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
        self._create_app = partial(create_app, config, open_engine=open_engine, open_storage=open_storage, prefix=prefix)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        host, port = self._address
        with ExitStack() as stack:
            listener = stack.enter_context(_listen(self._config, host, port))
            self.url = _url(listener, host, self._prefix)
            app = self._create_app(hosts=_hosts(self._config, host, listener))
            server = _Server(app, self._config.limits, on_started=self._ready.set, shutdown_seconds=1)
            thread = Thread(target=self._run, args=(server, listener), name="sync-server")
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.stop)
            self._ready.wait()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    def _run(self, server: _Server, listener: socket.socket) -> None:
        try:
            server.run([listener])
        finally:
            # Also after a failure, so that nobody waits for a server that will not start.
            self._ready.set()


class _Server(uvicorn.Server):
    """Uvicorn with this project's settings and limits.

    :param on_started: called when the server answers
    :param ends_process: exit the process when requests that were ended cannot be cancelled
    """

    def __init__(
        self,
        app: Starlette,
        limits: ServerLimits,
        *,
        on_started: Callable[[], None],
        shutdown_seconds: int,
        ends_process: bool = False,
    ) -> None:
        connections = Connections(limits)
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                # The one on httptools sends chunks to HTTP/1.0 clients, too, which do not know them.
                http=partial(Connection, connections=connections),  # type: ignore[arg-type]  # makes such a protocol
                ws="none",
                backlog=_BACKLOG,
                timeout_keep_alive=limits.idle_seconds,  # type: ignore[arg-type]  # the event loop takes any number
                timeout_graceful_shutdown=shutdown_seconds + _CUT_SECONDS,
            )
        )
        self._active_requests: ActiveRequests = app.state.active_requests
        self._connections = connections
        self._check_seconds = min(1.0, limits.head_seconds / 4)
        self._shutdown_seconds = shutdown_seconds
        self._on_started = on_started
        self._ends_process = ends_process
        self._cut_now = asyncio.Event()

    def stop(self) -> None:
        """Stop after the requests that are at work."""
        self.should_exit = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer on ``sockets`` until told to stop."""
        uvicorn_log = logging.getLogger("uvicorn.error")
        uvicorn_log.addFilter(_is_not_a_broken_stream)
        try:
            super().run(sockets)
        finally:
            uvicorn_log.removeFilter(_is_not_a_broken_stream)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer; called by uvicorn."""
        await super().startup(sockets)
        self._checking = asyncio.create_task(self._check_connections())
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for streams to end, and end those that take too long; called by uvicorn."""
        cutting = asyncio.create_task(self._cut_streams())
        await super().shutdown(sockets)
        cutting.cancel()
        self._checking.cancel()
        # Uvicorn cancels the tasks, but closes the event loop while connections of slow clients are still open.
        self._abort_connections()
        await self._wait_while(lambda: bool(self.server_state.connections or self.server_state.tasks))

    async def _wait_while(self, runs: Callable[[], bool]) -> None:
        """Wait while something runs; exit the process after :data:`_CUT_SECONDS`, if it is to end."""
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
        """Stop at the first signal, and end running requests at the second; called by uvicorn."""
        if self.should_exit:
            self._cut_now.set()
        super().handle_exit(signal.SIGTERM, frame)

    async def _check_connections(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._check_seconds)
            self._connections.check(loop.time())

    async def _cut_streams(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._cut_now.wait(), self._shutdown_seconds)
        self._active_requests.cut()
        await self._wait_while(lambda: bool(self.server_state.tasks))
        self._abort_connections()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


_NO_NEWS = ("Invalid HTTP request received.", "Unsupported upgrade request.", "No supported WebSocket library")
"""Format strings of uvicorn's log that anybody can trigger at will."""


def _is_not_a_broken_stream(record: logging.LogRecord) -> bool:
    # A stream that broke off was logged with its reason, and one that was ended at shutdown is no error.
    cut = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    # `airflow sync` would show uvicorn's lines about its start and end; the line with the URL is enough. Bytes that are not HTTP
    # are logged in `connection_limits`, with their address.
    return (
        record.levelno >= logging.WARNING
        and not cut
        and not is_broken_stream(record)
        and not str(record.msg).startswith(_NO_NEWS)
    )


def _ignore_hangup(_number: int, _frame: FrameType | None) -> None:
    log.warning("SIGHUP is ignored. Restart the server to have it read its configuration again.")


def _allow_descriptors(wanted: int) -> None:
    """Raise the limit of open files to ``wanted``, or as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _hosts(config: ServerConfig, host: str, listener: socket.socket) -> list[str] | None:
    """Return the ``Host`` names that a server without tokens accepts; ``None`` for all, where there are tokens."""
    return None if config.tokens else [*LOCAL_HOSTS, host, listener.getsockname()[0]]


def _listen(config: ServerConfig, host: str, port: int) -> socket.socket:
    if port not in range(65_536):
        raise ConfigurationError(f"Cannot listen on {host}:{port}: ports go from 1 to 65535. Give --port 0 for any free one.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        if not config.tokens and not ipaddress.ip_address(address[0]).is_loopback:
            raise ConfigurationError(
                f"Without tokens everybody who reaches {host or address[0]!r} could read the tables and files."
                f" Set tokens in the server's configuration, or listen on 127.0.0.1."
            )
        return socket.create_server((str(address[0]), port), family=family)
    except socket.gaierror as error:
        raise ConfigurationError(f"Cannot listen on {host}:{port}: {error.strerror}. Give an address of this machine.") from error
    except OSError as error:
        # The error's own text repeats the address.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {reason}. Give an address of this machine, and a free port, or 0 for any."
        ) from error


def _url(listener: socket.socket, host: str, prefix: str = "") -> str:
    address, port = listener.getsockname()[:2]
    name = host or address
    return f"http://{f'[{name}]' if ':' in name else name}:{port}{normal_prefix(prefix)}"


def _print_url(url: str) -> None:
    print(f"Serving at {url}", flush=True)  # noqa: T201  # whoever started the server waits for this line


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """Ignore the signals that uvicorn raises once more after it has stopped; ignore SIGHUP."""
    if current_thread() is not main_thread():
        yield
        return
    previous = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, _ignore_hangup)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
