"""Detect poolers in front of PostgreSQL, such as pgbouncer, and whether each connection keeps one session.

In session mode, a client has one server from its first statement to its last. In transaction mode it has another one after
each transaction, and what belongs to the session (settings, temporary tables, advisory locks) stays behind with somebody else.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine

_TRIES = 4
"""How often to ask which server answers: a pooler takes the free ones in turn, or the one that was used last."""


class Pooler:
    """What is known about a database's pooler, found out once.

    :ivar found: whether there is one; ``None`` until the first connection was asked
    :ivar keeps_sessions: whether each connection through it is known to keep one session
    """

    def __init__(self) -> None:
        self.found: bool | None = None
        self.keeps_sessions = False


def behind_pooler(connection: Connection) -> bool:
    """Whether something between makes connections of its own to the server.

    The server tells each client the number of its process; a pooler has to tell its clients another one.
    """
    driver: Any = connection.connection.driver_connection
    return bool(_process(connection) != driver.info.backend_pid)


def keeps_sessions(engine: Engine, connection: Connection) -> bool:
    """Whether a connection behind a pooler always has the same server, and no other connection has it meanwhile.

    :param connection: outside any transaction
    """
    first = _process(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        for _ in range(_TRIES):
            # In transaction mode, the server of a connection that waits is free for the next that asks.
            if _process(other) == first or _process(connection) != first:
                return False
    return True


def _process(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
