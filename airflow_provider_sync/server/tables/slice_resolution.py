"""Resolve the table slice of a request, and choose its partitioning."""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec

from airflow_provider_sync.config.source_tables import HASH_MASK
from airflow_provider_sync.databases.partitioning import SEGMENT_ROWS, USUAL_SEGMENTS, segments_for
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.table_slice import CanonicalColumn, TableSlice
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.protocol.v2.bounds import canonical_bound
from airflow_provider_sync.protocol.v2.checks import check_key_range
from airflow_provider_sync.protocol.v2.messages import (
    ALL_COLUMNS,
    ColumnDescription,
    KeyRange,
    Partitioning,
    RequestedSlice,
    Scheme,
    Window,
)
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.server.json_requests import invalid_field
from airflow_provider_sync.server.tables.open_table import OpenTable
from airflow_provider_sync.server.tables.source_relation import HASH_LENGTH


def resolve_slice(opened: OpenTable, requested_slice: RequestedSlice) -> TableSlice:
    """Resolve the requested slice to columns of this database: the named columns and those of the key.

    :raises InvalidRequest: for columns and windows that do not exist or are not allowed
    :raises TableError: if the configuration does not fit the table
    """
    columns = _selected_columns(opened, requested_slice.columns, in_order=bool(requested_slice.key))
    by_name = {column.name: _canonical(opened, column, "table_slice.columns") for column in columns}
    zeros = (
        by_name.keys() if requested_slice.trailing_zeros == ALL_COLUMNS else by_name.keys() & set(requested_slice.trailing_zeros)
    )
    for name in zeros:
        by_name[name] = _with_zeros(by_name[name])
    table_slice = TableSlice(
        table=opened.table,
        columns=tuple(by_name.values()),
        key=tuple(by_name[name] for name in opened.key(columns)),
        window=_window(opened, requested_slice.window),
        key_range=requested_slice.key_range,
    )
    if requested_slice.key:
        _check_key(table_slice, requested_slice.name, requested_slice.key)
    if requested_slice.key_range is not None:
        _check_key_range(table_slice, requested_slice.name, requested_slice.key_range)
    return table_slice


def choose_partitioning(opened: OpenTable, table_slice: TableSlice, rows: int, schemes: Container[Scheme]) -> Partitioning:
    """Choose a partitioning whose segments have about :data:`SEGMENT_ROWS` rows, with at most :data:`USUAL_SEGMENTS` of them.

    :param rows: estimated number of rows of the slice
    :param schemes: partitioning schemes that the client supports
    """
    segment_count = min(USUAL_SEGMENTS, segments_for(rows, each=SEGMENT_ROWS))
    bounds = opened.database.digests.key_bounds(opened.connection, table_slice) if has_ranges(table_slice) else None
    if bounds is None or not _finds_ranges(opened, table_slice, bounds[0]):
        by_key = "key_hash" in schemes and "key_hash" in opened.database.digests.schemes
        return Partitioning(scheme="key_hash" if by_key else "row_hash", segment_count=segment_count)
    low, high = bounds
    keys = high - low + 1
    return Partitioning(scheme="key_range", segment_count=min(segment_count, 1 << (keys.bit_length() - 1)), low=low, high=high)


def has_ranges(table_slice: TableSlice) -> bool:
    """Tell whether the slice can be partitioned by key range."""
    return (
        len(table_slice.key) == 1
        and table_slice.key[0].type.kind == LogicalKind.INTEGER
        and table_slice.key[0].column.kind == Kind.INTEGER
    )


def _finds_ranges(opened: OpenTable, table_slice: TableSlice, key: int) -> bool:
    """Tell whether an index finds key ranges; tables are assumed to have one.

    Without an index, each range would cost a scan, while one scan finds the rows of many hash segments.

    :param key: any existing key
    """
    if not table_slice.table.is_derived or table_slice.has_indexed_ranges:
        return True
    return opened.database.queries.finds_ranges(opened.connection, msgspec.structs.replace(table_slice, key_range=(key, key)))


