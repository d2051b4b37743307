"""Others at work at the same time: several syncs of one target, and others who write to source or target meanwhile."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.database_servers import MARIADB, MYSQL, POSTGRESQL, SQLITE, DatabaseServers
from tests.faults.forks import ForkedServer, Fuse, ended, forked
from tests.faults.kinds import Kind, Trial
from tests.faults.proxy import Proxy
from tests.faults.site import ITEMS, ROWS, Site, site
from tests.faults.states import State, Violation, check_whole
from tests.faults.streams import expect_new, expect_new_from

_BUSY = 3
"""Exit code of a sync that failed with a reason."""


@contextmanager
def crowd(servers: DatabaseServers, folder: Path, *, syncs: int, **options: Any) -> Iterator[Trial]:
    """Sync in several processes at once: each succeeds or says why not, and the target is as the source in the end."""
    with site(servers, folder, **options) as made, ForkedServer(made) as server:

        def trial(chance: random.Random) -> str:
            made.reset()
            made.disconnect()
            children = [forked(partial(_sync_late, made, server.url, chance.uniform(0, 0.1))) for _ in range(syncs)]
            codes = [ended(child) for child in children]
            if unknown := [code for code in codes if code not in (0, _BUSY)]:
                raise Violation(f"a sync ended with {unknown[0]}")
            found = made.state()
            outcome = check_whole(found, made.old, made.new)
            if 0 in codes and found != made.new:
                raise Violation(f"a sync succeeded, but the target is {outcome}")
            if 0 not in codes:
                raise Violation("no sync succeeded")
            if found.leftovers:
                raise Violation(f"left behind: {', '.join(found.leftovers)}")
            expect_new_from(made, server.url)
            return outcome

        yield trial


def _sync_late(made: Site, url: str, seconds: float) -> int:
    time.sleep(seconds)
    reports = made.sync(url, timeout=60)
    failed = [report for report in reports if report.status == "failed"]
    if any(not report.error for report in failed):
        return 1
    return _BUSY if failed else 0


@contextmanager
def restless_source(servers: DatabaseServers, folder: Path, **options: Any) -> Iterator[Trial]:
    """Change a row and a file of the source at each request, for a while; what stands still must not be lost."""
    with site(servers, folder, **options) as made, RunningServer(made.server_config) as server, Proxy(server.url) as proxy:
        expect_new(made, proxy)

        def trial(chance: random.Random) -> str:
            made.reset()
            made.reset_source()
            moves = [chance.randrange(40)]
            # At first at random places, then, perhaps, the same row again and again.
            where = chance.choice((chance, random.Random(1)))

            def move() -> None:
                if moves[0]:
                    moves[0] -= 1
                    made.move_source(random.Random(1) if where is not chance else chance)

            proxy.on_request = move
            try:
                made.sync(proxy.url, timeout=20, retries=1)
            finally:
                proxy.on_request = None
            _check_cold(made.state(), made)
            outcome = "as the source" if made.state() == made.source_state() else "as it was in part"
            reports = made.sync(proxy.url, timeout=60)
            found, source = made.state(), made.source_state()
            if found != source or found.leftovers or any(report.status == "failed" for report in reports):
                raise Violation(f"the next run did not bring the source's state: {reports}; {found.leftovers}")
            return outcome

        yield trial


def _check_cold(found: State, made: Site) -> None:
    """Check that each row is one that source or target had at some time, and that none is gone which both sides kept."""
    for name, rows in found.tables.items():
        known = {row[0]: row for row in made.new.tables[name]}
        before = {row[0]: row for row in made.old.tables[name]}
        for row in rows:
            moved = name == ITEMS and row[-1].startswith("moved ")
            if not moved and row not in (known.get(row[0]), before.get(row[0])):
                raise Violation(f"{name}: row {row!r:.100} was never there")
        present = {row[0] for row in rows}
        if missing := (known.keys() & before.keys()) - present:
            raise Violation(f"{name}: rows {sorted(missing)[:5]} are gone, though the source always had them")
    for path in made.new.files.keys() & made.old.files.keys():
        content = found.files.get(path)
        if content is None:
            raise Violation(f"file {path!r} is gone, though the source always had it")


@contextmanager
def restless_target(servers: DatabaseServers, folder: Path, **options: Any) -> Iterator[Trial]:
    """Let somebody else write to the target's table while a sync is at work."""
    with site(servers, folder, **options) as made, RunningServer(made.server_config) as server, Proxy(server.url) as proxy:
        expect_new(made, proxy)

        def trial(chance: random.Random) -> str:
            made.reset()
            at = chance.randrange(8)
            number = chance.randrange(ROWS)

            def write() -> None:
                nonlocal at
                at -= 1
                if at == 0:
                    made.write_target(f"UPDATE {ITEMS} SET text = 'by somebody else' WHERE id = {number}")

            proxy.on_request = write
            try:
                reports = made.sync(proxy.url, timeout=20)
            finally:
                proxy.on_request = None
            found = made.state()
            failed = any(report.status == "failed" for report in reports)
            strange = [row for row in found.tables[ITEMS] if row[-1] == "by somebody else"]
            if not failed and found != made.new and not strange:
                raise Violation("a sync succeeded, but the target is not as the source")
            if failed:
                rest = {key: [row for row in rows if row not in strange] for key, rows in found.tables.items()}
                gone = [row for row in made.old.tables[ITEMS] if row not in rest[ITEMS] and row[0] != str(number)]
                if gone:
                    raise Violation(f"a sync failed, and {len(gone)} rows are not as they were")
            expect_new(made, proxy)
            return "failed" if failed else "new"

        yield trial


