"""Check that no two tables of a run are one table of the target, unless neither deletes what is the other's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import combinations, product

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import ConfigurationError, SyncError, TableBusyError
from airflow_provider_sync.sync.other_connections import OtherTables, tables_here


def check_kept_apart(database: Database, tables: Sequence[TargetTable], others: OtherTables = (), *, by_patterns: bool) -> None:
    """Check that no two tables go into one, as names that differ by case only, or two connections to one server, may.

    :param tables: everything that the run syncs into this database
    :param others: what it syncs over other connections, which may lead to the same server
    :param by_patterns: whether patterns chose some; otherwise two may go into one on purpose, if neither deletes the other's rows
    :raises ConfigurationError: naming both
    """
    _check_connection(database, tables, by_patterns=by_patterns)
    _check_connections(database, tables, others)


def _check_connection(database: Database, tables: Sequence[TargetTable], *, by_patterns: bool) -> None:
    for group in _alike(tables).values():
        for first, second in combinations(group, 2):
            if not by_patterns:
                _check_undone(database, first, second, ", and set single_transaction to false")
            elif _are_one(database, first.table_name, second.table_name):
                raise ConfigurationError(
                    f"{_one_table(first, second)}. Give one of them another name with 'table', or leave it out with 'exclude'."
                )


def _check_connections(database: Database, tables: Sequence[TargetTable], others: OtherTables) -> None:
    """Check that no table goes into one of another connection if the sync of one deletes the other's rows.

    Connections are opened only for tables of like names; one that does not answer fails by itself.
    """
    alike = _alike(tables)
    for opened, there in others:
        pairs = [
            (first, second)
            for bare_name, group in _alike(there).items()
            for first, second in product(alike.get(bare_name, ()), group)
            if first.deletes_rows_of_others or second.deletes_rows_of_others
        ]
        if not pairs:
            continue
        with database.connect() as connection:
            places = database.catalog.places_of(connection, [first.table_name for first, _ in pairs])
        here: list[TargetTable] = []
        with suppress(SyncError):
            here = tables_here(database, opened, [second for _, second in pairs])
        for (first, _), place, second in zip(pairs, places, here, strict=False):
            name = ".".join(place)
            if name.casefold() == second.table_name.casefold():
                _check_undone(database, first.model_copy(update={"table": name}), second)


def _alike(tables: Iterable[TargetTable]) -> dict[str, list[TargetTable]]:
    """Group tables that may be one table of the target, by their names without schema and case."""
    alike: dict[str, list[TargetTable]] = {}
    for table in tables:
        alike.setdefault(table.table_name.rpartition(".")[2].casefold(), []).append(table)
    return alike


def _check_undone(database: Database, first: TargetTable, second: TargetTable, way_out: str = "") -> None:
    deleting = [table.name for table in (first, second) if table.deletes_rows_of_others]
    if deleting and _are_one(database, first.table_name, second.table_name):
        raise ConfigurationError(
            f"{_one_table(first, second)}, and the sync of {deleting[0]!r} would delete the other's rows. Leave one of them out;"
            f" or give each a window, or a mode that deletes nothing{way_out}."
        )


def _one_table(first: TargetTable, second: TargetTable) -> str:
    return f"{first.name!r} and {second.name!r} of the source would be one table of the target, {first.table_name!r}"


def _are_one(database: Database, name: str, other: str) -> bool:
    """Whether two names mean one table; the locks of tables, which need not exist, show it."""
    if name == other:
        return True
    try:
        with database.exclusive([name, other], timeout=0.0):
            return False
    except TableBusyError:
        return False
    except ConfigurationError:
        return True
