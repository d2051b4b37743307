"""Whether the server could answer now: each database answers, each directory can be read.

Anybody may ask, as often as they like, and learns what the last look showed. A look at one source is never begun while
one is under way, or within :data:`SECONDS` of its end, so that nobody can keep a database busy by asking.
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
"""Seconds for which the outcome of a look holds."""

PATIENCE_SECONDS = 5.0
"""Longest wait for an answer; a source that takes longer counts as one that does not answer."""


@dataclass(frozen=True, slots=True)
class Source:
    """A database or a directory, as :class:`Readiness` shows it.

    :ivar group: ``connections`` or ``directories``
    :ivar name: in the configuration; of a table's own database, ``of table …``
    :ivar look: raises if it does not answer, or cannot be read
    :ivar tables: names of the entries whose rows it has, in their order
    :ivar is_named: whether the configuration has the name; otherwise the caller is told one of the tables that it sees
    """

    group: str
    name: str
    look: Callable[[], None]
    tables: tuple[str, ...] = ()
    is_named: bool = True

    def name_for(self, grant: Grant) -> str | None:
        """Return the name for a caller; ``None`` if it sees no table of it, or not the directory, and so may not know it."""
        if self.group == "directories":
            return self.name if self.name in grant.directories else None
        table = next((name for entry in self.tables if (name := _name_of(entry, grant)) is not None), None)
        if table is None:
            return None
        return self.name if self.is_named else _of_table(table)


class Readiness:
    """Looks at sources, and remembers the outcome; used in one event loop.

    :param seconds: for which an outcome holds
    :param patience: longest wait for the outcomes, in seconds
    """

    def __init__(self, sources: list[Source], *, seconds: float = SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        notices = RateLimitedLog(log)
        self._looks = [_Look(source, notices, seconds) for source in sources]
        self._patience = patience

    async def check(self) -> Mapping[Source, bool]:
        """Return for each source whether it is ready; looks that are due are made, all at the same time."""
        for look in self._looks:
            look.begin_if_due()
        with anyio.move_on_after(self._patience):
            for look in self._looks:
                await look.ended.wait()
        return {look.source: look.ended.is_set() and look.ready for look in self._looks}


class _Look:
    """The last look at a source, or the one that is under way.

    :ivar ready: its outcome
    :ivar ended: set when there is one
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
        # A thread of its own, which the end of the process does not wait for: a disk or a database may hang for hours.
        Thread(target=self._run, args=(loop,), name="sync-ready", daemon=True).start()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        failure: Exception | None = None
        try:
            self.source.look()
        except Exception as error:  # noqa: BLE001  # whatever it is, the source is not ready
            failure = error
        # The server may have stopped meanwhile.
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
    """Return what a server needs to answer: the databases of its tables, and its directories."""
    tables: dict[str, list[SourceTable]] = {}
    for table in config.tables.values():
        tables.setdefault(sources.url(table), []).append(table)
    names = {url: name for name, url in config.connections.items()}
    found = []
    for url, group in tables.items():
        # A URL of a table's own may hold a password.
        name = names.get(url, _of_table(group[0].name))
        look = partial(_open_snapshot, sources, group[0])
        found.append(Source("connections", name, look, tuple(table.name for table in group), is_named=url in names))
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
    """Return a name by which a caller knows a table of an entry; ``None`` if it sees none."""
    for name, seen in (grant.entries or {name: name for name in sorted(grant.tables)}).items():
        if _may_be(seen, entry):
            return entry if name == seen and matches(seen, entry) else name
    return None


def _may_be(name: str, entry: str) -> bool:
    """Whether a name or pattern of a token may stand for a table of an entry, which may be a pattern, too."""
    return name == entry or (is_pattern(name) and matches(name, entry)) or (is_pattern(entry) and matches(entry, name))
