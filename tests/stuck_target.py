"""A target whose updates take for ever, and a source that has one for it: a sync of the two is always in its merge."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
SLOW = {
    "mysql": ("CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW SET @slept = SLEEP(120)",),
    "postgresql": (
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(120); RETURN NEW; END'",
        "CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()",
    ),
    "sqlite": (f"CREATE TRIGGER slow BEFORE UPDATE ON t BEGIN SELECT ({ENDLESS}); END",),
}
AT_WORK = {
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep' AND db = DATABASE()",
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
}
OTHERS = {
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name <> 't'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 't'",
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 't'",
}
OLD, NEW = [(1, "old"), (2, "same")], [(1, "new"), (2, "same")]


class StuckTarget:
    """The table ``t`` on both sides; row 1 differs.

    :param url: of an empty database, the target
    :param folder: for the source, an SQLite file
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.source_url = f"sqlite:///{folder / 'stuck_source.db'}"
        self._engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._family = {"mariadb": "mysql"}.get(self._engine.dialect.name, self._engine.dialect.name)
        with closing(sqlite3.connect(folder / "stuck_source.db")) as source, source:
            source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
            source.executemany("INSERT INTO t VALUES (?, ?)", NEW)
        self.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))")
        self.execute("INSERT INTO t VALUES (1, 'old'), (2, 'same')")
        for statement in SLOW[self._family]:
            self.execute(statement)

    def execute(self, statement: str) -> None:
        """Change the target."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(statement)

    def free(self) -> None:
        """Let updates through again."""
        self.execute("DROP TRIGGER slow ON t" if self._family == "postgresql" else "DROP TRIGGER slow")

    def rows(self) -> list[tuple[object, ...]]:
        """Read the target."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM t ORDER BY id")]

    def other_tables(self) -> list[str]:
        """Name the tables that are not the target."""
        with self._engine.connect() as connection:
            return list(connection.execute(text(OTHERS[self._family])).scalars())

    def is_merging(self) -> bool:
        """Whether a statement of a sync is at work in the target, or, in SQLite, holds its write lock."""
        if self._family != "sqlite":
            with self._engine.connect() as connection:
                return bool(connection.execute(text(AT_WORK[self._family])).scalar())
        with closing(sqlite3.connect(str(make_url(self.url).database), timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False


def until(reached: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
