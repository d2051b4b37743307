"""Add the table's name to errors, since databases and connections often do not name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.exceptions import ProtocolError, TableError, TransportError


@contextmanager
def naming_table(name: str, *, connections: bool = False) -> Iterator[None]:
    """Prefix errors that do not name the table with its name.

    :param name: name of the table as users know it
    :param connections: whether to name it in errors of connections, too, which other tables of a run may share
    """
    try:
        yield
    except (ProtocolError, TableError, TransportError) as error:
        if not error.lacks_subject or (isinstance(error, TransportError) and not connections):
            raise
        named = error.with_subject(f"Table {name!r}")
        named.table = error.table or name
        raise named from error
