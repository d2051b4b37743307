"""One of several worker processes that serve one socket, and the messages between it and its parent."""

from __future__ import annotations

import asyncio
import logging
import pickle
import socket
import struct
from contextlib import suppress
from functools import partial

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.access.shared_places import SharedPlaces
from airflow_provider_sync.server.process.uvicorn_server import SHUTDOWN_SECONDS, MakeApp, UvicornServer

log = logging.getLogger(__name__)

ALIVE_SECONDS = 1.0
"""Seconds between two signs of life."""

_SEND_SECONDS = 5.0
_LENGTH = struct.Struct("!I")


def work(config: ServerConfig, listener: socket.socket, channel: socket.socket, make_app: MakeApp, places: SharedPlaces) -> None:
    """Serve until SIGTERM, or until the parent ends.

    :param channel: the socket to the parent
    :param places: places shared by the workers
    """
    server = UvicornServer(
        config,
        make_app,
        on_started=lambda: None,
        attending=[partial(_say_alive, channel), partial(_take_configs, channel)],
        shutdown_seconds=SHUTDOWN_SECONDS,
        shared=places,
        ends_process=True,
    )
    server.run([listener])


def send_config(channel: socket.socket, config: ServerConfig) -> None:
    """Send a worker its next configuration; a worker that does not read it hangs, and is replaced."""
    # Pickle is safe here: only a process and its own child have the socket.
    content = pickle.dumps(config)
    channel.settimeout(_SEND_SECONDS)
    try:
        channel.sendall(_LENGTH.pack(len(content)) + content)
    except OSError as error:
        log.warning("A worker did not take the new configuration: %s", error)
    finally:
        channel.setblocking(False)


async def _say_alive(channel: socket.socket, _server: UvicornServer) -> None:
    channel.setblocking(False)
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):  # the parent's end is noticed below
        while True:
            await loop.sock_sendall(channel, b".")
            await asyncio.sleep(ALIVE_SECONDS)


async def _take_configs(channel: socket.socket, server: UvicornServer) -> None:
    reader, _ = await asyncio.open_connection(sock=channel.dup())
    while True:
        try:
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            content = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            log.warning("The parent of this worker has ended; it ends, too.")
            server.stop()
            return
        try:
            await server.adopt(pickle.loads(content))  # noqa: S301  # from the parent process
        except Exception:
            log.exception("A worker could not use the new configuration, and ends")
            server.stop()
