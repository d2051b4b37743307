"""In which order tables are written: those that others refer to first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from sqlalchemy import Connection, inspect

from airflow_provider_sync.tables.schema import Table

Entry = TypeVar("Entry")


def parents_first(connection: Connection, entries: Sequence[Entry], table_of: Callable[[Entry], Table]) -> list[Entry]:
    """Sort so that what a foreign key points to comes before the table that it leaves from.

    Where foreign keys form a ring no order is right, and the given one is kept.
    """
    tables = [table_of(entry) for entry in entries]
    if len(tables) < 2 or not any(table.foreign_keys for table in tables):
        return list(entries)
    inspector = inspect(connection)
    default = inspector.default_schema_name
    position = {(table.schema or default, table.name): number for number, table in enumerate(tables)}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for number, table in enumerate(tables):
        keys = inspector.get_foreign_keys(table.name, table.schema) if table.foreign_keys else []
        parents = {position.get((key["referred_schema"] or table.schema or default, key["referred_table"])) for key in keys}
        sorter.add(number, *sorted(parent for parent in parents if parent is not None and parent != number))
    try:
        return [entries[number] for number in sorter.static_order()]
    except CycleError:
        return list(entries)
