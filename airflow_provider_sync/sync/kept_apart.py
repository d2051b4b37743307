"""Check that no two entries of a run share a target table, unless neither deletes the other's rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import ConfigurationError, SyncError, TableBusyError
from airflow_provider_sync.sync.other_connections import OtherTables, tables_here


def check_kept_apart(
    database: Database,
    tables: Sequence[TargetTable],
    others: OtherTables = (),
    *,
    by_patterns: bool,
    single_transaction: bool,
) -> None:
    """Check that no two entries share a target table, for example by names that differ only by case, or by two connections.

    :param tables: all tables that the run syncs into this database
    :param others: tables that it syncs over other connections, which may lead to the same server
    :param by_patterns: whether patterns chose some of the tables; if not, two entries may share a target table on purpose, if
        neither deletes the other's rows
    :param single_transaction: whether the tables of this database are merged in one transaction, which has each table only once
    :raises ConfigurationError: naming both entries
    """
    _check_connection(database, tables, by_patterns=by_patterns, single_transaction=single_transaction)
    _check_connections(database, tables, others)


def _check_connection(database: Database, tables: Sequence[TargetTable], *, by_patterns: bool, single_transaction: bool) -> None:
    for group in _alike(tables).values():
        for first, second in combinations(group, 2):
            if not by_patterns:
                _check_undone(database, first, second, ", and set single_transaction to false")
            if (by_patterns or single_transaction) and _are_one(database, first.table_name, second.table_name):
                advice = (
                    "Give one of them another name with 'table', or leave it out with 'exclude'."
                    if by_patterns
                    else "Set single_transaction to false, since one transaction cannot merge both; or leave one of them out."
                )
                raise ConfigurationError(f"{_one_table(first, second)}. {advice}")


def _check_connections(database: Database, tables: Sequence[TargetTable], others: OtherTables) -> None:
    """Check that no table shares a target table with an entry of another connection if either sync deletes the other's rows.

    Other connections are opened only for tables with similar names; one that does not answer fails in its own sync.
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
        try:
            here = tables_here(database, opened, [second for _, second in pairs])
        except SyncError:
            continue
        for (first, _), place, second in zip(pairs, places, here, strict=False):
            name = ".".join(place)
            if name.casefold() == second.table_name.casefold():
                _check_undone(database, first.model_copy(update={"table": name}), second)


def _alike(tables: Iterable[TargetTable]) -> dict[str, list[TargetTable]]:
    """Group entries that may share a target table, by table name without schema and case."""
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
    """Tell whether two names mean the same table, by their locks: those can be taken even for tables that do not exist."""
    if name == other:
        return True
    try:
        with database.exclusive([name, other], timeout=0.0):
            return False
    except TableBusyError:
        return False
    except ConfigurationError:
        return True
