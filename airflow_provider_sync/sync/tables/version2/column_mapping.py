"""Map the source's columns, as version 2 describes them, to target columns, with the type by which both sides render values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.table_slice import CanonicalColumn, TableSlice
from airflow_provider_sync.databases.type_rules import mapped_type
from airflow_provider_sync.exceptions import ConfigurationError, ProtocolError, TableError
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.protocol.v2.bounds import canonical_bounds
from airflow_provider_sync.protocol.v2.messages import ColumnDescription, Described, RequestedSlice, Window
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync.tables.mode_columns import described_columns, refuse_columns_of_mode, refuse_history, target_key
from airflow_provider_sync.sync.tables.new_target.details import PlannedDetails
from airflow_provider_sync.sync.tables.schema_changes import check_schema, wider_column
from airflow_provider_sync.sync.tables.target import Target


def configured_slice(options: TargetTable) -> RequestedSlice:
    """Return the slice of the source table that the options select."""
    return RequestedSlice(name=options.name, columns=options.columns or None, window=_window(options, {}))


def requested_slice_for(target: Target) -> RequestedSlice:
    """Return the slice of the source table to compare with a target, with the columns whose trailing zeros the target keeps."""
    requested = configured_slice(target.options)
    return msgspec.structs.replace(
        requested,
        columns=requested.columns if target.synced.source is None else target.synced.source,
        key_range=target.key_range,
        trailing_zeros=target.trailing_zeros,
    )


def map_columns(database: Database, target: Target, described: Described) -> TableSlice:
    """Find the target column of each source column. Both sides render values by the source's type.

    :raises TableError: if the target lacks a column, or its column cannot hold the source's values
    :raises SchemaDiffers: if ``on_schema_change`` can fix that
    :raises ConfigurationError: if an option names a column that the source does not have
    """
    options = target.options
    names = [column.name for column in described.columns]
    asked = options.renames if target.synced.source is None else set(options.renames).intersection(target.synced.source)
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise ConfigurationError(
            f"Table {target.name!r}: renames names {unknown[0]!r}, which the source does not have."
            f"{did_you_mean(unknown[0], names)} It has: {', '.join(names)}."
        )
    refuse_columns_of_mode(options, (options.renames.get(name, name) for name in names))
    check_schema(database, target, described)
    target_columns = {column.name: column for column in target.table.columns}
    columns: dict[str, CanonicalColumn] = {}
    for column in described.columns:
        name = options.renames.get(column.name, column.name)
        if name not in target_columns:
            landing = {options.renames.get(sent, sent) for sent in names}
            raise TableError(
                f"Table {str(target.table)!r} has no column {name!r}, which the source has."
                f"{did_you_mean(name, target_columns.keys() - landing)} Set on_schema_change to 'add' to have"
                " it added or to 'ignore' to leave it out, add it yourself, or rename it with 'renames'."
            )
        if any(name == mapped.column.name for mapped in columns.values()):
            raise ConfigurationError(f"Table {target.name!r}: two columns of the source go into {name!r}. Correct 'renames'.")
        logical = _mapped_type(database, target, column, target_columns[name], key=column.name in described.key)
        columns[column.name] = CanonicalColumn(column=target_columns[name], type=logical)
    refuse_history(options, target.table, [column.column.name for column in columns.values()])
    key = tuple(columns[name] for name in described.key)
    wanted = options.primary_key
    if wanted and sorted(wanted) != sorted(column.column.name for column in key):
        raise ConfigurationError(
            f"Table {target.name!r}: primary is {', '.join(wanted)}, but the source's key is {', '.join(described.key)}."
            " Both sides need one key: configure it at the server, too."
        )
    window = _target_window(database, target)
    return TableSlice(table=target.table, columns=tuple(columns.values()), key=key, window=window, key_range=target.key_range)


def _mapped_type(database: Database, target: Target, described: ColumnDescription, column: Column, *, key: bool) -> LogicalType:
    """Return the type by which both sides render a column; see :func:`.type_rules.mapped_type`.

    :raises TableError: if the column cannot hold the source's values; names ``on_schema_change`` if that would help
    """
    try:
        return mapped_type(str(target.table), described.type, column, database.catalog.logical_type(column))
    except TableError as error:
        wider = wider_column(database, column, described, key=key)
        if wider is None:
            raise
        raise TableError(f"{error} To have it widened to {wider.sql_type}, set on_schema_change to 'widen'.") from error


def create_statement(
    database: Database, options: TargetTable, described: Described, details: PlannedDetails | None = None
) -> str:
    """Write the CREATE TABLE of a missing target from the source's description, renames applied, with the columns of its mode.

    :param details: details of the table besides its columns and key
    :raises TableError: if the target's database has no type for a column
    """
    for column in described.columns:
        # An empty type stands for a column without a declared type.
        if column.type.kind is LogicalKind.ANY and database.ddl.sql_type(column.type, key=False):
            raise TableError(
                f"Table {options.name!r}, column {column.name!r}: the source declares no type for it, and no type of the target"
                " keeps values of any type. Declare a type at the source (of an expression, by CAST), or leave the column out"
                " with `columns`."
            )
    renamed = [
        msgspec.structs.replace(column, name=options.renames.get(column.name, column.name)) for column in described.columns
    ]
    refuse_columns_of_mode(options, (column.name for column in renamed))
    columns = [*renamed, *described_columns(options)]
    _refuse_columns_alike(database, options, [column.name for column in columns])
    key = target_key(options, (options.renames.get(name, name) for name in described.key))
    details = details or PlannedDetails()
    statements = database.details
    foreign_keys = () if statements.adds_foreign_keys else details.foreign_keys
    indexes = details.indexes if statements.indexes_in_table else ()
    return database.ddl.create_table_statement(
        options.table_name,
        columns,
        key,
        defaults=details.defaults,
        comments=details.column_comments,
        constraints=[*map(statements.foreign_key, foreign_keys), *map(statements.index_clause, indexes)],
        options=details.table_comment,
    )


def _refuse_columns_alike(database: Database, options: TargetTable, names: Sequence[str]) -> None:
    """Refuse columns whose names the target's database considers equal.

    :raises ConfigurationError: naming two of them
    """
    found: dict[str, str] = {}
    for name in names:
        alike = database.ddl.alike(name)
        if alike not in found:
            found[alike] = name
            continue
        other = found[alike]
        if other == name:
            raise ConfigurationError(f"Table {options.name!r}: two columns go into {name!r}. Correct 'renames'.")
        raise ConfigurationError(
            f"Table {options.name!r}: columns {other!r} and {name!r} are one to the target's database, which ignores how they"
            " differ. Give one of them another name with 'renames', or leave it out with 'columns'."
        )


def _target_window(database: Database, target: Target) -> Window | None:
    """Return the window with the target's column, and its start and end as canonical texts of that column's type."""
    window = _window(target.options, target.options.renames)
    if window is None:
        return None
    column = next((column for column in target.table.columns if column.name == window.column), None)
    if column is None:
        raise ConfigurationError(f"Table {target.name!r}: the target has no column {window.column!r}, which the window names.")
    logical = database.catalog.logical_type(column)
    if logical is None:
        raise ConfigurationError(
            f"Table {target.name!r}: a window cannot be of {window.column!r}, whose type {column.sql_type} has no order."
        )
    try:
        start, end = canonical_bounds(window.start, window.end, logical)
    except ProtocolError as error:
        raise ConfigurationError(f"Table {target.name!r}: window: {error}") from error
    return Window(column=window.column, start=start, end=end)


def _window(options: TargetTable, renames: Mapping[str, str]) -> Window | None:
    if options.window is None:
        return None
    column, start, end = options.window
    return Window(column=renames.get(column, column), start=start, end=end)
