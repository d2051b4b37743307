"""Connections that may say nothing for long: one that holds locks during a download, one whose server is at work.

Whatever stands between (a firewall, a load balancer) forgets a connection that is silent, after some minutes, and the end of a
peer that is gone is never told. TCP's own probes keep the one alive and notice the other; by default they begin after two hours.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

IDLE_SECONDS = 60
"""How long a connection is silent before the first probe."""

_PROBES = (("TCP_KEEPIDLE", IDLE_SECONDS), ("TCP_KEEPALIVE", IDLE_SECONDS), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""By the names of Linux and macOS, which have some each: the first probe, the next ones, and how many may go unanswered."""


def keep_alive(driver: Any) -> None:
    """Probe the connection of a driver, as far as its socket can be had; other than TCP ones need no probes.

    :param driver: a connection of mysqlclient, pymysql, psycopg or psycopg2; those to files have no socket
    """
    # The second is pymysql's.
    opened = driver if hasattr(driver, "fileno") else getattr(driver, "_sock", None)
    if opened is None:
        return
    with suppress(OSError), socket.socket(fileno=os.dup(opened.fileno())) as peer:
        if peer.family not in (socket.AF_INET, socket.AF_INET6):
            return
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES:
            if hasattr(socket, name):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
