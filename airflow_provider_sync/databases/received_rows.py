"""Rows that arrive while they are loaded, from a generator that can tell whether they were damaged on their way."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from airflow_provider_sync.exceptions import ProtocolError, TableError


@contextmanager
def receiving(rows: Generator[bytes]) -> Iterator[Generator[bytes]]:
    """Close a generator of received rows at the end of the block.

    An error of the block that the rows may have caused, such as a value that the target refuses, is thrown into the generator
    first. Of damaged rows, it raises :class:`.DamagedStreamError` instead, after which they are requested again.

    :raises DamagedStreamError: if the rows are not those that the source sent
    """
    try:
        yield rows
    except (ProtocolError, TableError) as error:
        if not error.retryable:
            rows.throw(error)
        raise
    finally:
        rows.close()
