"""Decide the order in which tables are written: parents before their children."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeVar

from sqlalchemy import Connection, inspect

from airflow_provider_sync.databases.schema import Table

Entry = TypeVar("Entry")


def parents_first(connection: Connection, entries: Sequence[Entry], table_of: Callable[[Entry], Table]) -> list[Entry]:
    """Sort tables so that each comes after the tables to which its foreign keys refer.

    If foreign keys form a cycle, a table whose foreign key may be NULL comes before its parent; if none may be NULL, the tables
    of the cycle keep the given order. Tables without such references keep the given order.
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
    """Sort table numbers so that each comes after its parents; in a cycle, ignore one parent.

    :param required: pairs of parent and child whose foreign key cannot be NULL
    """
    while True:
        try:
            return list(TopologicalSorter({number: sorted(places) for number, places in parents.items()}).static_order())
        except CycleError as error:
            cycle: list[int] = error.args[1]
            # In `cycle`, each number is a parent of the next.
            parent, child = min(pairwise(cycle), key=lambda pair: (pair in required, pair[0] < pair[1]))
            parents[child].discard(parent)
