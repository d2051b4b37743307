"""Detect triggers that the user may not see: MySQL lists them only for users with the privilege TRIGGER, but fires them for all.

A writing statement also opens the tables that the table's triggers use, even if it finds no row, and the session's counter of
opened tables shows that. Triggers that use no other table are not detected; they can only change the row that is written.
MariaDB lists triggers for all users.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.mysql.errors import DENIED, error_number
from airflow_provider_sync.databases.schema import Table

_OPENED = "SHOW SESSION STATUS WHERE Variable_name IN ('Table_open_cache_hits', 'Table_open_cache_misses')"

_GRANT = re.compile(r"GRANT (?P<privileges>.+?) ON (?P<place>.+?) TO ")
_GRANTS = "sync_grants"
"""Key in a connection's ``info`` of the user's grants."""


def sees_triggers(connection: Connection, table: Table) -> bool:
    """Whether the user's grants include the privilege TRIGGER for a table.

    If grants on several schema patterns match, the server uses one of them, unknown to the client: all must include it.
    """
    grants = _grants(connection)
    if any(grant.startswith("REVOKE") for grant in grants):
        return False
    schema = table.schema or connection.exec_driver_sql("SELECT DATABASE()").scalar()
    found = list(filter(None, map(_GRANT.match, grants)))
    certain = [grant for grant in found if grant["place"] in ("*.*", f"`{schema}`.`{table.name}`")]
    on_schema = [grant for grant in found if _matches(grant["place"], f"`{schema}`.*")]
    return any(map(_has_trigger, certain)) or (bool(on_schema) and all(map(_has_trigger, on_schema)))


def _has_trigger(grant: re.Match[str]) -> bool:
    return bool({"ALL PRIVILEGES", "TRIGGER"} & set(grant["privileges"].split(", ")))


def _matches(place: str, name: str) -> bool:
    """Whether a grant's schema pattern matches a name; its wildcards are ``%`` and ``_``, each literal after a backslash."""
    wildcards = {"%": ".*", "_": "."}
    pattern = re.sub(r"\\\\([%_])|([%_])", lambda found: found[1] or wildcards[found[2]], re.escape(place))
    return re.fullmatch(pattern, name) is not None


def _grants(connection: Connection) -> list[str]:
    if _GRANTS not in connection.info:
        connection.info[_GRANTS] = [str(grant) for (grant,) in connection.exec_driver_sql("SHOW GRANTS")]
    grants: list[str] = connection.info[_GRANTS]
    return grants


def has_unseen_triggers(connection: Connection, table: Table, name: str, quote: Callable[[str], str]) -> bool:
    """Whether writes to a table open other tables; true if that cannot be determined.

    :param name: quoted name of the table
    """
    return any(_opens_others(connection, *statement) for statement in _writes(table, name, quote))


def _writes(table: Table, name: str, quote: Callable[[str], str]) -> Iterator[tuple[str, int]]:
    """Yield statements that write no row, each with the number of times that it names the table."""
    column = quote(next(column.name for column in table.columns if not column.generated))
    # IGNORE, since other columns may have no default value.
    yield f"INSERT IGNORE INTO {name} ({column}) SELECT {column} FROM {name} AS t WHERE FALSE", 2
    yield f"UPDATE {name} SET {column} = {column} WHERE FALSE", 1
    yield f"DELETE FROM {name} WHERE FALSE", 1


def _opens_others(connection: Connection, statement: str, named: int) -> bool:
    try:
        connection.exec_driver_sql(statement)  # run twice: the first time, the server also opens its own tables
        before = _opened(connection)
        connection.exec_driver_sql(statement)
        return _opened(connection) - before > named
    except SQLAlchemyError as error:
        # A statement that the user may not run fires no trigger.
        return error_number(error) not in DENIED


def _opened(connection: Connection) -> int:
    return sum(int(count) for _, count in connection.exec_driver_sql(_OPENED))
