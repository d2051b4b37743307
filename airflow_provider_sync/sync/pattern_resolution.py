"""Expand table patterns at the start of a run into the tables that the server offers.

::

    patterns ──┐
               ├─ expand ── options of each table ──┬─ :mod:`.kept_apart`: no two are one table of the target
    offered ───┘                                    └─ :mod:`.gone_tables`: what the target has, and the source offers no longer
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.config.table_patterns import selects
from airflow_provider_sync.exceptions import ConfigurationError

MAX_NAMED = 20
"""Maximum number of tables that a warning names; it only counts the rest."""

Patterns = Sequence[tuple[str, TargetTable]]
"""Entries with patterns, in the order of the configuration, each with the URL of its database."""


def offered_tables(client: SyncClient, patterns: Patterns, *, again: bool = False) -> Collection[str]:
    """Return the names that the server offers to this client.

    :param again: request the list again instead of using the client's cached one
    :raises ConfigurationError: if the server speaks only version 1, which cannot list tables
    """
    offered = client.capabilities(again=again)
    if offered is None:
        raise ConfigurationError(
            f"The server at {client.url} speaks version 1 of the protocol, which cannot say what tables match"
            f" {patterns[0][1].name!r}. Name the tables one by one."
        )
    return offered.tables


def expand(patterns: Patterns, offered: Iterable[str], named: Collection[str]) -> list[tuple[str, TargetTable]]:
    """Return an entry for each table that a pattern matches, with the options of the first pattern that matches it.

    :param offered: names that the server offers
    :param named: names with their own entries, which patterns do not match
    :raises ConfigurationError: if a pattern matches no table
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
    """Return the names of entries, then the names that their patterns match, each once; ask the server only if needed.

    :raises ConfigurationError: if a pattern matches no table, or the server cannot list its tables
    """
    entries = list(entries)
    named = [entry.name for entry in entries if not entry.is_pattern]
    patterns = [("", entry) for entry in entries if entry.is_pattern]
    if not patterns:
        return named
    return [*named, *(table.name for _, table in expand(patterns, offered_tables(client, patterns), named))]
