"""The extra columns that a mode needs in the target: check them in an existing table, describe them for a new one.

:func:`resolve_mode` returns the table without these columns, so that code which compares, stages or hashes the table sees only
the source's columns. :mod:`airflow_provider_sync.merge` writes their values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.databases.table_mode import MIRROR, TableMode
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from airflow_provider_sync.protocol.v2.messages import ColumnDescription
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_MOMENT = LogicalType(kind=LogicalKind.TIMESTAMP, scale=6)
_TYPES = {
    "deleted_at": _MOMENT,
    "valid_from": _MOMENT,
    "valid_to": _MOMENT,
    "is_current": LogicalType(kind=LogicalKind.BOOLEAN),
}
_NULLABLE = frozenset({"deleted_at", "valid_to"})
_DEFAULTS = {"valid_from": "'1970-01-01 00:00:00'", "is_current": "TRUE"}
"""Values for rows that exist when a column is added: they are valid, since an unknown time."""

_MOMENTS = frozenset({Kind.DATETIME, Kind.TIMESTAMP})
_SWITCHES = frozenset({Kind.BOOLEAN, Kind.INTEGER})


def described_columns(options: TargetTable) -> tuple[ColumnDescription, ...]:
    """Describe the columns that a mode adds to a new target."""
    return tuple(
        ColumnDescription(name=name, type=_TYPES[option], nullable=option in _NULLABLE)
        for option, name in options.mode_columns.items()
    )


def target_key(options: TargetTable, key: Iterable[str]) -> tuple[str, ...]:
    """Return the primary key of a new target; with ``history`` it includes the time at which a version of a row began.

    :param key: columns that identify a row of the source
    """
    return (*key, options.valid_from) if options.mode == "history" else tuple(key)


def refuse_columns_of_mode(options: TargetTable, names: Iterable[str]) -> None:
    """Refuse source columns whose target names the mode needs for its own columns.

    :raises ConfigurationError: naming the option that names the mode's column
    """
    columns = set(names)
    for option, name in options.mode_columns.items():
        if name in columns:
            raise ConfigurationError(
                f"Table {options.name!r}: the source has a column {name!r}, which mode {options.mode} needs for itself."
                f" Name another column with {option}, or rename the source's with renames."
            )


def refuse_history(options: TargetTable, table: Table, received: Collection[str]) -> None:
    """Refuse a target that keeps versions of rows unless the mode is ``history``: other modes would change ended versions.

    :param table: the target; a table that keeps versions has the time at which a version began in its key
    :param received: the target's names of the columns that the source sends
    :raises TableError: naming the key column that contains this time
    """
    if options.mode == "history" or len(table.primary_key) < 2:
        return
    unsent = [table.column(name) for name in table.primary_key if name not in received]
    if len(unsent) == 1 and not list(_reasons_against("valid_from", unsent[0])):
        name = unsent[0].name
        raise TableError(
            f"Table {str(table)!r} keeps a history: it has {name!r} in its primary key, and the source sends no such column. Mode"
            f" {options.mode} would overwrite and delete versions. Set mode: history and valid_from: {name}, or name another"
            " table with 'table'."
        )


def resolve_mode(database: Database, connection: Connection, options: TargetTable, table: Table) -> tuple[TableMode, Table]:
    """Find the columns that the mode of a table needs.

    :param table: the target database's description
    :return: the mode, and the table without the mode's columns and limited to the rows that must equal the source's
    :raises TableError: if a column is missing or has the wrong type, or a key does not allow several versions of a row; the
        message has the statements to run
    """
    if options.mode == "mirror":
        return MIRROR, table
    names = {column.name: column for column in table.columns}
    found = {option: names.get(name) for option, name in options.mode_columns.items()}
    if missing := [option for option, column in found.items() if column is None]:
        raise _missing(database, connection, options, table, missing)
    columns = {option: column for option, column in found.items() if column is not None}
    for option, column in columns.items():
        _check_column(database, options, table, option, column)
    mode = TableMode(name=options.mode, **columns)
    if options.mode == "history":
        _check_keys(database, connection, options, table)
    return mode, _without_columns(table, mode)


def _without_columns(table: Table, mode: TableMode) -> Table:
    if not mode.columns:
        return table
    own = {column.name for column in mode.columns}
    return msgspec.structs.replace(
        table,
        columns=tuple(column for column in table.columns if column.name not in own),
        primary_key=tuple(name for name in table.primary_key if name not in own),
        unique_keys=tuple(unique for unique in table.unique_keys if not own & set(unique.columns)),
        # With several versions of a row, the order by the database's row id is not the order by key.
        row_id=None if mode.valid_from else table.row_id,
        ended_at=mode.ended_at,
    )


def _missing(database: Database, connection: Connection, options: TargetTable, table: Table, missing: list[str]) -> TableError:
    names = ", ".join(repr(options.mode_columns[option]) for option in missing)
    plural = len(missing) > 1
    message = (
        f"Table {str(table)!r} has no column{'s' if plural else ''} {names}, which mode {options.mode} needs"
        f" (option{'s' if plural else ''} {', '.join(missing)})."
    )
    statements = [_add_column(database, options, table, option) for option in missing]
    if options.mode == "history" and options.valid_from not in table.primary_key:
        changed = database.ddl.change_key_statements(connection, table, _wanted_key(options, table))
        if not changed:
            return TableError(f"{message} {_NEW_TABLE}")
        statements += changed
    return TableError(f"{message} Run:\n" + "\n".join(f"{statement};" for statement in statements))


_NEW_TABLE = (
    "This database cannot change a primary key, and the target's must include valid_from: rename the table, and let create_table"
    " make a new one."
)


def _add_column(database: Database, options: TargetTable, table: Table, option: str) -> str:
    sql_type = database.ddl.sql_type(_TYPES[option], key=option == "valid_from")
    definition = database.ddl.definition(sql_type, required=option not in _NULLABLE)
    default = f" DEFAULT {_DEFAULTS[option]}" if option in _DEFAULTS else ""
    name = database.quote(options.mode_columns[option])
    return f"ALTER TABLE {database.qualified(table)} ADD COLUMN {name} {definition}{default}"


def _check_column(database: Database, options: TargetTable, table: Table, option: str, column: Column) -> None:
    """Check that a column can hold the values that the merge writes.

    :raises TableError: naming the option
    """
    reasons = list(_reasons_against(option, column))
    if not reasons:
        return
    wanted = database.ddl.sql_type(_TYPES[option], key=False) + (" NULL DEFAULT NULL" if option in _NULLABLE else "")
    raise TableError(
        f"Table {str(table)!r}: column {column.name!r} ({column.sql_type}) cannot be the {option} of mode {options.mode}:"
        f" {reasons[0]}. Declare it {wanted}, or name another column with {option}."
    )


def _reasons_against(option: str, column: Column) -> Iterator[str]:
    if column.kind not in (_SWITCHES if option == "is_current" else _MOMENTS):
        yield f"it holds no {'truth values' if option == 'is_current' else 'timestamps'}"
    if column.generated or column.system:
        yield "the database computes its values"
    if option in _NULLABLE and not column.nullable:
        yield "it is NOT NULL, and NULL marks the rows that the source has"
    if option == "deleted_at" and column.sets_itself:
        yield "the database sets it in new or changed rows (DEFAULT, ON UPDATE), and NULL marks the rows that the source has"


def _check_keys(database: Database, connection: Connection, options: TargetTable, table: Table) -> None:
    """Check that no unique key of the table forbids several versions of a row.

    :raises TableError: naming the key and what to do
    """
    wanted = _wanted_key(options, table)
    if set(table.primary_key) != set(wanted):
        statements = database.ddl.change_key_statements(connection, table, wanted)
        remedy = "Run:\n" + "\n".join(f"{statement};" for statement in statements) if statements else _NEW_TABLE
        raise TableError(
            f"Table {str(table)!r}: its primary key is {', '.join(table.primary_key) or 'missing'}, and mode history needs"
            f" {', '.join(wanted)} (option valid_from), so that a row can have several versions. {remedy}"
        )
    for unique in table.unique_keys:
        if not {options.valid_from, options.valid_to} & set(unique.columns):
            raise TableError(
                f"Table {str(table)!r}: the unique key {unique.name!r} ({', '.join(unique.columns)}) forbids the second version"
                f" of a row, which mode history keeps. Drop it, or add {options.valid_from} to it."
            )


def _wanted_key(options: TargetTable, table: Table) -> tuple[str, ...]:
    key = options.primary_key or tuple(name for name in table.primary_key if name != options.valid_from)
    return (*key, options.valid_from)
