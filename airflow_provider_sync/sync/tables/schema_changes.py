"""Decide how to change a target's columns so that they can hold the source's, as ``on_schema_change`` allows. No I/O.

::

    described by the source     id bigint   name varchar(50)   price decimal
    columns of the target       id bigint   name varchar(20)                    note text
                                            └─ widened         └─ added         └─ left alone

:mod:`.apply_schema_changes` makes the changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.ddl import WidenedColumn
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.databases.type_rules import map_type
from airflow_provider_sync.databases.wider_types import wider_type
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import ColumnDescription, Described
from airflow_provider_sync.sync.tables.target import Target


class SchemaChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that a target's columns need before they can hold the source's rows.

    :ivar added: columns to add, which only the source has, by their names in the target
    :ivar widened: columns to widen, whose types are too narrow for the source's values
    :ivar left_out: source names of columns that are not synced
    :ivar usable: source names of the columns that can be synced without any change
    """

    added: tuple[ColumnDescription, ...] = ()
    widened: tuple[WidenedColumn, ...] = ()
    left_out: tuple[str, ...] = ()
    usable: tuple[str, ...] = ()

    @property
    def alters(self) -> bool:
        """Whether the target's table must be altered."""
        return bool(self.added or self.widened)

    def needed_by(self, table: Table) -> SchemaChanges:
        """Return the changes that are still needed, given a newer description of the table."""
        names = {column.name for column in table.columns}
        return msgspec.structs.replace(
            self,
            added=tuple(column for column in self.added if column.name not in names),
            widened=tuple(entry for entry in self.widened if entry.column in table.columns),
        )


class SchemaDiffers(TableError):
    """The columns of source and target differ in a way that ``on_schema_change`` can handle.

    In the first step of a sync, :func:`.apply_schema_changes.following_source` handles this error. A later step fails with it,
    since the staging tables have the columns of the first step.
    """

    def __init__(self, message: str, changes: SchemaChanges) -> None:
        super().__init__(message, changes)
        self.changes = changes

    @property
    def _sentences(self) -> tuple[object, ...]:
        return self.args[:1]


def check_schema(database: Database, target: Target, described: Described) -> None:
    """Check that the target's columns can hold the source's without changes.

    With ``on_schema_change: fail`` nothing is checked here: mapping the columns raises the error.

    :raises SchemaDiffers: if they cannot, and the option allows changes
    :raises TableError: if they cannot, and the option does not help, for example if a column was renamed
    """
    if target.options.on_schema_change == "fail" or target.synced.source is not None:
        return
    changes = plan_schema_changes(database, target, described)
    if changes.alters or changes.left_out:
        asked = "; ".join((*changes_in_words(database, changes), *(f"leave out column {name!r}" for name in changes.left_out)))
        raise SchemaDiffers(
            f"Table {target.name!r}: the source's columns changed since they were compared ({asked})."
            " Begin again with the comparison.",
            changes,
        )


def plan_schema_changes(database: Database, target: Target, described: Described) -> SchemaChanges:
    """Decide how to handle columns that the target lacks or whose types are too narrow.

    :raises TableError: if a column may have been renamed, or if the key has a new column
    """
    option = target.options.on_schema_change
    renames, table = target.options.renames, target.table
    columns = {column.name: column for column in table.columns}
    named = [(column, renames.get(column.name, column.name)) for column in described.columns]
    missing = [(column, name) for column, name in named if name not in columns]
    for column, name in missing:
        if column.name in described.key:
            raise TableError(
                f"Table {str(table)!r} has no column {name!r}, which is part of the source's key. A column of the key"
                " is never added: create the table anew, or map a column to it with 'renames'."
            )
    widened = () if option != "widen" else tuple(_too_narrow(database, target, named, described.key))
    # If a renamed column were ignored and its old name set to NULL, its values would be lost.
    if missing and not target.options.columns and (option != "ignore" or target.options.gone_columns == "set_null"):
        _refuse_renamed(database, target, [name for _, name in named], {name: column for column, name in missing})
    if option == "ignore":
        left_out = tuple(column.name for column, _ in missing)
        return SchemaChanges(left_out=left_out, usable=_usable(described, left_out))
    pending = [column.name for column, _ in missing]
    pending += [column.name for column, name in named if any(name == entry.column.name for entry in widened)]
    return SchemaChanges(
        added=tuple(msgspec.structs.replace(column, name=name) for column, name in missing),
        widened=widened,
        usable=_usable(described, pending),
    )


def changes_in_words(database: Database, changes: SchemaChanges) -> tuple[str, ...]:
    """Describe the changes, planned or made, in one phrase for each column."""
    return (
        *(f"add column {column.name!r} {database.ddl.added_type(column)}" for column in changes.added),
        *(f"widen column {entry.column.name!r} from {entry.column.sql_type} to {entry.sql_type}" for entry in changes.widened),
    )


