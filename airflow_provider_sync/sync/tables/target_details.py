"""What a new target gets besides its columns and its key: indexes, foreign keys, defaults and comments of the source.

::

    described ── plan ──┬─ CREATE TABLE with defaults   (on SQLite with foreign keys)
                        ├─ indexes, comments            right after it, while the table is empty
                        ├─ foreign keys                 when all tables of the run are there and filled
                        └─ left out                     named in the report
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.protocol.v2.described_details import ForeignKeyDescription, IndexDescription
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables.transaction_groups import LOCK_TIMEOUT


class PlannedDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What to make of the source's details, by the names of the target.

    :ivar defaults: SQL of the default of each column that has one
    :ivar refused_defaults: of those, what the CREATE TABLE was refused with
    :ivar column_comments: SQL of the comment of each column, where that is part of the CREATE TABLE
    :ivar table_comment: SQL of the comment of the table, likewise
    :ivar comments: other comments by column; that of the table under ``None``
    :ivar foreign_keys: with the name of the parent in the target database
    :ivar left_out: what cannot be made, in words for people
    """

    defaults: Mapping[str, str] = {}
    refused_defaults: Mapping[str, str] = {}
    column_comments: Mapping[str, str] = {}
    table_comment: str = ""
    comments: Mapping[str | None, str] = {}
    indexes: tuple[IndexDescription, ...] = ()
    foreign_keys: tuple[ForeignKeyDescription, ...] = ()
    left_out: tuple[str, ...] = ()


