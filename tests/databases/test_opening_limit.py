"""A database server that takes a connection, and then is silent, keeps nobody waiting for ever, whatever the driver."""

from __future__ import annotations

import gc
import os
import re
import signal
import socket
from contextlib import ExitStack
from threading import Thread

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.cancellation import SyncCancelled, cancelled_by_signals
from airflow_provider_sync.databases import opening_limit
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConfigurationError, TransportError
from tests.silent_proxy import between

DRIVERS = ["mysqldb", "pymysql", "psycopg", "psycopg2"]


def _asks(data: bytes) -> bool:
    """Whether a client sends a statement: a Query or Parse of PostgreSQL, a COM_QUERY of MySQL."""
    return data[:1] in (b"Q", b"P") or data[3:5] == b"\x00\x03"


@pytest.fixture
def server_url(request: pytest.FixtureRequest, driver: str) -> str:
    """Give the URL of a database with the driver."""
    family, engine = ("postgresql", "postgresql") if driver.startswith("psycopg") else ("mysql", "mariadb")
    url = make_url(request.getfixturevalue(f"{engine}_url")).set(drivername=f"{family}+{driver}")
    return url.update_query_dict({"connect_timeout": "2"}).render_as_string(hide_password=False)


@pytest.mark.parametrize("driver", DRIVERS)
def test_silent_after_login(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is silent after the login is a transient error."""
    monkeypatch.setattr(opening_limit, "CONNECT_TIMEOUT_FACTOR", 0.2)
    with between(server_url, lambda data: not _asks(data)) as url:
        database = database_for(open_engine(url))
        with pytest.raises(TransportError, match=r"within 0\.4 seconds"), database.connect():
            pass


@pytest.mark.parametrize("driver", DRIVERS)
def test_silent_from_the_first_byte(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts a connection and sends nothing is a transient error."""
    monkeypatch.setattr(opening_limit, "CONNECT_TIMEOUT_FACTOR", 0.2)
    family = "postgresql" if driver.startswith("psycopg") else "mysql"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{family}+{driver}://u:p@127.0.0.1:{listener.getsockname()[1]}/shop?connect_timeout=2"
        with pytest.raises(TransportError, match="No answer from"), database_for(open_engine(url)).connect():
            pass


# Python's own create_connection leaves its socket to the garbage collector when a signal raises in it.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("driver", ["pymysql", "psycopg"])
def test_a_signal_ends_connecting(driver: str) -> None:
    """With a driver that connects in Python, a signal ends the wait for a silent server long before ``connect_timeout``."""
    family = "postgresql" if driver.startswith("psycopg") else "mysql"
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as accepted:

        def end() -> None:
            accepted.enter_context(listener.accept()[0])
            os.kill(os.getpid(), signal.SIGTERM)

        url = f"{family}+{driver}://u:p@127.0.0.1:{listener.getsockname()[1]}/shop?connect_timeout=100"
        database = database_for(open_engine(url))
        ending = Thread(target=end)
        ending.start()
        with pytest.raises(SyncCancelled), cancelled_by_signals(), database.connect():
            pass
        ending.join()
    gc.collect()


@pytest.mark.parametrize("driver", DRIVERS)
def test_open_sessions_have_no_limit(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open session may be silent for longer than the limit for opening."""
    monkeypatch.setattr(opening_limit, "CONNECT_TIMEOUT_FACTOR", 0.5)  # one second, in which a busy machine opens it, too
    pause = "SELECT pg_sleep(1.2)" if server_url.startswith("postgresql") else "SELECT SLEEP(1.2)"
    with database_for(open_engine(server_url)).connect() as connection:
        connection.exec_driver_sql(pause)
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_version_of_no_number(server_url: str) -> None:
    """A server with an unreadable version is named with that version, and not as an unexpected error."""

    def change(data: bytes) -> bytes:
        data = re.sub(rb"\d+\.\d+\.\d+-MariaDB", lambda found: b"?" * len(found[0]), data)
        return data.replace(b"PostgreSQL ", b"FoundationQ")

    with between(server_url, lambda data: True, change) as url:
        database = database_for(open_engine(url))
        with pytest.raises(ConfigurationError, match=r"\?{9}|Foundation"), database.connect():
            pass
