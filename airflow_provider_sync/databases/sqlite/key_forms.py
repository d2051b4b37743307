"""Keys that SQLite holds in several forms: moments with more digits or fewer, UUIDs in either case, text in place of bytes.

Version 2 tells rows apart by the canonical text of their keys, the merge by their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.schema import STAGING_PREFIX, Column
from airflow_provider_sync.databases.sqlite.affinities import affinity_of
from airflow_provider_sync.databases.sqlite.session import driver_of
from airflow_provider_sync.databases.sqlite.text import SECONDS, expression, logical_type
from airflow_provider_sync.protocol.v2.types import LogicalKind

# Tables are called as their owners like, but not so.
_THERE, _HERE, _FORMS, _STAGED = (f"{STAGING_PREFIX}{name}" for name in ("there", "here", "forms", "staged"))

_MANY_FORMS = SECONDS | {LogicalKind.UUID, LogicalKind.BYTES}


def adopt_keys(connection: Connection, target: str, staging: str, key: Sequence[Column], quote: Callable[[str], str]) -> None:
    """Write staged keys as the target writes them, where it has a row whose key means the same.

    :param target: quoted name of the table, as ``staging`` is
    """
    if not any(logical_type(column).kind in _MANY_FORMS for column in key):
        return
    names = [quote(column.name) for column in key]

    def listed(table: str) -> str:
        texts = (
            f"CAST({expression(name, logical_type(column), affinity_of(column.sql_type))} AS TEXT) AS c{number}"
            for number, (column, name) in enumerate(zip(key, names, strict=True))
        )
        stored = (f"{name} AS k{number}" for number, name in enumerate(names))
        return f"MATERIALIZED (SELECT {', '.join([*texts, *stored])} FROM {table})"

    numbers = range(len(key))
    same = " AND ".join(f"t.c{number} = s.c{number}" for number in numbers)
    other = " OR ".join(f"t.k{number} IS NOT s.k{number} COLLATE BINARY" for number in numbers)
    forms = ", ".join(f"s.k{number} AS s{number}, t.k{number} AS t{number}" for number in numbers)
    found = " AND ".join(f"{_STAGED}.{name} IS {_FORMS}.s{number} COLLATE BINARY" for number, name in enumerate(names))
    driver_of(connection).execute(
        f"WITH {_THERE} AS {listed(target)}, {_HERE} AS {listed(staging)},"
        f" {_FORMS} AS (SELECT {forms} FROM {_HERE} AS s JOIN {_THERE} AS t ON {same} WHERE {other})"
        f" UPDATE {staging} AS {_STAGED} SET {', '.join(f'{name} = {_FORMS}.t{number}' for number, name in enumerate(names))}"
        f" FROM {_FORMS} WHERE {found}"
    )
