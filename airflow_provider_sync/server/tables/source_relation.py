"""Describe the relation behind a configured table: a table or view of the database, a query, or a part of either.

::

    table, view or query ── where ── mask ── rows and columns that are described, digested and sent

Everything but a plain table or view is one SELECT, which replaces the table in every statement (:attr:`.Table.query`), so that no
statement can read a row or value that it leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from airflow_provider_sync.config import SourceTable
from airflow_provider_sync.config.source_tables import HASH_MASK, NULL_MASK, REDACT_MASK, YEAR_MASK
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.databases.session_rules import check_all_rows_seen
from airflow_provider_sync.databases.sql_text import find_mistake, find_mistake_in_query
from airflow_provider_sync.exceptions import ReadOnlyError, SyncError, TableError
from airflow_provider_sync.near_names import did_you_mean

HASH_LENGTH = 64
"""Length of a hash, in characters."""

_SQL_STATES = frozenset({"0A", "25", "40", "42", "53", "54", "55", "57", "58"})
"""Classes of SQLSTATEs of errors about SQL, privileges, locks, transactions and the server, which quote no value."""

_UNNAMED = "?column?"
"""PostgreSQL's name for a column without a name."""


def describe_source(
    database: Database, connection: Connection, source: SourceTable, mask_key: str, described: Table | None = None
) -> Table:
    """Describe the relation that is offered under a table's name.

    :param mask_key: the secret with which columns are hashed
    :param described: the database's description of the table, if known
    :raises TableError: if the table or view does not exist, row security hides rows, or SQL of the configuration is invalid
    """
    if source.query:
        table = _described_query(database, connection, source)
    else:
        table = _described_table(database, connection, source, described)
    return _changed(database, connection, source, table, mask_key) if source.conditions or source.mask else table


class _StatementRefused(TableError):
    """The database's error about values that a client may not see, without its words."""


@contextmanager
def errors_of(database: Database, source: SourceTable, table: Table | None = None) -> Iterator[None]:
    """Replace the database's errors about a table by messages that reveal nothing that the client may not see.

    The database's message may quote a value, or a statement with the secret of the masks. Without ``mask``, what it said is a
    note of the error, for the log only.

    :param table: the offered table; ``None`` while it is described, when no row is read (see :func:`_columns_of`)
    :raises TableError: with the option whose SQL writes, or the number of the database's error
    """
    if not source.mask:
        try:
            with database.translate_errors():
                yield
        except ReadOnlyError as error:
            raise _refusal(source, _writes(source, error)) from error
        except TableError as error:
            is_replaced = isinstance(error, _StatementRefused) or error.__cause__ is None or error.retryable
            if is_replaced or table is None or not _hides_values(source, table):
                raise
            refusal = _StatementRefused(
                f"Table {source.name!r}: its database refused a statement ({_number(error)}). What it said is in the server's"
                " log, and not sent to clients, since it may quote a value that is not offered."
            )
            refusal.add_note(str(error))
            raise refusal from error
        return
    try:
        with database.translate_errors():
            yield
    except SyncError as error:
        if error.__cause__ is None:
            raise
        if not isinstance(error, TableError) or error.retryable:
            # These errors are about the connection. The cause is dropped, so that the log does not show the statement.
            raise error from None
        raise _refusal(
            source,
            f"its database refused a statement ({_number(error)}). What it said is not shown, since it may quote"
            " a value that `mask` hides. Try the expressions of `mask` and `where` in the database.",
        ) from None


def _hides_values(source: SourceTable, table: Table) -> bool:
    """Tell whether statements about a table evaluate values that are not offered.

    Conditions, queries, views and policies of row-level security read other rows and columns, and so do computed columns of a
    table of which only some columns are offered.
    """
    return table.query is not None or table.is_view or table.row_filter is not None or bool(source.columns)


def check_all_columns_seen(database: Database, connection: Connection, source: SourceTable, table: Table) -> None:
    """Check that the description of a table without configured columns contains all columns.

    :raises TableError: if the database hides some of them from its user
    """
    if not database.catalog.sees_all_columns(connection, table):
        raise TableError(
            f"Table {source.name!r} has columns that the source's user may not read, and which would be left out silently."
            " Grant SELECT on the whole table, or name the columns to offer with `columns` in the server's configuration."
        )


def _described_table(database: Database, connection: Connection, source: SourceTable, described: Table | None) -> Table:
    table = described or database.catalog.describe(connection, source.table_name, views=True)
    check_all_rows_seen(table, source.name, allowed=source.allow_row_security)
    if source.is_changed and not source.columns:
        # The SELECT names its columns, so it would not fail for hidden ones.
        check_all_columns_seen(database, connection, source, table)
    return table


def _described_query(database: Database, connection: Connection, source: SourceTable) -> Table:
    query = str(source.query)
    if mistake := find_mistake_in_query(query, database.queries.syntax):
        raise _refusal(source, f"`query` {mistake}.")
    return Table(name=source.name, columns=_columns_of(database, connection, source, query, "query"), query=query)


