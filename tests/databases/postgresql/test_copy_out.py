"""COPY TO STDOUT by libpq: whole lines, and a connection that is fit for use whatever happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from airflow_provider_sync.databases.postgresql.copy_out import BLOCK_BYTES, copy_out
from tests.database_servers import POSTGRESQL, DatabaseServers, ServerMissing

MANY = "SELECT generate_series(1, 50000) AS i, repeat('x', 100)"


@pytest.fixture
def url(database_servers: DatabaseServers) -> str:
    """Give the URL of a server."""
    try:
        return database_servers.url(POSTGRESQL)
    except ServerMissing as missing:
        pytest.skip(f"no postgresql: {missing}")


@pytest.fixture
def driver(url: str) -> Iterator[psycopg.Connection]:
    """Give a connection in autocommit mode; after the test it still has to answer, unless it was closed."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
        assert connection.closed or connection.execute("SELECT 1").fetchall() == [(1,)]


def test_blocks(driver: psycopg.Connection) -> None:
    """Each block has whole lines and their number; together they are the query's rows."""
    blocks = list(copy_out(driver, MANY))

    assert b"".join(block for _, block in blocks) == b"".join(b"%d\t%s\n" % (i, b"x" * 100) for i in range(1, 50001))
    assert all(block.count(b"\n") == rows and block.endswith(b"\n") for rows, block in blocks)
    assert all(BLOCK_BYTES <= len(block) < BLOCK_BYTES + 200 for _, block in blocks[:-1])
    assert list(copy_out(driver, "SELECT 1 WHERE false")) == []


def test_closed_early(driver: psycopg.Connection) -> None:
    """A reader that stops cancels the query, and the connection can be used."""
    with closing(copy_out(driver, MANY.replace("50000", "500000000"))) as blocks:
        next(blocks)

    assert driver.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_long_statement(driver: psycopg.Connection) -> None:
    """A statement that is sent in several pieces arrives completely."""
    listed = ",".join(map(str, range(1_000_000)))

    assert list(copy_out(driver, f"SELECT cardinality('{{{listed}}}'::int[])")) == [(1, b"1000000\n")]


@pytest.mark.parametrize("statement", ["SELECT FROM nowhere", "SELECT 1 / (i - 40000) FROM generate_series(1, 50000) AS i"])
def test_errors(driver: psycopg.Connection, statement: str) -> None:
    """A server error, at once or in the middle of the rows, is raised with its SQLSTATE."""
    with pytest.raises((psycopg.errors.UndefinedTable, psycopg.errors.DivisionByZero)):
        list(copy_out(driver, statement))


def test_a_lost_connection(driver: psycopg.Connection, url: str) -> None:
    """A lost connection in the middle is an error, never an end of the rows."""
    blocks = copy_out(driver, MANY.replace("50000", "500000000"))
    next(blocks)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (driver.info.backend_pid,))

    with pytest.raises(psycopg.OperationalError):
        list(blocks)

    assert driver.closed
