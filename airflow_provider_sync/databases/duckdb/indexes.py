"""Find the columns of an index of DuckDB, whose catalog has only the CREATE INDEX statement."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_provider_sync.databases.schema import Column

_INDEXED = re.compile(r"\((.*)\);?\s*$", re.DOTALL)


def indexed_columns(sql: str, columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the columns of an index; empty if it is over an expression.

    :param columns: columns of the table
    """
    names = {column.name.lower(): column.name for column in columns}
    indexed = _INDEXED.search(sql)
    parts = [part.strip().strip('"').lower() for part in indexed[1].split(",")] if indexed else []
    return tuple(names[part] for part in parts) if all(part in names for part in parts) else ()
