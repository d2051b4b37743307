"""Detect poolers in front of PostgreSQL, such as pgbouncer, and whether each connection keeps one session.

In session mode, a client keeps one server connection until it disconnects. In transaction mode it may get another one for each
transaction, and its session state (settings, temporary tables, advisory locks) is left to another client.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine

_TRIES = 4
"""How often to check which server process answers: a pooler uses free ones in turn, or the last used one."""


class Pooler:
    """Cached facts about a database's pooler.

    :ivar found: whether there is a pooler; ``None`` until the first connection was checked
    :ivar keeps_sessions: whether each connection through it was found to keep one session
    """

    def __init__(self) -> None:
        self.found: bool | None = None
        self.keeps_sessions = False


def behind_pooler(connection: Connection) -> bool:
    """Whether there is a pooler between client and server.

    The server sends each client its process number; a pooler has to send its clients another one.
    """
    driver: Any = connection.connection.driver_connection
    return bool(_process(connection) != driver.info.backend_pid)


def keeps_sessions(engine: Engine, connection: Connection) -> bool:
    """Whether a connection behind a pooler keeps the same server process, which no other connection uses.

    :param connection: outside any transaction
    """
    first = _process(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        for _ in range(_TRIES):
            # In transaction mode, the server process of an idle connection serves the next client.
            if _process(other) == first or _process(connection) != first:
                return False
    return True


def _process(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
