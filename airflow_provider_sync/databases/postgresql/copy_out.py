"""COPY TO STDOUT through psycopg, by its wrapper of libpq.

The driver's own ``copy`` waits, and lets other threads run, before every row: in a process in which two threads read rows, or
one reads and one decodes, each row then waits for the other thread's turn. Here rows are taken as long as any have arrived.
"""

from __future__ import annotations

import select
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from psycopg import OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus

BLOCK_BYTES = 256 * 1024


def copy_out(driver: Any, statement: str) -> Generator[tuple[int, bytes], None, None]:
    """Stream what a query gives as blocks of whole lines in COPY's text format, with their number.

    A generator that is closed early cancels the query.

    :param driver: a connection of psycopg, in autocommit mode
    :param statement: the query, percent signs not doubled
    :raises psycopg.Error: as a cursor of the driver would
    """
    connection = driver.pgconn
    ended = False
    try:
        connection.send_query(f"COPY ({statement}) TO STDOUT".encode())
        while connection.flush():
            # The server may have something to say before it has read everything.
            if _wait(connection, select.POLLIN | select.POLLOUT) & select.POLLIN:
                connection.consume_input()
        _check(driver, _result(connection), ExecStatus.COPY_OUT)
        yield from _blocks(connection)
        _check(driver, _result(connection), ExecStatus.COMMAND_OK)
        ended = True
    finally:
        if not ended and connection.status == ConnStatus.OK:
            driver.cancel()
        # Nothing can be asked over this connection before everything was read; the error, if there is one, is on its way.
        with suppress(OperationalError):
            _read_to_the_end(connection)


def _blocks(connection: Any) -> Generator[tuple[int, bytes], None, None]:
    # Collected as bytes: thousands of rows that are objects have Python look for garbage all the time.
    lines = bytearray()
    rows = 0
    while True:
        length, line = connection.get_copy_data(1)
        if length > 0:
            lines += line
            rows += 1
            if len(lines) >= BLOCK_BYTES:
                yield rows, bytes(lines)
                lines.clear()
                rows = 0
        elif length == 0:
            _wait(connection, select.POLLIN)
            connection.consume_input()
        else:
            break
    if lines:
        yield rows, bytes(lines)


def _result(connection: Any) -> Any:
    """Wait for the next result; ``None`` when there is none left."""
    while connection.is_busy():
        _wait(connection, select.POLLIN)
        connection.consume_input()
    return connection.get_result()


def _check(driver: Any, result: Any, status: ExecStatus) -> None:
    if result is None or result.status != status:
        raise error_from_result(result, driver.info.encoding) if result else OperationalError("the connection was lost")


def _read_to_the_end(connection: Any) -> None:
    while connection.status == ConnStatus.OK and (result := _result(connection)) is not None:
        if result.status == ExecStatus.COPY_OUT:
            for _ in _blocks(connection):
                pass


def _wait(connection: Any, events: int) -> int:
    """Wait until something can be read or written; let other threads run meanwhile."""
    poll = select.poll()
    poll.register(connection.socket, events)
    return poll.poll()[0][1]
