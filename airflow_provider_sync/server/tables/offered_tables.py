"""Find the tables that the server offers: those that the configuration names, and those that its patterns match.

Patterns are resolved at each request, so that new tables are offered without a restart. The table names of a database are cached
for some seconds; for a name that is not among them, the database is queried again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Lock

from sqlalchemy import Connection

from airflow_provider_sync.config import ServerConfig, SourceTable
from airflow_provider_sync.config.table_patterns import is_excluded, is_pattern, matches, selects, translated
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.opening_limit import limited_answers
from airflow_provider_sync.databases.schema import is_own_table
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.observability.rate_limited_log import RateLimitedLog
from airflow_provider_sync.server.sources import Sources

log = logging.getLogger(__name__)

MAX_TABLES = 20_000
"""Maximum number of tables that the server lists for one client; clients refuse much longer lists."""

LISTING_SECONDS = 60.0
"""Longest time, in seconds, to list the tables of a schema: clients do not wait longer for an answer, by default."""

KNOWN_SECONDS = 10.0
"""Seconds for which the table names of a database are cached."""


class OfferedTables:
    """Resolves the names of tables; safe to use from several threads.

    :param clock: monotonic seconds
    """

    def __init__(self, config: ServerConfig, sources: Sources, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries = config.tables
        self._patterns = [table for table in config.tables.values() if table.is_pattern]
        self._sources = sources
        self._clock = clock
        self._listings: dict[tuple[int, str | None], _Listing] = {}
        self._lock = Lock()
        self._notices = RateLimitedLog(log)

    @property
    def has_patterns(self) -> bool:
        """Whether the configuration has patterns, for which databases must be queried."""
        return bool(self._patterns)

    def visible_to(self, grant: Grant) -> VisibleTables:
        """Return the tables that a client may see."""
        return VisibleTables(self, grant)

    def warn_of_unused(self, grant: Grant, found: Iterable[SourceTable]) -> None:
        """Warn in the log of each ``where`` of a token for a name that no table has; it may be misspelt, and limits nothing.

        :param found: all tables that the token sees
        """
        for name in sorted(grant.where.keys() - {table.name for table in found}):
            self._notices.warn(
                f"{grant.name}:{name}",
                "The token %r has a where for %r, but sees no table of that name. If the name is misspelt, it sees all rows.",
                grant.name,
                name,
            )

    def find(self, name: str) -> SourceTable | None:
        """Return the options of a table; ``None`` if there is no such table.

        :raises TransportError: when the database of a pattern does not answer
        """
        if name in self._entries:
            return None if is_pattern(name) else self._entries[name]
        for pattern in self._patterns:
            if selects(pattern, name):
                table = pattern.named(name)
                if self._listing(pattern).has(table.table_name):
                    return table
        return None

    def all(self) -> Iterator[SourceTable]:
        """Yield all offered tables, in the order of the configuration; databases are queried again.

        :raises TransportError: when the database of a pattern does not answer
        """
        # A table's own entry takes precedence, then the first pattern that matches.
        decided = {name for name, entry in self._entries.items() if not entry.is_pattern}
        for entry in self._entries.values():
            if not entry.is_pattern:
                yield entry
                continue
            for table in matched_tables(entry, self._listing(entry).read_again()):
                if table.name not in decided:
                    decided.add(table.name)
                    yield table

    def _listing(self, pattern: SourceTable) -> _Listing:
        """Return the table names of a pattern's schema."""
        database = self._sources.database(pattern)
        key = (id(database), pattern.schema_name)

        def read() -> frozenset[str]:
            # The listing is for all requests, so it ends with none of them.
            with limited_answers(database.engine, LISTING_SECONDS), database.snapshot() as connection:
                return names_where(pattern, database, connection)

        with self._lock:
            return self._listings.setdefault(key, _Listing(read, self._clock))


class VisibleTables:
    """The tables that one client may see, by name; any other name counts as missing."""

    def __init__(self, offered: OfferedTables, grant: Grant) -> None:
        self._offered = offered
        self._grant = grant

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __getitem__(self, name: str) -> SourceTable:
        table = self._find(name)
        if table is None:
            raise KeyError(name)
        return table

    def _find(self, name: str) -> SourceTable | None:
        table = self._offered.find(self._grant.entries.get(name, name)) if self._is_granted(name) else None
        return None if table is None else self._as_seen(table, name)

    def _as_seen(self, table: SourceTable, name: str) -> SourceTable:
        conditions = self._grant.where.get(name, ())
        return table.seen_as(name, conditions) if conditions or name != table.name else table

    def list(self) -> list[SourceTable]:
        """Return all visible tables, in the order of the configuration.

        :raises TransportError: when the database of a pattern does not answer
        :raises ConfigurationError: when there are too many
        """
        if self._grant.entries:
            return [table for name in self._grant.entries if (table := self._find(name)) is not None]
        found = [self._as_seen(table, table.name) for table in self._offered.all() if self._is_granted(table.name)]
        if len(found) > MAX_TABLES and self._offered.has_patterns:
            raise ConfigurationError(
                f"The patterns under tables match {len(found)} tables, and a client can be offered {MAX_TABLES}."
                " Give narrower patterns, or tokens that see fewer tables."
            )
        self._offered.warn_of_unused(self._grant, found)
        return found

    def _is_granted(self, name: str) -> bool:
        granted = self._grant.tables
        return name in granted or any(matches(pattern, name) for pattern in granted if is_pattern(pattern))


class _Listing:
    """The names of the tables in one schema, read by one thread at a time."""

    def __init__(self, read: Callable[[], frozenset[str]], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._lock = Lock()
        self._names: frozenset[str] = frozenset()
        self._began = float("-inf")

    def has(self, name: str) -> bool:
        """Tell whether there is a table of exactly this name."""
        if self._clock() - self._began < KNOWN_SECONDS and name in self._names:
            return True
        return name in self.read_again()

    def read_again(self) -> frozenset[str]:
        """Read the names again, or wait for another thread that starts to read them after this call."""
        asked = self._clock()
        with self._lock:
            if self._began < asked:
                began = self._clock()
                self._names = self._read()
                self._began = began
            return self._names


def names_where(pattern: SourceTable, database: Database, connection: Connection) -> frozenset[str]:
    """Return the table names of a pattern's schema, with the schema as a prefix if the pattern has one."""
    schema = pattern.schema_name
    names = [name for name in database.catalog.list_tables(connection, schema) if not is_own_table(name)]
    return frozenset(names if schema is None else (f"{schema}.{name}" for name in names))


def matched_tables(pattern: SourceTable, names: Iterable[str]) -> Iterator[SourceTable]:
    """Yield the tables that a pattern matches, by name.

    :param names: the names from :func:`names_where`
    """
    for found in sorted(names):
        name = translated(found, pattern.table_name, pattern.name)
        if name is None or is_pattern(name) or is_excluded(name, pattern.exclude):
            continue
        table = pattern.named(name)
        # With several wildcards, a name may match in several ways.
        if table.table_name == found:
            yield table
