"""Match the columns that a version 1 source sends with the target's columns, by name only."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.sync.tables.mode_columns import refuse_columns_of_mode, refuse_history
from airflow_provider_sync.sync.tables.target import Target


class ColumnMapping(msgspec.Struct, frozen=True, kw_only=True):
    """The target column for each source column.

    :ivar positions: positions of the columns in a row of the source; ``None`` if the row needs no rearrangement
    :ivar columns: the target's columns, in the same order
    """

    columns: tuple[Column, ...]
    positions: tuple[int, ...] | None = None


def map_sent_columns(target: Target, source_columns: Sequence[str]) -> ColumnMapping:
    """Match the columns that the source sends to those of the target, renames applied.

    :raises TableError: if the target lacks a sent column that ``on_schema_change`` does not leave out, or no key is sent
    :raises ConfigurationError: if an option names a column that the source does not send
    """
    options = target.options
    for option, named in (("columns", options.columns), ("renames", tuple(options.renames))):
        unknown = [name for name in named if name not in source_columns]
        if unknown:
            raise ConfigurationError(
                f"Table {target.name!r}: {option} names {unknown[0]!r}, which the source does not send."
                f" It sends: {', '.join(source_columns)}."
            )
    selected = target.selected(source_columns)
    refuse_columns_of_mode(options, selected.values())
    names = {column.name for column in target.table.columns}
    positions, columns, left_out = [], [], []
    for position, name in selected.items():
        if name not in names:
            if options.on_schema_change == "ignore":
                left_out.append(name)
                continue
            raise TableError(
                f"Table {str(target.table)!r} has no column {name!r}, which the source sends."
                f"{did_you_mean(name, names.difference(selected.values()))} Add it to the table, rename it with"
                " 'renames', or leave it out: with 'columns', or with 'on_schema_change: ignore'. (Version 1 of the protocol"
                " sends no types, so it cannot be added by itself.)"
            )
        if target.table.column(name).system:
            continue
        positions.append(position)
        columns.append(target.table.column(name))
    received = [column.name for column in columns]
    refuse_history(options, target.table, received)
    for name in target.key:
        if name not in received:
            raise TableError(
                f"Table {target.name!r}: the source does not send the key column {name!r}. Name another key with 'primary'."
            )
    if len(set(received)) != len(received):
        raise ConfigurationError(f"Table {target.name!r}: two columns of the source go into one. Correct 'renames'.")
    if left_out and (gone := target.gone_columns(received, protocol=1)):
        raise TableError(
            f"Table {str(target.table)!r}: only the source has {', '.join(map(repr, left_out))}, and only the target has"
            f" {', '.join(map(repr, gone))}; a column may have been renamed. If it was, name it in 'renames'. If not, add the new"
            " one to the target yourself, or set gone_columns to 'keep'."
        )
    whole = len(positions) == len(source_columns)
    return ColumnMapping(columns=tuple(columns), positions=None if whole else tuple(positions))


def version1_warnings(target: Target, columns: Sequence[Column], source_columns: Sequence[str]) -> list[str]:
    """Return a warning for each kind of column that version 1 cannot carry exactly, and one for columns that are left out.

    :param columns: columns of the target that the source sends
    :param source_columns: all columns that it sends
    """
    warnings = []
    names = {column.name for column in target.table.columns}
    asked = target.options.columns or source_columns
    left_out = [name for name in source_columns if name in asked and target.options.renames.get(name, name) not in names]
    if left_out:
        warnings.append(f"Only the source has {', '.join(map(repr, left_out))}, which on_schema_change leaves out.")
    if floats := [column.name for column in columns if column.kind is Kind.FLOAT]:
        warnings.append(
            f"Column {', '.join(floats)} of {str(target.table)!r} is FLOAT: version 1 carries six significant digits."
        )
    came = {column.name for column in columns}
    hidden = ", ".join(column.name for column in target.table.columns if column.invisible and column.name not in came)
    if hidden and not target.options.columns:
        warnings.append(
            f"Column {hidden} of {str(target.table)!r} is INVISIBLE: version 1 does not send it, so its values in the target"
            " stay as they are. Sync the table by version 2."
        )
    return warnings
