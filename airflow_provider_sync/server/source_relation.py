"""What a table of the configuration offers: a table or a view of the database, a query, or a part of either.

::

    table, view or query ── where ── rows and columns that are described, digested and sent

Everything but a plain table or view is one SELECT, which stands in the place of a table in every statement that reads it
(:attr:`.Table.query`), so that no row or value that it leaves out is read by anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.config import SourceTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.databases.session_rules import check_all_rows_seen
from airflow_provider_sync.databases.sql_text import find_mistake, find_mistake_in_query
from airflow_provider_sync.exceptions import TableError

_UNNAMED = "?column?"
"""What PostgreSQL calls a column that has no name."""


def describe_source(database: Database, connection: Connection, source: SourceTable) -> Table:
    """Describe what is offered under a table's name.

    :raises TableError: when there is no such table or view, row security hides rows, or SQL of the configuration cannot be used
    """
    table = _described_query(database, connection, source) if source.query else _described_table(database, connection, source)
    return _filtered(database, connection, source, table) if source.conditions else table


def _described_table(database: Database, connection: Connection, source: SourceTable) -> Table:
    table = database.catalog.describe(connection, source.table_name, views=True)
    check_all_rows_seen(table, source.name, allowed=source.allow_row_security)
    if source.conditions and not source.columns:
        # The SELECT names columns, and would not miss those that are hidden.
        check_all_columns_seen(database, connection, source, table)
    return table


def check_all_columns_seen(database: Database, connection: Connection, source: SourceTable, table: Table) -> None:
    """Check that the description of a table whose columns are not configured has all of them.

    :raises TableError: when the database hides some from its user
    """
    if not database.catalog.sees_all_columns(connection, table):
        raise TableError(
            f"Table {source.name!r} has columns that the source's user may not read, and which would be left out silently."
            " Grant SELECT on the whole table, or name the columns to offer with `columns` in the server's configuration."
        )


def _described_query(database: Database, connection: Connection, source: SourceTable) -> Table:
    query = str(source.query)
    if mistake := find_mistake_in_query(query, database.queries.syntax):
        raise _refusal(source, f"`query` {mistake}.")
    return Table(name=source.name, columns=_columns_of(database, connection, source, query, "query"), query=query)


def _filtered(database: Database, connection: Connection, source: SourceTable, table: Table) -> Table:
    """Return the table with only the rows that fulfil the conditions; its keys are unique as before."""
    for condition in source.conditions:
        if mistake := find_mistake(condition, database.queries.syntax):
            raise _refusal(source, f"`where` {mistake}.")
    selected = ", ".join(map(database.queries.name, table.columns))
    relation = database.undoubled(database.relation(table))
    conditions = " AND ".join(f"({condition}\n)" for condition in source.conditions)
    query = f"SELECT {selected} FROM {relation}{' AS t' if table.query else ''} WHERE {conditions}"
    # Nothing is done with the answer: what is wrong with a condition is found here.
    _columns_of(database, connection, source, query, "where")
    return msgspec.structs.replace(
        Table(name=table.name, schema=table.schema, columns=table.columns),
        primary_key=table.primary_key,
        unique_keys=table.unique_keys,
        is_view=table.is_view,
        query=query,
    )


def _columns_of(database: Database, connection: Connection, source: SourceTable, query: str, option: str) -> tuple[Column, ...]:
    """Describe the columns of a query.

    :param option: what the query is made of, for messages
    """
    try:
        with database.translate_errors():
            columns = database.queries.describe(connection, query)
    except TableError as error:
        raise _refusal(source, f"`{option}` cannot be used: {error}") from error
    _check_names(source, [column.name for column in columns])
    return columns


def _check_names(source: SourceTable, names: Sequence[str]) -> None:
    found = Counter(names)
    # SQLite numbers columns of the same name.
    twice = [name for name in names if found[name] > 1 or (":" in name and _is_numbered(name, found))]
    if unnamed := [name for name in names if name == _UNNAMED]:
        raise _refusal(source, f"`query` has a column without a name ({unnamed[0]}). Name it with AS.")
    if twice:
        name = twice[0] if found[twice[0]] > 1 else twice[0].rpartition(":")[0]
        raise _refusal(source, f"`query` has several columns called {name!r}. Give each its own name with AS.")


def _is_numbered(name: str, found: Counter[str]) -> bool:
    before, _, number = name.rpartition(":")
    return number.isdigit() and any(other.lower() == before.lower() for other in found)


def _refusal(source: SourceTable, message: str) -> TableError:
    return TableError(f"Table {source.name!r}: {message}")
