"""In which order tables are written: those that others refer to first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeVar

from sqlalchemy import Connection, inspect

from airflow_provider_sync.databases.schema import Table

Entry = TypeVar("Entry")


def parents_first(connection: Connection, entries: Sequence[Entry], table_of: Callable[[Entry], Table]) -> list[Entry]:
    """Sort so that what a foreign key points to comes before the table that it leaves from.

    Where foreign keys form a ring no order is right: a table comes too early whose own columns may be NULL until then, or else
    its tables keep the given order. All others come in theirs.
    """
    tables = [table_of(entry) for entry in entries]
    if len(tables) < 2 or not any(table.foreign_keys for table in tables):
        return list(entries)
    inspector = inspect(connection)
    default = inspector.default_schema_name
    position = {(table.schema or default, table.name): number for number, table in enumerate(tables)}
    parents: dict[int, set[int]] = {}
    required: set[tuple[int, int]] = set()
    for number, table in enumerate(tables):
        parents[number] = set()
        for key in inspector.get_foreign_keys(table.name, table.schema) if table.foreign_keys else []:
            place = position.get((key["referred_schema"] or table.schema or default, key["referred_table"]))
            if place is not None and place != number:
                parents[number].add(place)
                if not any(column.nullable for column in table.columns if column.name in key["constrained_columns"]):
                    required.add((place, number))
    return [entries[number] for number in _sorted(parents, required)]


def _sorted(parents: dict[int, set[int]], required: Collection[tuple[int, int]]) -> list[int]:
    """Sort numbers behind their parents, of which one has to be passed over in a ring.

    :param required: parents and children of which the child cannot do without
    """
    while True:
        try:
            return list(TopologicalSorter({number: sorted(places) for number, places in parents.items()}).static_order())
        except CycleError as error:
            ring: list[int] = error.args[1]
            # Each is a parent of the next.
            parent, child = min(pairwise(ring), key=lambda pair: (pair in required, pair[0] < pair[1]))
            parents[child].discard(parent)
