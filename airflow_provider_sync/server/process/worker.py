"""One of several processes that answer on one socket, and what its parent tells it."""

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
    """Answer until SIGTERM, or until the parent ends.

    :param channel: to the parent
    :param places: that the workers share
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
    """Send a worker its next configuration; one that does not take it is a hanging one, which is replaced."""
    # Between a process and its own child: nobody else can write to the socket.
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
