"""Say in errors which table they are about: drivers often do not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.exceptions import TableError, TransportError


@contextmanager
def naming_table(name: str) -> Iterator[None]:
    """Put the table's name before errors of tables and databases that do not have it.

    :param name: as the user knows it
    """
    try:
        yield
    except (TableError, TransportError) as error:
        # With a quote or a dot before it and a quote behind it, as all messages and databases name tables.
        if re.search(rf"""['"`.]{re.escape(name)}['"`]""", str(error)):
            raise
        error.args = (f"Table {name!r}: {error}", *error.args[1:])
        error.table = error.table or name
        raise
