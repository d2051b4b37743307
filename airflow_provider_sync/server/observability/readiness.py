"""Check readiness: whether each database answers and each directory can be read.

Anyone may request the result at any rate, and gets that of the last check. A source is checked again only after the last check of
it has ended and :data:`SECONDS` have passed, so that requests cannot keep a database busy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread

import anyio

from airflow_provider_sync.config import ServerConfig, SourceDirectory, SourceTable
from airflow_provider_sync.config.table_patterns import is_pattern, matches
from airflow_provider_sync.printable import reason
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.observability.rate_limited_log import RateLimitedLog
from airflow_provider_sync.server.sources import Sources

log = logging.getLogger(__name__)

SECONDS = 5.0
"""Seconds for which the result of a check is valid."""

PATIENCE_SECONDS = 5.0
"""Maximum wait, in seconds, for a check; a source that takes longer counts as not ready."""


@dataclass(frozen=True, slots=True)
class Source:
    """A database or a directory, as :class:`Readiness` shows it.

    :ivar group: ``connections`` or ``directories``
    :ivar name: name in the configuration; ``of table …`` for a database that only a table's own URL names
    :ivar check: checks the source; raises an error if it does not answer or cannot be read
    :ivar tables: names of the table entries in this database, in their order
    :ivar is_named: whether the name is in the configuration; if not, a caller gets the name of a table that it may see
    """

    group: str
    name: str
    check: Callable[[], None]
    tables: tuple[str, ...] = ()
    is_named: bool = True

    def name_for(self, grant: Grant) -> str | None:
        """Return the name for a caller; ``None`` if the caller may see neither a table of the source nor the directory."""
        if self.group == "directories":
            return self.name if self.name in grant.directories else None
        table = next((name for entry in self.tables if (name := _name_of(entry, grant)) is not None), None)
        if table is None:
            return None
        return self.name if self.is_named else _of_table(table)


class Readiness:
    """Checks sources, and remembers the results; used in one event loop.

    :param seconds: seconds for which a result is valid
    :param patience: maximum wait for the results, in seconds
    """

    def __init__(self, sources: list[Source], *, seconds: float = SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        notices = RateLimitedLog(log)
        self._checks = [_Check(source, notices, seconds) for source in sources]
        self._patience = patience

    async def check(self) -> Mapping[Source, bool]:
        """Return for each source whether it is ready; checks that are due run in parallel."""
        for check in self._checks:
            check.begin_if_due()
        with anyio.move_on_after(self._patience):
            for check in self._checks:
                await check.ended.wait()
        return {check.source: check.ended.is_set() and check.ready for check in self._checks}


class _Check:
    """The last check of a source, or the running one.

    :ivar ready: the last result
    :ivar ended: set when there is a result
    """

    def __init__(self, source: Source, notices: RateLimitedLog, seconds: float) -> None:
        self.source = source
        self.ready = False
        self.ended = anyio.Event()
        self._notices = notices
        self._seconds = seconds
        self._due: float | None = None
        self._runs = False

    def begin_if_due(self) -> None:
        loop = asyncio.get_running_loop()
        if self._runs or (self._due is not None and loop.time() < self._due):
            return
        self._runs = True
        self.ended = anyio.Event()
        # In a daemon thread, so that the process can exit while a disk or a database hangs.
        Thread(target=self._run, args=(loop,), name="sync-ready", daemon=True).start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        failure: Exception | None = None
        try:
            self.source.check()
        except Exception as error:  # noqa: BLE001  # whatever it is, the source is not ready
            failure = error
        # The server may have stopped in the meantime.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._end, failure, loop)

    def _end(self, failure: Exception | None, loop: asyncio.AbstractEventLoop) -> None:
        self._runs = False
        self._due = loop.time() + self._seconds
        self.ready = failure is None
        self.ended.set()
        if failure is not None:
            what = f"{self.source.group}.{self.source.name}"
            self._notices.warn(what, "Not ready: %s: %s", what, reason(failure))


def sources_of(config: ServerConfig, sources: Sources) -> list[Source]:
    """Return the sources of a server: the databases of its tables, and its directories."""
    tables: dict[str, list[SourceTable]] = {}
    for table in config.tables.values():
        tables.setdefault(sources.url(table), []).append(table)
    names = {url: name for name, url in config.connections.items()}
    found = []
    for url, group in tables.items():
        # A table's own URL may contain a password, so it is not shown.
        name = names.get(url, _of_table(group[0].name))
        check = partial(_open_snapshot, sources, group[0])
        found.append(Source("connections", name, check, tuple(table.name for table in group), is_named=url in names))
    for name, directory in config.directories.items():
        found.append(Source("directories", name, partial(_read_beginning, sources, directory)))
    return found


def _of_table(name: str) -> str:
    return f"of table {name}"


def _open_snapshot(sources: Sources, table: SourceTable) -> None:
    with sources.database(table).snapshot():
        pass


def _read_beginning(sources: Sources, directory: SourceDirectory) -> None:
    for _ in sources.storage(directory).scan():
        return


def _name_of(entry: str, grant: Grant) -> str | None:
    """Return the name under which a caller sees a table of an entry; ``None`` if it sees none."""
    for name, seen in (grant.entries or {name: name for name in sorted(grant.tables)}).items():
        if _may_be(seen, entry):
            return entry if name == seen and matches(seen, entry) else name
    return None


def _may_be(name: str, entry: str) -> bool:
    """Tell whether a token's name or pattern may match a table of an entry, which may be a pattern, too."""
    return name == entry or (is_pattern(name) and matches(name, entry)) or (is_pattern(entry) and matches(entry, name))
