"""Run COPY TO STDOUT with psycopg's wrapper of libpq.

The driver's own ``copy`` releases the GIL before every row, so in a process with two busy threads each row waits for the other
thread. This module reads all rows that have arrived before it waits.
"""

from __future__ import annotations

import select
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from psycopg import OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus

from airflow_provider_sync.databases.postgresql.cancel import cancel_request

BLOCK_BYTES = 256 * 1024


def copy_out(driver: Any, statement: str) -> Generator[tuple[int, bytes], None, None]:
    """Stream a query's result as blocks of whole lines in COPY's text format, each with its number of lines.

    Closing the generator early cancels the query.

    :param driver: a connection of psycopg, in autocommit mode
    :param statement: the query, percent signs not doubled
    :raises psycopg.Error: as a cursor of the driver would
    """
    connection = driver.pgconn
    ended = False
    try:
        connection.send_query(f"COPY ({statement}) TO STDOUT".encode())
        while connection.flush():
            # The server may answer before it has read everything.
            if _wait(connection, select.POLLIN | select.POLLOUT) & select.POLLIN:
                connection.consume_input()
        _check(driver, _result(connection), ExecStatus.COPY_OUT)
        yield from _blocks(connection)
        _check(driver, _result(connection), ExecStatus.COMMAND_OK)
        ended = True
    finally:
        if not ended and connection.status == ConnStatus.OK:
            cancel_request(driver)()
        # Read the rest of the result, or the connection stays unusable; any error is already being raised.
        with suppress(OperationalError):
            _read_to_the_end(connection)


def _blocks(connection: Any) -> Generator[tuple[int, bytes], None, None]:
    # Collect rows in one bytearray: thousands of objects would trigger garbage collection again and again.
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
    """Wait for the next result; return ``None`` after the last one."""
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
    """Wait until the socket is readable or writable, while other threads run."""
    poll = select.poll()
    poll.register(connection.socket, events)
    return poll.poll()[0][1]