def wider_column(database: Database, column: Column, described: ColumnDescription, *, key: bool) -> WidenedColumn | None:
    """Return the column with a type that holds the source's values; ``None`` if its type already does, or none exists.

    :param key: whether the column is part of the primary key
    """
    logical = database.catalog.logical_type(column)
    wider = None if logical is None or column.generated else wider_type(described.type, logical)
    sql_type = None if wider is None else database.ddl.wider_type(column, wider, key=key)
    return None if sql_type is None else WidenedColumn(column=column, sql_type=sql_type)


@contextmanager
def naming_wider_types(database: Database, target: Target, described: Described) -> Iterator[None]:
    """Add a hint to an error about values that do not fit: ``on_schema_change`` could widen the columns.

    :raises TableError: the error of the block, with the hint if it applies
    """
    try:
        yield
    except TableError as error:
        if type(error) is not TableError or target.options.on_schema_change == "widen":
            raise
        names = {column.name: target.options.renames.get(column.name, column.name) for column in described.columns}
        named = [(column, names[column.name]) for column in described.columns]
        too_narrow = (entry.column.name for entry in _too_narrow(database, target, named, described.key))
        # An error that names none of these columns, such as a missing privilege, has another cause.
        narrow = [name for name in too_narrow if repr(name) in str(error)]
        if narrow:
            advice = f"The source's type is wider for {_listed(narrow)}: set on_schema_change to 'widen' to have it widened."
            error.args = (*error.args, advice)
        raise


def schema_warnings(target: Target, table_slice: TableSlice) -> tuple[str, ...]:
    """Warn about columns that only one side has, if ``on_schema_change`` allows the sync to continue without them."""
    options = target.options
    if options.on_schema_change == "fail":
        return ()
    warnings = []
    if target.synced.left_out:
        warnings.append(f"Only the source has {_listed(target.synced.left_out)}, which on_schema_change leaves out.")
    if target.schema_changes and target.synced.source is not None:
        warnings.append(
            "The columns that a run would add or widen are not compared before: it also updates rows that differ only there, and"
            " they are not counted."
        )
    # A dry run does not compare columns that a run would widen.
    is_narrowed = bool(options.columns) or (target.synced.source is not None and not target.synced.left_out)
    synced = set(table_slice.column_names)
    own = [column.name for column in target.table.columns if not (column.name in synced or column.generated or column.system)]
    if own and not is_narrowed and options.gone_columns == "keep":
        warnings.append(f"Only the target has {_listed(own)}: values stay as they are, and new rows get the default or NULL.")
    return tuple(warnings)


def _listed(names: Collection[str]) -> str:
    return f"{'column' if len(names) == 1 else 'columns'} {', '.join(map(repr, names))}"


def _usable(described: Described, without: Collection[str]) -> tuple[str, ...]:
    return tuple(column.name for column in described.columns if column.name not in without or column.name in described.key)


def _too_narrow(
    database: Database, target: Target, named: Sequence[tuple[ColumnDescription, str]], key: Collection[str]
) -> Iterator[WidenedColumn]:
    for described, name in named:
        column = next((column for column in target.table.columns if column.name == name), None)
        if column is not None and (entry := wider_column(database, column, described, key=described.name in key)):
            yield entry


def _refuse_renamed(
    database: Database, target: Target, source_names: Sequence[str], missing: dict[str, ColumnDescription]
) -> None:
    """Refuse a new source column that may be a renamed one: at the place and of the kind of a column that only the target has.

    Adding it would silently leave the old column's values behind.
    """
    table = target.table
    target_names = [column.name for column in table.columns]
    both = {*source_names} & {*target_names}
    places = _places(source_names, both)
    for old, place in _places(target_names, both).items():
        for new, described in missing.items():
            column = table.column(old)
            logical = database.catalog.logical_type(column)
            if places[new] != place or logical is None or column.generated:
                continue
            if _is_same_kind(table, described, column, database):
                source_name = described.name
                raise TableError(
                    f"Table {str(table)!r}: the source has column {source_name!r} where the target has {old!r}, which the"
                    f" source lacks; it may have been renamed. If it was, rename it in the target, too, or map"
                    f" it with 'renames' ({source_name}: {old}). If it is another one, add column {new!r} to the target"
                    " yourself."
                )


def _is_same_kind(table: Table, described: ColumnDescription, column: Column, database: Database) -> bool:
    logical = database.catalog.logical_type(column)
    if logical is None or logical.kind is not described.type.kind:
        return False
    try:
        map_type(str(table), described.type, column, logical)
    except TableError:
        return False
    return True


def _places(names: Sequence[str], both: Collection[str]) -> dict[str, str | None]:
    """Return, for each column that only one side has, the last column before it that both sides have."""
    places: dict[str, str | None] = {}
    before: str | None = None
    for name in names:
        if name in both:
            before = name
        else:
            places[name] = before
    return places
