"""The indexes, foreign keys, defaults and comments of a table, limited to columns and tables that the client may see."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_sync.config import SourceTable
from airflow_provider_sync.databases.found_details import FoundDetails, FoundForeignKey
from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.protocol.v2.described_details import MAX_DETAILS, MAX_TEXT, ForeignKeyDescription, TableDetails
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.tables.offered_tables import VisibleTables
from airflow_provider_sync.server.tables.open_table import OpenTable


def offered_details(opened: OpenTable, visible: VisibleTables, sources: Sources, table_slice: TableSlice) -> TableDetails:
    """Return the details of a table that concern the columns of a slice, and tables that the caller may see."""
    found = _found(opened)
    columns = set(table_slice.column_names)
    is_whole = columns.issuperset(column.name for column in opened.table.columns if not column.system)
    untold = [what for column, what in found.untold if (is_whole if column is None else column in columns)]
    indexes = [index for index in found.indexes if columns.issuperset(index.columns)]
    foreign_keys = []
    # Listed once, since patterns require queries to their databases.
    tables = visible.list() if found.foreign_keys else []
    for key in found.foreign_keys:
        if not columns.issuperset(key.columns):
            continue
        parent = _name_of(opened, key, tables, sources)
        if parent is None:
            untold.append(f"foreign key {key.name!r}, since the table to which it refers is not offered")
            continue
        foreign_keys.append(
            ForeignKeyDescription(
                name=key.name,
                columns=key.columns,
                parent=parent,
                parent_columns=key.parent_columns,
                on_delete=key.on_delete,
                on_update=key.on_update,
            )
        )
    if not is_whole:
        untold.append("what is about columns that are not synced")
    return TableDetails(
        indexes=tuple(indexes[:MAX_DETAILS]),
        foreign_keys=tuple(foreign_keys[:MAX_DETAILS]),
        defaults={
            name: default
            for name, default in list(found.defaults.items())[:MAX_DETAILS]
            if name in columns and len(default.text or "") <= MAX_TEXT
        },
        comments={name: comment[:MAX_TEXT] for name, comment in list(found.comments.items())[:MAX_DETAILS] if name in columns},
        comment=found.comment and found.comment[:MAX_TEXT],
        untold=tuple(what[:MAX_TEXT] for what in untold[:MAX_DETAILS]),
    )


def _found(opened: OpenTable) -> FoundDetails:
    """Return the table's details from the catalog; a view or a query, such as a table with a mask, has none."""
    if opened.table.is_view or opened.table.query is not None:
        why = "since the source is a view, a query, or a table with a mask or a condition"
        return FoundDetails(untold=((None, f"indexes, foreign keys and defaults, {why}"),))
    return opened.database.catalog.table_details(opened.connection, opened.table)


def _name_of(opened: OpenTable, key: FoundForeignKey, tables: Sequence[SourceTable], sources: Sources) -> str | None:
    """Return the name under which the caller may see the table to which a foreign key refers."""
    schema = key.parent_schema or opened.table.schema
    parent = f"{schema}.{key.parent}" if schema else key.parent
    url = opened.database.engine.url
    named = (table for table in tables if table.table_name == parent)
    return next((table.name for table in named if sources.database(table).engine.url == url), None)