class MadeTable(msgspec.Struct, frozen=True, kw_only=True):
    """A target that was made.

    :ivar name: the name under which the server offers it
    :ivar foreign_keys: those that are to be added when all tables of the run are there
    :ivar made: what it got besides its columns and its key, one phrase for each
    :ivar left_out: what it did not get, in words for people
    """

    name: str
    table: Table
    foreign_keys: tuple[ForeignKeyDescription, ...] = ()
    made: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def schema_changes(self) -> tuple[str, ...]:
        """What the report says of what was made."""
        return tuple(f"make {phrase}" for phrase in self.made)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the report says of what was left out."""
        return (f"create_indexes left out: {'; '.join(self.left_out)}.",) if self.left_out else ()


def plan_details(
    database: Database, options: TargetTable, described: Described, run: Mapping[str, TargetTable]
) -> PlannedDetails:
    """Decide what of the source's details the target's database can have.

    :param run: the options of all tables of the run, by the names under which the server offers them
    """
    details = described.details
    if details is None:
        return PlannedDetails()
    names = {column.name: options.renames.get(column.name, column.name) for column in described.columns}
    statements, left_out = database.details, list(details.untold)
    defaults: dict[str, str] = {}
    for column in described.columns:
        if (value := details.defaults.get(column.name)) is None:
            continue
        sql_type = database.ddl.sql_type(column.type, key=column.name in described.key)
        if default := statements.default(value, column.type, sql_type):
            defaults[names[column.name]] = default
        else:
            left_out.append(f"default of column {column.name!r}, which {sql_type or 'its type'} cannot have")
    indexes = []
    for index in details.indexes:
        if not names.keys() >= {*index.columns, *index.descending}:
            continue
        if index.unique and options.mode != "mirror":
            left_out.append(f"uniqueness of index {index.name!r}, which rows that the source has no longer may break")
        indexes.append(
            msgspec.structs.replace(
                index,
                columns=tuple(names[name] for name in index.columns),
                descending=tuple(names[name] for name in index.descending),
                unique=index.unique and options.mode == "mirror",
            )
        )
    keys: list[ForeignKeyDescription] = []
    for key in details.foreign_keys:
        parent = run.get(key.parent)
        if options.mode != "mirror" or (parent is not None and parent.mode == "history"):
            left_out.append(f"foreign key {key.name!r}, since a table that keeps other rows than its source's may break it")
        elif parent is None or not names.keys() >= set(key.columns):
            left_out.append(f"foreign key {key.name!r}, since table {key.parent!r} is not synced with it")
        else:
            keys.append(_renamed_key(key, names, parent))
    inline, inline_of_table, others = _comments(database, described, names, left_out)
    return PlannedDetails(
        defaults=defaults,
        column_comments=inline,
        table_comment=inline_of_table,
        comments=others,
        indexes=tuple(indexes),
        foreign_keys=tuple(keys),
        left_out=tuple(left_out),
    )


def _renamed_key(key: ForeignKeyDescription, names: Mapping[str, str], parent: TargetTable) -> ForeignKeyDescription:
    return msgspec.structs.replace(
        key,
        columns=tuple(names[name] for name in key.columns),
        parent=parent.table_name,
        parent_columns=tuple(parent.renames.get(name, name) for name in key.parent_columns),
    )


def _comments(
    database: Database, described: Described, names: Mapping[str, str], left_out: list[str]
) -> tuple[dict[str, str], str, dict[str | None, str]]:
    """Return the comments of columns and of the table that are part of the CREATE TABLE, and those that are set afterwards."""
    details, statements = described.details, database.details
    if details is None or not (details.comments or details.comment):
        return {}, "", {}
    if not statements.has_comments:
        left_out.append("comments, which this database does not have")
        return {}, "", {}
    comments = {names[name]: comment for name, comment in details.comments.items() if name in names}
    inline = {name: sql for name, comment in comments.items() if (sql := statements.column_comment(comment))}
    of_table = (details.comment and statements.table_comment(details.comment)) or ""
    others: dict[str | None, str] = {name: comment for name, comment in comments.items() if name not in inline}
    if details.comment and not of_table:
        others[None] = details.comment
    return inline, of_table, others


def with_unique_parents(planned: PlannedDetails, unique: Callable[[str], Iterable[frozenset[str]]]) -> PlannedDetails:
    """Leave out foreign keys to columns that identify no row, where they would be part of a table that nobody can write to.

    :param unique: returns the sets of columns that identify a row of a table of the target's database
    """
    keys = [key for key in planned.foreign_keys if frozenset(key.parent_columns) in unique(key.parent)]
    left_out = [
        f"{foreign_key_phrase(key)}, which has no unique key over {', '.join(key.parent_columns)}"
        for key in planned.foreign_keys
        if key not in keys
    ]
    return msgspec.structs.replace(planned, foreign_keys=tuple(keys), left_out=(*planned.left_out, *left_out))


def unique_columns(table: Table) -> Iterator[frozenset[str]]:
    """Yield the sets of columns that identify a row of a table."""
    yield frozenset(table.primary_key)
    for unique in table.unique_keys:
        yield frozenset(unique.columns)


def make_table(
    database: Database, connection: Connection, statement: Callable[[PlannedDetails], str], planned: PlannedDetails
) -> PlannedDetails:
    """Create a table; if the database refuses, without its defaults.

    :param statement: returns the CREATE TABLE with what is planned
    :return: what is planned, with defaults that are to be set one by one
    """
    try:
        with database.translate_errors():
            connection.exec_driver_sql(statement(planned))
    except TableError as error:
        if error.retryable or not (planned.defaults and database.details.sets_defaults):
            raise
        # A single default may be the reason, which the type of the new column does not take.
        without = msgspec.structs.replace(planned, defaults={}, refused_defaults=planned.defaults)
        connection.exec_driver_sql(statement(without))
        return without
    return planned


def make_details(
    database: Database, connection: Connection, table: Table, planned: PlannedDetails
) -> tuple[list[str], list[str]]:
    """Make indexes, and set comments and remaining defaults, of a table that has just been made.

    :return: what was made, and what the database refused, both in words for people
    """
    made = [f"default of column {name!r}: {sql.removeprefix('DEFAULT ')}" for name, sql in planned.defaults.items()]
    refused: list[str] = []
    for name, sql in planned.refused_defaults.items():
        what = f"default of column {name!r}: {sql.removeprefix('DEFAULT ')}"
        _attempt(database, connection, database.details.default_statement(table, name, sql), what, made, refused)
    for index in planned.indexes:
        what = f"{'unique ' if index.unique else ''}index {index.name!r} ({', '.join(index.columns)})"
        _attempt(database, connection, database.details.index(table, index), what, made, refused)
    for column, comment in planned.comments.items():
        what = "comment of the table" if column is None else f"comment of column {column!r}"
        statement = database.details.comment_statement(table, comment, column)
        if statement is None:
            refused.append(f"{what}, which is too long, or has a backslash")
        else:
            _attempt(database, connection, statement, what, made, refused)
    made += [f"comment of column {name!r}" for name in planned.column_comments]
    made += ["comment of the table"] if planned.table_comment else []
    return made, refused


def _attempt(database: Database, connection: Connection, statement: str, what: str, made: list[str], refused: list[str]) -> None:
    """Run a statement, and note what became of it; only a transient error ends the sync."""
    try:
        with database.translate_errors():
            connection.exec_driver_sql(statement)
        made.append(what)
    except TableError as error:
        if error.retryable:
            raise
        refused.append(f"{what}: {error}".removesuffix("."))


def add_foreign_keys(database: Database, tables: Sequence[MadeTable]) -> list[MadeTable]:
    """Add the foreign keys of tables that a run has made, once it has made all of them.

    :return: the tables, with what was made and what was refused, such as a foreign key that rows of the source break
    """
    return [_with_foreign_keys(database, made) if made.foreign_keys else made for made in tables]


def _with_foreign_keys(database: Database, made: MadeTable) -> MadeTable:
    added, refused = list(made.made), list(made.left_out)
    try:
        with database.exclusive([str(made.table)], timeout=LOCK_TIMEOUT), database.connect() as connection:
            for key in made.foreign_keys:
                name = database.details.foreign_key_name(connection, made.table, key.name)
                key = msgspec.structs.replace(key, name=name)
                statement = f"ALTER TABLE {database.qualified(made.table)} ADD {database.details.foreign_key(key)}"
                _attempt(database, connection, statement, foreign_key_phrase(key), added, refused)
    except SyncError as error:
        # The rows have arrived; what is missing is named.
        refused.append(f"foreign keys: {error}".removesuffix("."))
    return msgspec.structs.replace(made, foreign_keys=(), made=tuple(added), left_out=tuple(refused))


def foreign_key_phrase(key: ForeignKeyDescription) -> str:
    """Name a foreign key for people."""
    return f"foreign key {key.name!r} ({', '.join(key.columns)}) to {key.parent!r}"


def with_details(reports: Sequence[TableReport], tables: Sequence[MadeTable]) -> Iterator[TableReport]:
    """Yield the reports, with what was made besides the columns of tables that the run has made."""
    by_name = {made.name: made for made in tables}
    for report in reports:
        made = by_name.get(report.name)
        if made is None or report.status == "failed":
            yield report
            continue
        yield msgspec.structs.replace(
            report,
            schema_changes=(*report.schema_changes, *made.schema_changes),
            warnings=(*report.warnings, *made.warnings),
        )