@contextmanager
def jumping_clock(servers: DatabaseServers, folder: Path, **options: Any) -> Iterator[Trial]:
    """Set the client's clock forwards or backwards in the middle of a sync."""
    with site(servers, folder, **options) as made, ForkedServer(made) as server:

        def trial(chance: random.Random) -> str:
            made.reset()
            made.disconnect()
            jump = chance.choice((-1, 1)) * 10 ** chance.uniform(0, 8)
            child = forked(partial(_sync_with_jump, made, server.url, chance.randint(1, 600), jump))
            if code := ended(child):
                raise Violation(f"the sync ended with {code}, after the clock jumped by {jump:.0f} seconds")
            found = made.state()
            if found != made.new or found.leftovers:
                raise Violation(f"the target is {check_whole(found, made.old, made.new)}; left over: {found.leftovers}")
            expect_new_from(made, server.url)
            return "new"

        yield trial


def _sync_with_jump(made: Site, url: str, at: int, jump: float) -> int:
    clock = time.time

    def act() -> None:
        time.time = lambda: clock() + jump

    Fuse(at, act).light()
    reports = made.sync(url, timeout=60)
    for report in reports:
        if report.status == "failed":
            os.write(2, f"{report.name}: {report.error}\n".encode())
    return 1 if any(report.status == "failed" for report in reports) else 0


KINDS = [
    *(
        Kind(f"syncs-{count}-{place}", f"{count} syncs at once ({place})", partial(crowd, syncs=count, **options), tries)
        for count, tries in ((2, 40), (10, 10))
        for place, options in {
            "sqlite": {"target": SQLITE},
            "mariadb": {"target": MARIADB},
            "mysql": {"target": MYSQL},
            "postgresql": {"target": POSTGRESQL},
            "files": {"what": "files"},
        }.items()
    ),
    *(
        Kind(f"source-moves-{place}", f"the source is written all the while ({place})", partial(restless_source, **options), 150)
        for place, options in {
            "tables-1": {"protocol": "1"},
            "tables-2": {},
            "first": {"shape": "first"},
            "files": {"what": "files"},
            "postgresql": {"target": POSTGRESQL},
        }.items()
    ),
    *(
        Kind(
            f"target-moves-{engine}",
            f"somebody else writes to the target ({engine})",
            partial(restless_target, target=engine),
            60,
        )
        for engine in (SQLITE, MARIADB, MYSQL, POSTGRESQL)
    ),
    Kind("clock-tables", "the clock jumps (tables)", partial(jumping_clock), 60),
    Kind("clock-files", "the clock jumps (files)", partial(jumping_clock, what="files"), 100),
]
