"""In which order tables are written: those that others refer to first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeVar

from sqlalchemy import Connection, inspect

from airflow_provider_sync.tables.schema import Table

Entry = TypeVar("Entry")


def parents_first(connection: Connection, entries: Sequence[Entry], table_of: Callable[[Entry], Table]) -> list[Entry]:
    """Sort so that what a foreign key points to comes before the table that it leaves from.

    Where foreign keys form a ring no order is right, and its tables keep the given one; all others come in theirs.
    """
    tables = [table_of(entry) for entry in entries]
    if len(tables) < 2 or not any(table.foreign_keys for table in tables):
        return list(entries)
    inspector = inspect(connection)
    default = inspector.default_schema_name
    position = {(table.schema or default, table.name): number for number, table in enumerate(tables)}
    parents: dict[int, set[int]] = {}
    for number, table in enumerate(tables):
        keys = inspector.get_foreign_keys(table.name, table.schema) if table.foreign_keys else []
        places = {position.get((key["referred_schema"] or table.schema or default, key["referred_table"])) for key in keys}
        parents[number] = {place for place in places if place is not None and place != number}
    return [entries[number] for number in _sorted(parents)]


def _sorted(parents: dict[int, set[int]]) -> list[int]:
    """Sort numbers behind their parents; in a ring, a parent that has the higher number is passed over."""
    while True:
        try:
            return list(TopologicalSorter({number: sorted(places) for number, places in parents.items()}).static_order())
        except CycleError as error:
            ring: list[int] = error.args[1]
            # Each is a parent of the next.
            parent, child = next((parent, child) for parent, child in pairwise(ring) if parent > child)
            parents[child].discard(parent)
