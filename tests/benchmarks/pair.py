"""Two databases of one engine to sync between, a third for whole copies by others, and the works that are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.benchmarks.halves import ClientRun, ServerProcess, client, server
from tests.benchmarks.rows import Rows, execute
from tests.database_servers import DatabaseServers


class Work(StrEnum):
    """What is measured, in the order in which one round does it."""

    CREATED = "first sync, makes the table"
    FIRST = "first sync"
    UNCHANGED = "unchanged"
    FEW = "15 rows changed"
    MANY = "10,000 rows changed, scattered"


@dataclass(frozen=True)
class Pair:
    """A source with rows, a target to sync to, and both halves.

    :ivar count: rows of the source
    :ivar copy: URL of the database for copies that are dropped again
    :ivar server: our server half, beside the source
    """

    engine: str
    rows: Rows
    count: int
    source: str
    target: str
    copy: str
    server: ServerProcess
    folder: Path

    def prepare(self, work: Work) -> None:
        """Bring about what the work starts from; a target that follows the source must be there for all but first syncs."""
        match work:
            case Work.CREATED:
                execute(self.target, f"DROP TABLE IF EXISTS {self.rows.table}")
            case Work.FIRST:
                self.rows.create(self.target)
            case Work.FEW:
                self.rows.update(self.source, max(1, self.count // 15))
            case Work.MANY:
                self.rows.update(self.source, max(1, self.count // 10_000))

    def sync(self, work: Work, options: Mapping[str, Any]) -> ClientRun:
        """Run our client half once.

        :raises RuntimeError: when it did not do what the work asks for
        """
        table = {"create_table": True} if work is Work.CREATED else {}
        config = {"url": self.server.url, "connections": {"local": self.target}, "tables": {self.rows.table: table}, **options}
        done = client(self.folder, config)
        if done.reports[0]["status"] != ("unchanged" if work is Work.UNCHANGED else "changed"):
            raise RuntimeError(f"{work}: the client reported {done.reports[0]}")
        return done


@contextmanager
def filled_pair(servers: DatabaseServers, folder: Path, engine: str, rows: Rows, count: int) -> Iterator[Pair]:
    """Make the databases, fill the source and start the server half; all is gone at the end."""
    with ExitStack() as stack:
        source, target, copy = (stack.enter_context(servers.database(engine, folder)) for _ in range(3))
        rows.fill(source, count, folder)
        running = stack.enter_context(server(folder, {"connections": {"shop": source}, "tables": {rows.table: {}}}))
        yield Pair(engine, rows, count, source, target, copy, running, folder)