def needs_scans(table_slice: TableSlice, partitioning: Partitioning) -> bool:
    """Tell whether a view or a query must be scanned to find the rows of a segment."""
    table = table_slice.table
    return table.is_derived and not table.unique_keys and partitioning.scheme != "key_range"


def _check_key(table_slice: TableSlice, name: str, described: Sequence[ColumnDescription]) -> None:
    """Refuse a request if the key changed since the description: rows listed by the old key are not found by the new one."""
    before = [(column.name, column.type.kind, column.type.scale) for column in described]
    now = [(key.column.name, key.type.kind, key.type.scale) for key in table_slice.key]
    if before != now:
        was, has = (", ".join(f"{column} ({kind})" for column, kind, _ in key) for key in (before, now))
        message = f"Table {name!r} was described with the key {was}, and now has the key {has}. Sync it again."
        raise invalid_field("table_slice.key", message)


def _check_key_range(table_slice: TableSlice, name: str, key_range: KeyRange) -> None:
    if not has_ranges(table_slice):
        raise invalid_field("table_slice.key_range", f"Table {name!r} has no single integer key, so it has no ranges of keys.")
    try:
        check_key_range(key_range)
    except ProtocolError as error:
        raise invalid_field("table_slice.key_range", str(error)) from error


def _selected_columns(opened: OpenTable, names: Sequence[str] | None, *, in_order: bool) -> Sequence[Column]:
    """Return the columns with these names and those of the key, in the order of the table, or ``in_order`` of the names."""
    columns = opened.offered_columns()
    key = opened.key(columns)
    if names is None:
        return columns
    chosen = dict.fromkeys(names)
    by_name = {column.name: column for column in columns}
    if unknown := sorted(chosen.keys() - by_name.keys()):
        known = ", ".join(by_name)
        message = f"Table {opened.source.name!r} offers no column {unknown[0]!r}.{did_you_mean(unknown[0], by_name)}"
        message += f" Its columns: {known}."
        raise invalid_field("table_slice.columns", message)
    chosen |= dict.fromkeys(key)
    return [by_name[name] for name in (chosen if in_order else by_name) if name in chosen]


def _canonical(opened: OpenTable, column: Column, field: str) -> CanonicalColumn:
    kind = opened.database.catalog.logical_type(column)
    if kind is None:
        raise invalid_field(
            field,
            f"Table {opened.source.name!r} has the column {column.name!r} of type {column.sql_type}, which version 2 cannot"
            f" carry. Leave it out with `columns`.",
        )
    if opened.source.mask.get(column.name) == HASH_MASK:
        kind = msgspec.structs.replace(kind, shortest=HASH_LENGTH)
    return CanonicalColumn(column=column, type=kind)


def _with_zeros(column: CanonicalColumn) -> CanonicalColumn:
    """Return the column with trailing zeros kept, if it is a decimal of any scale; otherwise the column itself."""
    if column.type != LogicalType(kind=LogicalKind.DECIMAL):
        return column
    return msgspec.structs.replace(column, type=msgspec.structs.replace(column.type, trailing_zeros=True))


def _window(opened: OpenTable, window: Window | None) -> Window | None:
    if window is None:
        return None
    source = opened.source
    if window.column not in source.windows:
        allowed = f"Allowed: {', '.join(source.windows) or 'none'}."
        raise invalid_field(
            "table_slice.window",
            f"Table {source.name!r} does not allow windows of the column {window.column!r}. {allowed}"
            f" Name it under `windows` in the server's configuration.",
        )
    opened.check_names("windows", source.windows)
    kind = _canonical(opened, opened.table.column(window.column), "table_slice.window").type
    try:
        return msgspec.structs.replace(window, start=canonical_bound(window.start, kind), end=canonical_bound(window.end, kind))
    except ProtocolError as error:
        raise invalid_field("table_slice.window", str(error)) from error
