"""Which columns an index of DuckDB is over: its catalog has only the statement that made it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_sync.databases.schema import Column

_INDEXED = re.compile(r"\((.*)\);?\s*$", re.DOTALL)


def indexed_columns(sql: str, columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the columns of an index; none if it is over an expression.

    :param columns: those of the table
    """
    names = {column.name.lower(): column.name for column in columns}
    indexed = _INDEXED.search(sql)
    parts = [part.strip().strip('"').lower() for part in indexed[1].split(",")] if indexed else []
    return tuple(names[part] for part in parts) if all(part in names for part in parts) else ()
