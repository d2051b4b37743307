"""Add the table's name to errors: databases and connections often do not give it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.exceptions import ProtocolError, TableError, TransportError


@contextmanager
def naming_table(name: str) -> Iterator[None]:
    """Put the table's name before errors that do not name it.

    :param name: name of the table as users know it
    """
    try:
        yield
    except (ProtocolError, TableError, TransportError) as error:
        if not error.lacks_subject:
            raise
        named = error.with_subject(f"Table {name!r}")
        named.table = error.table or name
        raise named from error
