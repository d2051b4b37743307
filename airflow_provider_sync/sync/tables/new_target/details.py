"""Plan the details of a new target besides its columns and key: the source's indexes, foreign keys, defaults and comments.

::

    described ── plan ──┬─ the table with defaults, indexes, comments   all or nothing: see :mod:`.creation`
                        ├─ foreign keys                                 when all tables of the run are there and filled:
                        │                                               see :mod:`.foreign_keys`; on SQLite with the table
                        └─ left out                                     named in the report
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.printable import quoted
from airflow_provider_sync.protocol.v2.described_details import ForeignKeyDescription, IndexDescription
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.report import TableReport

MAX_NAMED = 20
"""Maximum number of omitted details that a warning names."""

UNSAFE_COMMENT = "which is too long, or has a backslash"
"""The reason why a comment has no safe statement."""


class PlannedDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The details to create, with the target's names.

    :ivar defaults: SQL of the default of each column that has one
    :ivar column_comments: SQL of the column comments that are part of the CREATE TABLE, by column
    :ivar table_comment: SQL of the table comment, if that is part of the CREATE TABLE
    :ivar comments: comments that are set afterwards, by column; the table's comment under ``None``
    :ivar foreign_keys: foreign keys, with the parent's name in the target database
    :ivar unfinished: whether the comment of the table says that its foreign keys are still to be added
    :ivar left_out: details that cannot be created, in words for people
    """

    defaults: Mapping[str, str] = {}
    column_comments: Mapping[str, str] = {}
    table_comment: str = ""
    comments: Mapping[str | None, str] = {}
    indexes: tuple[IndexDescription, ...] = ()
    foreign_keys: tuple[ForeignKeyDescription, ...] = ()
    unfinished: bool = False
    left_out: tuple[str, ...] = ()


class ReportedDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The details of a new target for the report.

    :ivar name: the name under which the server offers the table
    :ivar made: one phrase for the table itself if this run created it, and for each detail that it got, or would get in a run
    :ivar left_out: details that the table did not get, in words for people
    """

    name: str
    made: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def schema_changes(self) -> tuple[str, ...]:
        """The phrases for the report about the table and details that were created."""
        return tuple(f"make {phrase}" for phrase in self.made)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings for the report about details that were left out."""
        if not self.left_out:
            return ()
        more = len(self.left_out) - MAX_NAMED
        return (f"create_indexes left out: {'; '.join(self.left_out[:MAX_NAMED])}{f'; and {more} more' if more > 0 else ''}.",)


class MadeTable(ReportedDetails, frozen=True, kw_only=True):
    """A target that was created.

    :ivar unfinished: whether its comment says that foreign keys are still to be added; see :mod:`.foreign_keys`
    :ivar foreign_keys: foreign keys to add once all tables of the run exist
    :ivar comment: the table's final comment, set after its foreign keys were added
    """

    table: Table
    unfinished: bool = False
    foreign_keys: tuple[ForeignKeyDescription, ...] = ()
    comment: str | None = None


def plan_details(
    database: Database, options: TargetTable, described: Described, run_tables: Mapping[str, TargetTable]
) -> PlannedDetails:
    """Decide which of the source's details the target's database can have.

    :param run_tables: the options of all tables of the run, by the names under which the server offers them
    """
    details = described.details
    if details is None:
        return PlannedDetails()
    names = {column.name: options.renames.get(column.name, column.name) for column in described.columns}
    statements, left_out = database.details, list(map(quoted, details.untold))
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
        parent = run_tables.get(key.parent)
        if options.mode != "mirror" or (parent is not None and parent.mode == "history"):
            left_out.append(f"foreign key {key.name!r}, since a table that keeps other rows than its source's may break it")
        elif not statements.has_foreign_keys:
            left_out.append(f"foreign key {key.name!r}, which this database adds to no table that is there")
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
    """Leave out foreign keys to columns that are not unique, if the database would create them and then refuse all writes.

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


def foreign_key_phrase(key: ForeignKeyDescription) -> str:
    """Describe a foreign key for people."""
    return f"foreign key {key.name!r} ({', '.join(key.columns)}) to {key.parent!r}"


def with_details(
    reports: Sequence[TableReport], tables: Sequence[ReportedDetails], *, dry_run: bool = False
) -> Iterator[TableReport]:
    """Yield the reports, with the tables and details that the run created, or would create."""
    by_name = {made.name: made for made in tables}
    for report in reports:
        made = by_name.get(report.name)
        if made is None or report.status == "failed":
            yield report
            continue
        yield msgspec.structs.replace(
            report,
            # A run may create a table without rows, or only the foreign keys that an earlier run left.
            status=("planned" if dry_run else "changed") if made.made and report.status == "unchanged" else report.status,
            schema_changes=(*report.schema_changes, *made.schema_changes),
            warnings=(*report.warnings, *made.warnings),
        )
