"""Connections to database servers are probed while they are silent, whatever the driver."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.keep_alive import IDLE_SECONDS
from airflow_provider_sync.databases.registry import database_for


@pytest.mark.parametrize("driver", ["mysqldb", "pymysql", "psycopg", "psycopg2"])
def test_silent_connections_are_probed(request: pytest.FixtureRequest, driver: str) -> None:
    """Keep-alives prevent a firewall from dropping an idle lock connection, and show a dead peer."""
    family, engine = ("postgresql", "postgresql") if driver.startswith("psycopg") else ("mysql", "mariadb")
    url = make_url(request.getfixturevalue(f"{engine}_url")).set(drivername=f"{family}+{driver}")
    database = database_for(open_engine(url.render_as_string(hide_password=False)))
    with database.connect() as connection:
        opened: Any = connection.connection.driver_connection
        number = opened.fileno() if hasattr(opened, "fileno") else opened._sock.fileno()
        with socket.socket(fileno=os.dup(number)) as peer:
            assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == IDLE_SECONDS
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_files_have_no_peer(sqlite_url: str) -> None:
    """A connection to a file is not changed."""
    with database_for(open_engine(sqlite_url)).connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
