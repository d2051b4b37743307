"""Sudden ends: client, server, session or database die at a chosen step or at any moment.

The process that dies is a fork of this one, in which everything is imported and prepared: a try costs no start of Python.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_sync.report import Report
from tests.database_servers import DUCKDB, MARIADB, MYSQL, POSTGRESQL, SQLITE, DatabaseServers, Server
from tests.faults.forks import ForkedServer, Fuse, die, ended, forked
from tests.faults.kinds import Kind, Trial
from tests.faults.site import DIFFERENCE, FIRST, MADE, Site, site
from tests.faults.states import Violation, check_reports, check_whole
from tests.faults.streams import expect_new_from


def count_steps(made: Site, url: str, *, in_steps: bool = False) -> int:
    """Count the steps of an undisturbed sync."""
    reading, writing = os.pipe()

    def work() -> int:
        fuse = Fuse(0, die)
        fuse.light()
        _sync(made, url, in_steps)
        sys.setprofile(None)
        os.write(writing, str(fuse.count).encode())
        return 0

    made.reset()
    child = forked(work)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        steps = int(pipe.read() or 0)
    if ended(child) or not steps:
        raise Violation("the steps of an undisturbed sync could not be counted")
    return steps


@contextmanager
def killed_client(
    servers: DatabaseServers, folder: Path, *, random_moment: bool = False, in_steps: bool = False, **options: Any
) -> Iterator[Trial]:
    """Kill the client at one of its steps, or at any moment.

    :param in_steps: sync by compare, download and merge; the next run begins with a retry of the one that was killed
    """
    with site(servers, folder, **options) as made, ForkedServer(made) as server:
        steps = count_steps(made, server.url, in_steps=in_steps)
        began = time.monotonic()
        expect_new_from(made, server.url)
        duration = time.monotonic() - began
        details = made.details() if made.shape == MADE else []

        def trial(chance: random.Random) -> str:
            made.reset()
            made.disconnect()
            at = 0 if random_moment else chance.randint(1, steps)
            child = forked(partial(_sync_until, made, server.url, at, in_steps))
            if random_moment:
                time.sleep(chance.uniform(0, duration))
                os.kill(child, signal.SIGKILL)
            ended(child)
            outcome = check_whole(made.state(), made.old, made.new)
            if in_steps:
                expect_new_from(made, server.url, made.sync_in_steps)
            expect_new_from(made, server.url)
            if details and made.details() != details:
                raise Violation(f"the tables have {made.details()}, and {details} after an undisturbed run")
            return outcome

        yield trial


def _sync(made: Site, url: str, in_steps: bool) -> list[Report]:
    return made.sync_in_steps(url) if in_steps else made.sync(url)


def _sync_until(made: Site, url: str, at: int, in_steps: bool) -> int:
    if at:
        Fuse(at, die).light()
    _sync(made, url, in_steps)
    sys.setprofile(None)
    return 0


@contextmanager
def killed_server(servers: DatabaseServers, folder: Path, **options: Any) -> Iterator[Trial]:
    """Kill the server half at one of its steps; the client runs to its own end."""
    with site(servers, folder, **options) as made:

        def trial(chance: random.Random) -> str:
            made.reset()
            made.disconnect()
            with ForkedServer(made, at=chance.randint(1, 400)) as server:
                reports = made.sync(server.url, timeout=20, retries=0)
            found = made.state()
            outcome = check_whole(found, made.old, made.new)
            check_reports(reports, found, made.old, made.new)
            made.disconnect()
            with ForkedServer(made) as server:
                expect_new_from(made, server.url)
            return outcome

        yield trial


@contextmanager
def killed_sessions(servers: DatabaseServers, folder: Path, *, target: str, **options: Any) -> Iterator[Trial]:
    """End all sessions of the target's database but the killer's own, at one of the client's steps."""
    with site(servers, folder, target=target, **options) as made, ForkedServer(made) as server:
        steps = count_steps(made, server.url)

        def trial(chance: random.Random) -> str:
            made.reset()
            made.disconnect()
            reading, writing = os.pipe()
            child = forked(partial(_sync_and_report, made, server.url, chance.randint(1, steps), writing))
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                told = pipe.read()
            if code := ended(child):
                raise Violation(f"the sync ended with {code}, without a report")
            if not told:
                raise Violation("the sync ended without a report")
            found = made.state()
            outcome = check_whole(found, made.old, made.new)
            if told == b"changed" and found != made.new:
                raise Violation("a sync reported success, but its rows are not there")
            expect_new_from(made, server.url)
            return outcome

        yield trial


