"""Switch on TCP keep-alive for connections with long idle times, such as one that holds locks during a download.

A firewall or load balancer drops an idle connection after some minutes without telling either end. TCP keep-alive probes
prevent that, and detect a dead connection; by default they begin only after two hours.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

from airflow_provider_sync.databases.connection_socket import socket_of

IDLE_SECONDS = 60
"""Idle seconds before the first probe."""

_PROBES = (("TCP_KEEPIDLE", IDLE_SECONDS), ("TCP_KEEPALIVE", IDLE_SECONDS), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""Socket options of Linux and macOS: time before the first probe, time between probes, number of unanswered probes."""


def keep_alive(driver: Any) -> None:
    """Switch TCP keep-alive on for a driver's connection, if its socket is accessible and a TCP socket.

    :param driver: a connection of mysqlclient, pymysql, psycopg or psycopg2; a database in a file has no socket
    """
    number = socket_of(driver)
    if number is None:
        return
    with suppress(OSError), socket.socket(fileno=os.dup(number)) as peer:
        if peer.family not in (socket.AF_INET, socket.AF_INET6):
            return
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES:
            if hasattr(socket, name):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
