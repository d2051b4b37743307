"""Create a missing target atomically with its indexes, defaults and comments: a killed run leaves all of it or nothing.

::

    BEGIN ── CREATE TABLE ── CREATE INDEX ── COMMENT ── COMMIT      where a transaction can roll back DDL
    CREATE TABLE with indexes and comments                          on MySQL and MariaDB, which commit each statement

If the database refuses one of these details, everything is rolled back, and the table is created again without that detail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import partial

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.sync.tables.new_target.details import UNSAFE_COMMENT, PlannedDetails


class _Created(msgspec.Struct, frozen=True, kw_only=True):
    """A table that was created.

    :ivar made: details that the table got besides its columns and key, one phrase for each
    :ivar refused: details that the database refused, in words for people
    """

    table: Table
    made: tuple[str, ...]
    refused: tuple[str, ...]


class _Detail(msgspec.Struct, frozen=True, kw_only=True):
    """One detail that the database may refuse.

    :ivar phrase: the detail in words for people; empty if the report need not mention it
    :ivar planned: a plan with this detail only
    :ivar statement: returns the statement that adds the detail; ``None`` if it is part of the CREATE TABLE
    """

    phrase: str
    planned: PlannedDetails
    statement: Callable[[Table], str] | None = None


class _Refused(Exception):
    """Rolls back the transaction in which the statement of a detail failed."""

    def __init__(self, detail: _Detail, error: TableError) -> None:
        super().__init__(detail.phrase)
        self.detail = detail
        self.error = error


def create_table(
    database: Database,
    connection: Connection,
    name: str,
    planned: PlannedDetails,
    statement: Callable[[PlannedDetails], str],
) -> _Created:
    """Create a table with all details that the database accepts.

    :param connection: in autocommit mode, outside any transaction
    :param name: name of the new table in the target's database
    :param statement: returns the CREATE TABLE with those of the given details that belong in it
    :raises TableError: if the database refuses the table itself
    """
    refused: list[str] = []
    details = list(_details(database, planned, refused))

    def create_statement(chosen: Sequence[_Detail]) -> str:
        return statement(_together(planned, chosen))

    while True:
        try:
            table = _create(database, connection, name, create_statement(details), details)
            return _Created(table=table, made=tuple(detail.phrase for detail in details if detail.phrase), refused=tuple(refused))
        except _Refused as refusal:
            details.remove(refusal.detail)
            refused.append(_in_words(refusal.detail, refusal.error))
        except TableError as error:
            if error.retryable:
                raise
            taken = _taken(database, connection, name, details, create_statement, refused)
            if len(taken) == len(details):
                raise
            details = taken


def planned_phrases(database: Database, planned: PlannedDetails) -> tuple[list[str], list[str]]:
    """Return phrases for the details that :func:`create_table` would add, and for those without a safe statement."""
    refused: list[str] = []
    made = [detail.phrase for detail in _details(database, planned, refused) if detail.phrase]
    return made, refused


def _create(database: Database, connection: Connection, name: str, statement: str, details: Sequence[_Detail]) -> Table:
    """Create a table with these details, or nothing, and describe it.

    :raises _Refused: if the database refuses a detail
    :raises TableError: if the database refuses the CREATE TABLE
    """
    rolls_back = database.ddl.rolls_back
    with database.translate_errors(), database.transaction(connection) if rolls_back else nullcontext():
        connection.exec_driver_sql(statement)
        try:
            table = database.catalog.describe(connection, name)
            later = [detail for detail in details if detail.statement is not None]
            for detail in later:
                _make_later(database, connection, table, detail)
            return database.catalog.describe(connection, name) if later else table
        except BaseException:
            if not rolls_back:
                with suppress(SyncError, SQLAlchemyError):
                    connection.exec_driver_sql(f"DROP TABLE {database.ddl.quoted_name(name)}")
            raise


def _make_later(database: Database, connection: Connection, table: Table, detail: _Detail) -> None:
    statement = detail.statement(table) if detail.statement else None
    try:
        with database.translate_errors():
            connection.exec_driver_sql(statement or "")
    except TableError as error:
        if error.retryable:
            raise
        raise _Refused(detail, error) from error


def _taken(
    database: Database,
    connection: Connection,
    name: str,
    details: Sequence[_Detail],
    create_statement: Callable[[Sequence[_Detail]], str],
    refused: list[str],
) -> list[_Detail]:
    """Return the details with which the database accepts the CREATE TABLE; append a phrase for each of the others to ``refused``.

    All details are returned if the statement is refused without any detail, too, or the user may not create a table to test it.
    """

    def attempt(chosen: Sequence[_Detail]) -> None:
        with database.translate_errors():
            database.ddl.try_create(connection, name, create_statement(chosen))

    try:
        attempt(())
    except TableError as error:
        if error.retryable:
            raise
        return list(details)
    taken: list[_Detail] = []
    for detail in details:
        try:
            if detail.statement is None:
                attempt([*taken, detail])
            taken.append(detail)
        except TableError as error:
            if error.retryable:
                raise
            refused.append(_in_words(detail, error))
    return taken


def _in_words(detail: _Detail, error: TableError) -> str:
    return f"{detail.phrase}: {error}".removesuffix(".")


def _together(planned: PlannedDetails, details: Sequence[_Detail]) -> PlannedDetails:
    """Return a plan of the CREATE TABLE: the planned foreign keys, and these details."""
    parts = [detail.planned for detail in details]
    return PlannedDetails(
        foreign_keys=planned.foreign_keys,
        defaults={name: sql for part in parts for name, sql in part.defaults.items()},
        column_comments={name: sql for part in parts for name, sql in part.column_comments.items()},
        table_comment="".join(part.table_comment for part in parts),
        indexes=tuple(index for part in parts for index in part.indexes),
    )


def _details(database: Database, planned: PlannedDetails, refused: list[str]) -> Iterator[_Detail]:
    """Yield the details in the order of the report; append those without a safe statement to ``refused``."""
    statements = database.details
    for name, sql in planned.defaults.items():
        phrase = f"default of column {name!r}: {sql.removeprefix('DEFAULT ')}"
        yield _Detail(phrase=phrase, planned=PlannedDetails(defaults={name: sql}))
    for index in planned.indexes:
        phrase = f"{'unique ' if index.unique else ''}index {index.name!r} ({', '.join(index.columns)})"
        statement = None if statements.indexes_in_table else partial(statements.index, index=index)
        yield _Detail(phrase=phrase, planned=PlannedDetails(indexes=(index,)), statement=statement)
    for name, sql in planned.column_comments.items():
        yield _Detail(phrase=f"comment of column {name!r}", planned=PlannedDetails(column_comments={name: sql}))
    of_table = "" if planned.unfinished else "comment of the table"
    if planned.table_comment:
        yield _Detail(phrase=of_table, planned=PlannedDetails(table_comment=planned.table_comment))
    for column, comment in planned.comments.items():
        phrase = of_table if column is None else f"comment of column {column!r}"
        if statements.sets_comments and statements.literal(comment) is not None:
            statement = partial(statements.comment_statement, comment=comment, column=column)
            yield _Detail(phrase=phrase, planned=PlannedDetails(), statement=statement)
        else:
            refused.append(f"{phrase}, {UNSAFE_COMMENT}")