def _sync_and_report(made: Site, url: str, at: int, writing: int) -> int:
    Fuse(at, partial(end_sessions, made.target_url)).light()
    reports = made.sync(url)
    sys.setprofile(None)
    failed = [report for report in reports if report.status == "failed"]
    os.write(writing, b"failed" if failed else b"changed")
    return 0


def end_sessions(url: str) -> None:
    """End every session of a database but this one."""
    from airflow_provider_sync.databases.connect import open_engine

    engine = open_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        else:
            rows = connection.exec_driver_sql(
                "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
            ).all()
            for (number,) in rows:
                with suppress(Exception):  # it may have ended by itself
                    connection.exec_driver_sql(f"KILL {number}")
    engine.dispose()


@contextmanager
def killed_database(servers: DatabaseServers, folder: Path, *, target: str, **options: Any) -> Iterator[Trial]:
    """Kill the target's database server at one of the client's steps, and start it again."""
    own = servers.new_server(target)
    own.start()
    one = _One(own)
    try:
        with site(one, folder, target=target, **options) as made, ForkedServer(made) as server:
            steps = count_steps(made, server.url)

            def trial(chance: random.Random) -> str:
                made.reset()
                made.disconnect()
                child = forked(partial(_sync_while_killing, made, server.url, chance.randint(1, steps), own))
                code = ended(child)
                own.restart()
                if code not in (0, 3):
                    raise Violation(f"the sync ended with {code}, without a report")
                found = made.state()
                outcome = check_whole(found, made.old, made.new)
                if code == 0 and found != made.new:
                    raise Violation("a sync reported success, but its rows are not there")
                expect_new_from(made, server.url)
                return outcome

            yield trial
    finally:
        one.stop()
        own.stop()


class _One(DatabaseServers):
    """A single server, which a trial may kill."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._urls[server.engine] = server.url


def _sync_while_killing(made: Site, url: str, at: int, database: Server) -> int:
    Fuse(at, database.kill).light()
    reports = made.sync(url)
    sys.setprofile(None)
    return 3 if any(report.status == "failed" for report in reports) else 0


_TABLES = {
    "sqlite": {"target": SQLITE},
    "sqlite-1": {"target": SQLITE, "protocol": "1"},
    "duckdb": {"target": DUCKDB},
    "mariadb": {"target": MARIADB},
    "mysql": {"target": MYSQL},
    "postgresql": {"target": POSTGRESQL},
}

KINDS = [
    *(
        Kind(
            f"kill-{place}-{shape}",
            f"the client is killed at a step ({place}, {shape})",
            partial(killed_client, shape=shape, **options),
            150,
        )
        for place, options in _TABLES.items()
        for shape in (MADE, FIRST, DIFFERENCE)
        if not (shape == MADE and "protocol" in options)
    ),
    *(
        Kind(
            f"kill-any-{place}",
            f"the client is killed at any moment ({place})",
            partial(killed_client, random_moment=True, **options),
            100,
        )
        for place, options in _TABLES.items()
    ),
    *(
        Kind(
            f"kill-files-{shape}",
            f"the client is killed at a step (files, {shape})",
            partial(killed_client, what="files", shape=shape),
            300,
        )
        for shape in (FIRST, DIFFERENCE)
    ),
    *(
        Kind(
            f"kill-steps-{place}",
            f"a task of the steps is killed ({place})",
            partial(killed_client, in_steps=True, **options),
            100,
        )
        for place, options in (_TABLES | {"files": {"what": "files"}}).items()
    ),
    Kind(
        "kill-any-files",
        "the client is killed at any moment (files)",
        partial(killed_client, what="files", random_moment=True),
        200,
    ),
    Kind("kill-server-tables", "the server half is killed (tables)", partial(killed_server), 150),
    Kind("kill-server-files", "the server half is killed (files)", partial(killed_server, what="files"), 150),
    *(
        Kind(
            f"sessions-{engine}-{shape}",
            f"the database ends all sessions ({engine}, {shape})",
            partial(killed_sessions, target=engine, shape=shape),
            100,
        )
        for engine in (MARIADB, MYSQL, POSTGRESQL)
        for shape in (FIRST, DIFFERENCE)
    ),
    *(
        Kind(
            f"database-{engine}-{shape}",
            f"the database is killed ({engine}, {shape})",
            partial(killed_database, target=engine, shape=shape),
            15,
        )
        for engine in (MARIADB, MYSQL, POSTGRESQL)
        for shape in (FIRST, DIFFERENCE)
    ),
]
