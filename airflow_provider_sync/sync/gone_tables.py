"""Tables of the target that the source offers no longer: warn of them, or drop those that belong to it by ``drop_missing``.

Dropping is the last step of a run in which nothing failed. What a table holds cannot be had again, so all of this has to be true:

- a pattern of the run matches it, and so does ``drop_missing``;
- the run has not synced it over another URL of the same database;
- the source has not offered it when the run began, and does not offer it now, but other tables of the pattern;
- no foreign key, view or trigger needs it, except of tables that are dropped, too;
- there are at most ``max_drops``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.config.table_patterns import is_excluded, is_pattern, matches, translated
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table, is_own_table
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    GuardError,
    RefusedDeletes,
    SyncError,
    SyncFailed,
    TableError,
)
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.other_connections import OtherTables, tables_here
from airflow_provider_sync.sync.pattern_resolution import MAX_NAMED, expand, offered_tables
from airflow_provider_sync.sync.time_limit import LOCK_TIMEOUT
from airflow_provider_sync.sync.traffic import Measure


class GoneTable(msgspec.Struct, frozen=True):
    """A table of the target that a pattern matches and that is not among those of the source.

    :ivar pattern: the first one that matches
    :ivar name: under which the source would offer it
    :ivar table_name: in the target
    """

    pattern: TargetTable
    name: str
    table_name: str

    @property
    def is_to_drop(self) -> bool:
        """Whether the user says that it belongs to the source."""
        return any(matches(belonging, self.table_name) for belonging in self.pattern.drop_missing)


def find_gone(database: Database, patterns: Sequence[TargetTable], tables: Sequence[TargetTable]) -> list[GoneTable]:
    """Find tables of the target that patterns match and that are not among those of the source.

    Names that differ by case only count as equal, so that a table is not taken for gone on a database that folds case.

    :param tables: everything that the run syncs into this database
    """
    kept = {table.table_name.casefold() for table in tables}
    found: list[GoneTable] = []
    with database.connect() as connection:
        for pattern in patterns:
            schema, dot, _ = pattern.table_name.partition(".")
            if dot and is_pattern(schema):
                continue  # the schemas of the target need not be those of the source
            for bare in database.catalog.list_tables(connection, schema if dot else None):
                table = f"{schema}.{bare}" if dot else bare
                name = translated(table, pattern.table_name, pattern.name)
                if name is None or is_own_table(bare) or is_excluded(name, pattern.exclude) or table.casefold() in kept:
                    continue
                kept.add(table.casefold())
                found.append(GoneTable(pattern, name, table))
    return found


def gone_warnings(database: Database, patterns: Sequence[TargetTable], tables: Sequence[TargetTable]) -> dict[str, str]:
    """Warn of tables that are gone and stay in the target.

    :param patterns: those whose tables are kept in this database; without any, nothing is looked for
    :param tables: everything that the run syncs into this database
    :return: warnings, by the name of the table whose report should carry them
    """
    if not patterns or not tables:
        return {}
    gone = [table for table in find_gone(database, patterns, tables) if not table.is_to_drop]
    warnings: dict[str, str] = {}
    for pattern in patterns:
        names = [table.table_name for table in gone if table.pattern is pattern]
        if not names:
            continue
        own = next((table.name for table in tables if table == pattern.named(table.name)), tables[0].name)
        more = f" and {len(names) - MAX_NAMED} more" if names[MAX_NAMED:] else ""
        text = (
            f"The target has tables that {pattern.name!r} matches and the source does not offer:"
            f" {', '.join(names[:MAX_NAMED])}{more}. They stay as they are: drop them, leave them out with 'exclude', or name"
            " them in 'drop_missing'."
        )
        warnings[own] = f"{warnings[own]} {text}" if own in warnings else text
    return warnings


def with_warnings(reports: Iterable[TableReport], warnings: Mapping[str, str]) -> list[TableReport]:
    """Add warnings to the reports of the tables that they are kept by."""
    return [
        msgspec.structs.replace(report, warnings=(*report.warnings, warnings[report.name])) if report.name in warnings else report
        for report in reports
    ]


def drop_gone(
    client: SyncClient,
    database: Database,
    patterns: Sequence[TargetTable],
    tables: Sequence[TargetTable],
    *,
    others: OtherTables = (),
    dry_run: bool = False,
) -> list[TableReport]:
    """Drop what the module's docstring says, all of it or, where the database can undo that, nothing.

    :param patterns: those whose tables are kept in this database
    :param tables: everything that the run has synced into this database
    :param others: what it has synced over other URLs, which may lead to the same database
    :return: a report for each of these tables
    :raises SyncFailed: when a table may not be dropped, with a report for each
    """
    gone = [table for table in find_gone(database, patterns, tables) if table.is_to_drop]
    if not gone:
        return []
    measure = Measure(client)
    try:
        asked = [("", pattern) for pattern in patterns]
        offered = offered_tables(client, asked, again=True)
        expand(asked, offered, ())
        gone = _without_synced(database, _without(gone, offered), others)
        _check_number(gone, patterns, offered=len(offered))
        rows = _drop(database, gone, dry_run=dry_run)
    except SyncError as error:
        costs = measure.so_far()
        reports = [TableReport(name=table.name, status="failed", protocol=2, error=str(error), **costs) for table in gone]
        raise SyncFailed.of([error], reports) from error
    return [
        TableReport(
            name=table.name,
            status="planned" if dry_run else "changed",
            protocol=2,
            rows_deleted=rows[table.table_name],
            schema_changes=(f"drop table {table.table_name!r}, which the source does not offer any more",),
            **(measure.so_far() if number == 0 else {}),
        )
        for number, table in enumerate(gone)
    ]


def refuse_drops(patterns: Iterable[TargetTable]) -> None:
    """Refuse ``drop_missing`` for the steps of a sync.

    :raises ConfigurationError: when a pattern has it
    """
    if any(pattern.drop_missing for pattern in patterns):
        raise ConfigurationError(
            "drop_missing: tables are dropped after everything else, and there is no last step when all other tables are up to"
            " date. Take TableSyncOperator, or leave drop_missing out."
        )


def _without(gone: Sequence[GoneTable], offered: Collection[str]) -> list[GoneTable]:
    """Leave out what the source offers, perhaps again, or under a name that goes into another table of the target."""
    names = {name.casefold() for name in offered}
    return [table for table in gone if table.name.casefold() not in names]


def _without_synced(database: Database, gone: Sequence[GoneTable], others: OtherTables) -> list[GoneTable]:
    """Leave out what the run has synced over another URL."""
    synced = [table for opened, tables in others for table in tables_here(database, opened, tables)]
    with database.connect() as connection:
        places, synced_places = (
            database.catalog.places_of(connection, [table.table_name for table in tables]) for tables in (gone, synced)
        )
    return [table for table, place in zip(gone, places, strict=True) if place not in synced_places]


def _check_number(gone: Sequence[GoneTable], patterns: Sequence[TargetTable], *, offered: int) -> None:
    for pattern in patterns:
        names = [table.table_name for table in gone if table.pattern is pattern]
        if len(names) > pattern.max_drops:
            error = GuardError(
                f"The sync of {pattern.name!r} would drop {len(names)} tables that the source does not offer any more:"
                f" {', '.join(names)}; max_drops is {pattern.max_drops}. Nothing was dropped. If that is right, set max_drops to"
                f" {len(names)}."
            )
            drops, has = len(names), len(names) + offered
            error.refused = (RefusedDeletes("tables", pattern.name, deletes=drops, present=has, offered=offered, names=names),)
            raise error


def _drop(database: Database, gone: Sequence[GoneTable], *, dry_run: bool) -> dict[str, int]:
    """Drop tables, and return the numbers of their rows by their names in the target."""
    names = [table.table_name for table in gone]
    if not names:
        return {}
    with database.exclusive(names, timeout=LOCK_TIMEOUT) as lock, database.connect() as connection:
        found = {name: database.catalog.describe(connection, name) for name in names}
        order = _in_order(database, connection, found)
        rows = {name: database.reader.count(connection, table) for name, table in found.items()}
        if not dry_run:
            lock.check()
            database.ddl.drop_targets(connection, [found[name] for name in order])
    return rows


def _in_order(database: Database, connection: Connection, tables: dict[str, Table]) -> list[str]:
    """Sort tables so that each comes after those that need it.

    :raises TableError: when something else needs one of them
    """
    needed_by = {name: database.catalog.find_dependents(connection, table) for name, table in tables.items()}
    order: list[str] = []
    while left := [name for name in tables if name not in order]:
        dropped = {("table", str(tables[name])) for name in order}
        free = [name for name in left if all((entry.kind, entry.name) in dropped for entry in needed_by[name])]
        if not free:
            name = left[0]
            others = [entry for entry in needed_by[name] if (entry.kind, entry.name) not in dropped]
            raise TableError(
                f"Table {name!r}, which the source does not offer any more, cannot be dropped: {', '.join(map(str, others))}"
                f" {'needs' if len(others) == 1 else 'need'} it. Nothing was dropped. Drop what needs it first, or leave the"
                " table out of drop_missing."
            )
        order += free
    return order
