"""Cancel the statement of a connection through its driver, which opens a second one, without waiting for ever.

Drivers block the whole process while they wait for a server that hangs (``PQcancel`` of libpq, which does not let other threads
run). From libpq 17 on, psycopg 3 can cancel without blocking. With other drivers the server must answer a first question, before
the driver may ask it.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from airflow_provider_sync import escalation
from airflow_provider_sync.databases.postgresql.errors import DRIVER_ERRORS

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""Asks whether the server encrypts: each server and pooler answers it by one byte, and logs nothing."""


OWN_SECONDS = 1.0
"""Seconds for psycopg to cancel by itself, in the main thread, after a :func:`cancel_request` that had two seconds."""


def cancel_request(driver: Any, seconds: float | None = None) -> Callable[[], bool]:
    """Return a function that cancels the statement of a connection; it may be closed when the function is called.

    The function returns whether the server took the request in time.

    :param driver: an open connection of psycopg or psycopg2
    :param seconds: time for the server to take the request; :data:`.PATIENCE_SECONDS` by default
    """
    address = None if cancels_without_blocking(driver) else _address(driver)

    def cancel() -> bool:
        if driver.closed:
            return False
        # Ignore the error of a connection that was closed in between, and of a server that takes no connections.
        with suppress(*DRIVER_ERRORS):
            if address is None:
                type(driver).cancel_safe(driver, timeout=seconds or escalation.PATIENCE_SECONDS)
                return True
            if _answers(address, seconds or escalation.PATIENCE_SECONDS):
                type(driver).cancel(driver)
                return True
        return False

    return cancel


def cancels_without_blocking(driver: Any) -> bool:
    """Whether other threads can run while the driver cancels."""
    if not hasattr(driver, "cancel_safe"):
        return False
    from psycopg import capabilities

    return bool(capabilities.has_cancel_safe())


def never_block(driver: Any) -> None:
    """Have psycopg cancel in the same way, and only briefly, when it is interrupted in the main thread: it calls its own method.

    Otherwise it would wait for five seconds, after which Airflow kills a task.

    :param driver: a connection of psycopg or psycopg2
    """
    # A connection of psycopg2 cancels nothing by itself, and has no attributes of its own.
    if hasattr(driver, "cancel_safe"):
        request = cancel_request(driver, OWN_SECONDS)

        def cancel_safe(*, timeout: float = OWN_SECONDS) -> None:
            request()

        driver.cancel_safe = cancel_safe


def _address(driver: Any) -> tuple[int, Any]:
    """Return the family and the address of the server's end of a connection."""
    with socket.socket(fileno=os.dup(driver.fileno())) as opened:
        return opened.family, opened.getpeername()


def _answers(address: tuple[int, Any], seconds: float) -> bool:
    with suppress(OSError), socket.socket(address[0]) as asked:
        asked.settimeout(seconds)
        asked.connect(address[1])
        asked.sendall(_SSL_REQUEST)
        return bool(asked.recv(1))
    return False
