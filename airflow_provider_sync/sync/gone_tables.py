"""Tables of the target that the source no longer offers: warn about them, or drop those that ``drop_missing`` names.

Dropping is the last step of a run without failures. A dropped table cannot be restored, so it is dropped only if:

- a pattern of the run matches it, and so does the pattern's ``drop_missing``;
- the run has not synced it over another URL of the same database;
- the source offered it neither when the run began nor now, but does offer other tables that the pattern matches;
- no foreign key, view or trigger depends on it, except those of other tables that are dropped;
- at most ``max_drops`` tables of the pattern would be dropped.
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
    """A table of the target that a pattern matches and that the source does not offer.

    :ivar pattern: the first pattern that matches
    :ivar name: the name under which the source would offer the table
    :ivar table_name: the table's name in the target
    """

    pattern: TargetTable
    name: str
    table_name: str

    @property
    def is_to_drop(self) -> bool:
        """Whether ``drop_missing`` matches the table."""
        return any(matches(belonging, self.table_name) for belonging in self.pattern.drop_missing)


def find_gone(database: Database, patterns: Sequence[TargetTable], tables: Sequence[TargetTable]) -> list[GoneTable]:
    """Find tables of the target that patterns match and that the source does not offer.

    Names that differ only by case count as equal, since some databases fold the case of names.

    :param tables: all tables that the run syncs into this database
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
    """Warn about tables that the source no longer offers and that stay in the target.

    :param patterns: the patterns whose tables are in this database; if there are none, the target is not searched
    :param tables: all tables that the run syncs into this database
    :return: warnings, by the name of the table in whose report they belong
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
    """Add warnings to reports, by table name."""
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
    """Drop the tables that satisfy the rules in the module's docstring; in one transaction if the database supports that for DDL.

    :param patterns: the patterns whose tables are in this database
    :param tables: all tables that the run has synced into this database
    :param others: tables that the run has synced over other URLs, which may lead to the same database
    :return: a report for each dropped table
    :raises SyncFailed: if a table must not be dropped, with a report for each table to drop
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
    """Refuse the option ``drop_missing`` for a sync in steps.

    :raises ConfigurationError: if a pattern has it
    """
    if any(pattern.drop_missing for pattern in patterns):
        raise ConfigurationError(
            "drop_missing: tables are dropped after everything else, and there is no last step when all other tables are up to"
            " date. Take TableSyncOperator, or leave drop_missing out."
        )


def _without(gone: Sequence[GoneTable], offered: Collection[str]) -> list[GoneTable]:
    """Remove tables that the source offers after all: again, or under a name that the options map to another target table."""
    names = {name.casefold() for name in offered}
    return [table for table in gone if table.name.casefold() not in names]


def _without_synced(database: Database, gone: Sequence[GoneTable], others: OtherTables) -> list[GoneTable]:
    """Remove tables that the run has synced over another URL."""
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
    """Drop tables, and return the number of rows of each, by its name in the target."""
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
    """Sort tables so that each comes after the tables that depend on it.

    :raises TableError: if anything else depends on one of them
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
