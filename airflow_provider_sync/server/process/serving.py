"""Run the server in this process, or in several, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import current_thread, main_thread
from types import FrameType

from starlette.applications import Starlette

from airflow_provider_sync import files
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases import connect
from airflow_provider_sync.server.app import create_app
from airflow_provider_sync.server.process.config_source import CHECK_SECONDS, ConfigSource
from airflow_provider_sync.server.process.listening import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    accepted_hosts,
    allow_descriptors,
    check_reach,
    listen,
    url_of,
)
from airflow_provider_sync.server.process.process_state import ProcessState
from airflow_provider_sync.server.process.supervisor import serve_with_workers
from airflow_provider_sync.server.process.systemd import Systemd
from airflow_provider_sync.server.process.tls import tls_context
from airflow_provider_sync.server.process.uvicorn_server import SHUTDOWN_SECONDS, UvicornServer
from airflow_provider_sync.server.sources import OpenEngine, OpenStorage

log = logging.getLogger(__name__)


def serve(
    config: ServerConfig,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    on_ready: Callable[[str], None] | None = None,
    open_engine: OpenEngine = connect.open_engine,
    open_storage: OpenStorage = files.open_storage,
    reread: Callable[[], ServerConfig] | None = None,
    watch: Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return. Running streams get time to end; a second signal ends them at once.

    SIGHUP reloads the configuration, which applies to requests that begin afterwards. If it is invalid, the current one stays in
    use. Certificates are also reloaded when their files change.

    :param port: 0 for any free port
    :param on_ready: called with the URL when the server answers; the default prints one line with the URL
    :param reread: reads the configuration again
    :param watch: file of the configuration, to reload it when it changes
    :raises ConfigurationError: if other machines could reach a server without tokens, or the address or a file of ``tls`` cannot
        be used
    """
    systemd = Systemd()
    with listen(config, host, port) as listener:
        # Determined now, since a stopping server closes its socket while a reload may still be running.
        address = listener.getsockname()[0]

        def check(config: ServerConfig) -> None:
            check_reach(config, host, address)

        def make_app(config: ServerConfig, state: ProcessState) -> Starlette:
            hosts = accepted_hosts(config, host, listener)
            return create_app(config, open_engine=open_engine, open_storage=open_storage, hosts=hosts, state=state)

        answering: list[bool] = []

        def started() -> None:
            answering.append(True)
            (on_ready or _print_url)(url_of(config, listener, host))
            systemd.ready()

        if config.tls is not None:
            # Checked here, before any worker could end with this error.
            tls_context(config.tls)
        source = ConfigSource(config, reread or (lambda: config), check, watch)
        allow_descriptors(config.limits)
        with _signals_end_quietly(source.request_reload, lambda: bool(answering)):
            if config.workers > 1:
                serve_with_workers(source, listener, make_app, on_started=started, systemd=systemd)
                return
            UvicornServer(
                config,
                make_app,
                on_started=started,
                on_stopping=systemd.stopping,
                attending=[partial(_keep_reloading, source, systemd), partial(_keep_alive, systemd)],
                shutdown_seconds=SHUTDOWN_SECONDS,
                ends_process=True,
            ).run([listener])


async def _keep_reloading(source: ConfigSource, systemd: Systemd, server: UvicornServer) -> None:
    """Reload a server's configuration whenever that is requested or a file changes."""
    while not server.should_exit:
        await asyncio.sleep(CHECK_SECONDS)
        if source.wants_reload():
            systemd.reloading()
            await _reload(source, server)
            systemd.ready()


async def _reload(source: ConfigSource, server: UvicornServer) -> None:
    # In a thread, since it reads files.
    config = await asyncio.to_thread(source.next)
    if config is None or server.should_exit:
        return
    try:
        await server.adopt(config)
    except Exception as error:  # noqa: BLE001  # whatever it is, the server goes on with what it has
        source.refused(error)
    else:
        log.info("The %s was read again, and is in use.", "certificate" if config is source.config else "configuration")
        source.use(config)


async def _keep_alive(systemd: Systemd, _server: UvicornServer) -> None:
    """Notify the watchdog from the event loop, since a hanging event loop answers no request."""
    while systemd.watchdog_seconds is not None:
        systemd.alive()
        await asyncio.sleep(systemd.watchdog_seconds / 3)


def _print_url(url: str) -> None:
    print(f"Serving at {url}", flush=True)  # noqa: T201  # the program that starts the server waits for this line


@contextmanager
def _signals_end_quietly(hang_up: Callable[[], None], has_started: Callable[[], bool]) -> Iterator[None]:
    """End the process at a signal that comes before the server has its own handlers; ignore those that uvicorn raises once more.

    :param hang_up: called at SIGHUP
    :param has_started: whether the server has answered, so that a signal that arrives here was already obeyed
    """
    if current_thread() is not main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        if not has_started():
            sys.exit(0)

    previous = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: hang_up())
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
