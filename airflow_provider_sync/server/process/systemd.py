"""Notify systemd of the service's state (``Type=notify``) with one datagram for each message; see sd_notify(3).

Without ``NOTIFY_SOCKET`` in the environment, which systemd sets, nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Systemd:
    """The notifications of one process; a message that cannot be sent is dropped.

    :param environment: environment of the process
    :ivar watchdog_seconds: seconds without :meth:`alive` after which systemd ends the service; ``None`` without a watchdog
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An address that begins with @ has no file (Linux).
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_seconds = _watchdog_seconds(environment)

    def ready(self) -> None:
        """Report that the server is ready, also after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Report that the configuration is being reloaded, until :meth:`ready` is called."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Report that the server is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Report that the server is alive, for the watchdog."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(f"STATUS={' '.join(text.split())}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(), self._address)


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    # A shell in between would pass on variables that are not for this process.
    if not microseconds.isdigit() or int(microseconds) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
