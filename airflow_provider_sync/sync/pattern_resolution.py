"""Resolve patterns of tables when a run begins: against what the server offers, and against what the target has.

::

    patterns ──┐
               ├─ expand ── options of each table ──┬─ check_apart: no two are one table of the target
    offered ───┘                                    ├─ check_connections_apart: nor two of connections to one server
                                                    └─ find_gone: what the target has, and the source offers no longer
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import combinations, product

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.config.table_patterns import is_excluded, is_pattern, matches, selects, translated
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import is_own_table
from airflow_provider_sync.exceptions import ConfigurationError, SyncError, TableBusyError
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.other_connections import OtherTables, tables_here

MAX_NAMED = 20
"""Most tables that a warning names; it counts the others."""

Patterns = Sequence[tuple[str, TargetTable]]
"""Entries with patterns, in the order of the configuration, each with the URL of its database."""


def offered_tables(client: SyncClient, patterns: Patterns, *, again: bool = False) -> Collection[str]:
    """Return the names that the server offers to this client.

    :param again: ask now, even if the client has asked before
    :raises ConfigurationError: for a server that speaks only version 1, which cannot list them
    """
    offered = client.capabilities(again=again)
    if offered is None:
        raise ConfigurationError(
            f"The server at {client.url} speaks version 1 of the protocol, which cannot say what tables match"
            f" {patterns[0][1].name!r}. Name the tables one by one."
        )
    return offered.tables


def expand(patterns: Patterns, offered: Iterable[str], named: Collection[str]) -> list[tuple[str, TargetTable]]:
    """Return an entry for each table that a pattern matches; the first pattern that does decides on its options.

    :param offered: names that the server offers
    :param named: names that have entries of their own, which decide on their options
    :raises ConfigurationError: when a pattern matches nothing
    """
    offered = list(offered)
    found: dict[str, tuple[str, TargetTable]] = {}
    for url, pattern in patterns:
        selected = [name for name in offered if selects(pattern, name)]
        if not selected:
            known = ", ".join(offered[:MAX_NAMED]) + (f" and {len(offered) - MAX_NAMED} more" if offered[MAX_NAMED:] else "")
            raise ConfigurationError(
                f"The pattern {pattern.name!r} matches no table that the server offers to this client."
                f" It offers: {known or 'none'}. Correct the pattern or its 'exclude', or what the server offers."
            )
        for name in selected:
            if name not in named and name not in found:
                found[name] = url, pattern.named(name)
    return list(found.values())


def matched_names(client: SyncClient, entries: Iterable[TargetTable]) -> list[str]:
    """Return the names of entries, then those that their patterns match, each once; the server is asked only for patterns.

    :raises ConfigurationError: when a pattern matches nothing, or the server cannot list its tables
    """
    entries = list(entries)
    named = [entry.name for entry in entries if not entry.is_pattern]
    patterns = [("", entry) for entry in entries if entry.is_pattern]
    if not patterns:
        return named
    return [*named, *(table.name for _, table in expand(patterns, offered_tables(client, patterns), named))]


def inspect_target(
    database: Database, patterns: Sequence[TargetTable], tables: Sequence[TargetTable], others: OtherTables = ()
) -> dict[str, str]:
    """Check that resolved tables can be kept apart in the target, and find those that the source no longer offers.

    :param patterns: those whose tables are kept in this database; without any, nothing is looked for
    :param tables: everything that the run syncs into this database
    :param others: what it syncs over other connections, which may lead to the same server
    :return: warnings, by the name of the table whose report should carry them
    :raises ConfigurationError: when two tables are one table of the target
    """
    check_apart(database, tables, by_patterns=bool(patterns))
    check_connections_apart(database, tables, others)
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


def check_apart(database: Database, tables: Sequence[TargetTable], *, by_patterns: bool = True) -> None:
    """Check that no two tables go into one, as names that differ by case only may.

    :param by_patterns: whether patterns chose them; otherwise two may go into one on purpose, if neither deletes the other's rows
    :raises ConfigurationError: naming both
    """
    for group in _alike(tables).values():
        for first, second in combinations(group, 2):
            if not by_patterns:
                _check_undone(database, first, second, ", and set single_transaction to false")
            elif _are_one(database, first.table_name, second.table_name):
                raise ConfigurationError(
                    f"{_one_table(first, second)}. Give one of them another name with 'table', or leave it out with 'exclude'."
                )


def check_connections_apart(database: Database, tables: Sequence[TargetTable], others: OtherTables) -> None:
    """Check that no table goes into one of another connection if the sync of one deletes the other's rows.

    Connections are opened only for tables of like names; one that does not answer fails by itself.

    :raises ConfigurationError: naming both
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


def with_warnings(reports: Iterable[TableReport], warnings: Mapping[str, str]) -> list[TableReport]:
    """Add warnings to the reports of the tables that they are kept by."""
    return [
        msgspec.structs.replace(report, warnings=(*report.warnings, warnings[report.name])) if report.name in warnings else report
        for report in reports
    ]