def _changed(database: Database, connection: Connection, source: SourceTable, table: Table, mask_key: str) -> Table:
    """Return the table with only the rows that fulfil the conditions, and with masked columns."""
    _check_sql(database, source, table)
    # Without the secret, since a database may quote invalid SQL in its error.
    checked = _columns_of(database, connection, source, _select(database, source, table, b""), "mask" if source.mask else "where")
    types = {column.name: column for column in checked}
    is_key_masked = not source.mask.keys().isdisjoint(table.primary_key)
    return Table(
        name=table.name,
        schema=table.schema,
        columns=tuple(_masked_column(column, source.mask.get(column.name), types[column.name]) for column in table.columns),
        primary_key=() if is_key_masked else table.primary_key,
        unique_keys=tuple(unique for unique in table.unique_keys if source.mask.keys().isdisjoint(unique.columns)),
        is_view=table.is_view,
        former_key=table.primary_key if is_key_masked else (),
        query=_select(database, source, table, mask_key.encode()),
    )


def _check_sql(database: Database, source: SourceTable, table: Table) -> None:
    names = {column.name for column in table.columns}
    if unknown := sorted(source.mask.keys() - names):
        meant = did_you_mean(unknown[0], names)
        raise _refusal(
            source, f"there is no column {unknown[0]!r}, which `mask` names.{meant} Its columns: {', '.join(sorted(names))}."
        )
    pieces = [("where", condition) for condition in source.conditions]
    pieces += [(f"mask of {column!r}", mask) for column, mask in source.mask.items()]
    for option, sql in pieces:
        if mistake := find_mistake(sql, database.queries.syntax):
            raise _refusal(source, f"`{option}` {mistake}.")


def _select(database: Database, source: SourceTable, table: Table, secret: bytes) -> str:
    queries = database.queries
    selected = ", ".join(
        f"{_expression(database, column, mask, secret)} AS {queries.name(column)}"
        if (mask := source.mask.get(column.name))
        else queries.name(column)
        for column in table.columns
    )
    relation = database.undoubled(database.relation(table))
    where = " AND ".join(f"({condition}\n)" for condition in source.conditions)
    return f"SELECT {selected} FROM {relation}{' AS t' if table.query else ''}{f' WHERE {where}' if where else ''}"


def _expression(database: Database, column: Column, mask: str, secret: bytes) -> str:
    if mask == HASH_MASK:
        return database.queries.hashed(column, secret)
    written = {
        REDACT_MASK: database.queries.redacted,
        NULL_MASK: database.queries.nothing,
        YEAR_MASK: database.queries.year,
    }.get(mask)
    # The line feed ends a comment in the expression.
    return f"({mask}\n)" if written is None else written(column)


def _masked_column(column: Column, mask: str | None, described: Column) -> Column:
    """Describe a column after its mask.

    :param described: the database's description of the mask's expression
    """
    if mask is None:
        return column
    if mask == NULL_MASK or not described.sql_type:
        # If an expression has no type, its values are assumed to have the column's type.
        return msgspec.structs.replace(column, nullable=True, generated=False)
    nullable = column.nullable or mask not in (HASH_MASK, REDACT_MASK, YEAR_MASK)
    described = msgspec.structs.replace(described, nullable=nullable, invisible=column.invisible)
    return msgspec.structs.replace(described, kind=Kind.TEXT, length=HASH_LENGTH) if mask == HASH_MASK else described


def _columns_of(database: Database, connection: Connection, source: SourceTable, query: str, option: str) -> tuple[Column, ...]:
    """Describe the columns of a query.

    :param option: the option that contains the SQL, for messages
    """
    try:
        with database.translate_errors():
            columns = database.queries.describe(connection, query)
    except TableError as error:
        # The cause is dropped, since it shows the whole statement.
        if isinstance(error, ReadOnlyError):
            raise _refusal(source, _writes(source, error)) from None
        if not _is_about_sql(error):
            refusal = _refusal(
                source,
                f"`{option}` cannot be used: its database refused it ({_number(error)}). What it said is not sent to clients,"
                " since it may quote a value that is not offered. Try it in the database.",
            )
            if not source.mask:
                refusal.add_note(str(error))
            raise refusal from None
        raise _refusal(source, f"`{option}` cannot be used: {error}") from None
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


def _is_numbered(name: str, found: Mapping[str, int]) -> bool:
    before, _, number = name.rpartition(":")
    return number.isdigit() and any(other.lower() == before.lower() for other in found)


def _is_about_sql(error: BaseException) -> bool:
    """Tell whether an error of a statement that reads no row is about its SQL, and so quotes no value.

    PostgreSQL calls functions when it plans, whose errors are about values. Databases without SQLSTATEs call none before there
    is a row.
    """
    driver = _driver_error(error)
    state = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
    return state is None or state[:2] in _SQL_STATES


def _driver_error(error: BaseException) -> BaseException:
    """Return the driver's error that an error of this package was caused by."""
    while isinstance(error, SyncError) and error.__cause__ is not None:
        error = error.__cause__
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _number(error: BaseException) -> str:
    """Name a database error without its message: its class, and its number or code if it has one.

    :param error: the database's error, or one that it caused
    """
    driver = _driver_error(error)
    codes = (getattr(driver, "sqlstate", None), getattr(driver, "pgcode", None), getattr(driver, "sqlite_errorname", None))
    first = driver.args[0] if driver.args and isinstance(driver.args[0], int) else None
    code = next((found for found in (*codes, first) if found), "")
    return f"{type(driver).__name__} {code}".strip()


def _writes(source: SourceTable, error: ReadOnlyError) -> str:
    """Return the message that reading the relation writes. The error's own advice is for databases that may be written to."""
    what = "`query`" if source.query else "`where` or `mask`" if source.is_changed else "the view"
    return f"{what} writes, and may only read ({error.args[0].rstrip('.')}). Leave out the function that writes."


def _refusal(source: SourceTable, message: str) -> TableError:
    return TableError(f"Table {source.name!r}: {message}")
