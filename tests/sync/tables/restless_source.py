"""A source that is written to before every request, and what its rows have been."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.sync.link import Link
from tests.sync.tables.interrupted import Interrupted

CREATE = "CREATE TABLE t (id {key} NOT NULL PRIMARY KEY, n INTEGER NOT NULL, v VARCHAR(20), at INTEGER NOT NULL)"
KEYS = {"integer": "INTEGER", "text": "VARCHAR(9)"}


class RestlessSource:
    """The table ``t`` of a source, in which rows change, come and go.

    :param kind: of key: ``integer`` or ``text``
    :ivar hot: values of ``n`` of rows that change with every write
    """

    def __init__(self, link: Link, kind: str = "integer", *, rows: int = 1500, hot: tuple[int, ...] = (5, 6)) -> None:
        self.link = link
        self.rows = rows
        self.hot = hot
        self.writes = 0
        self._random = random.Random(1)
        self._states: dict[Any, set[Any]] = defaultdict(set)
        self._key = (lambda number: f"'{number}'") if kind == "text" else str
        link.create(CREATE.format(key=KEYS[kind]))
        values = ", ".join(f"({self._key(number)}, {number}, 'x', {number % 10})" for number in range(1, rows + 1))
        link.source.execute(f"INSERT INTO t VALUES {values}")
        self.note()

    def note(self) -> None:
        """Take down what the source's rows are now."""
        present = {row[0]: tuple(row) for row in self.link.source.rows("t")}
        before = set(self._states)
        for key in before | present.keys():
            if before and key not in before:
                self._states[key].add(None)
            self._states[key].add(present.get(key))

    def write(self, *_: object, hot_only: bool = False) -> None:
        """Change the hot rows; also change, delete and insert a few others, those with ``n`` from 500 to 1000 never."""
        self.writes += 1
        hot = ", ".join(map(str, self.hot))
        statements = [f"UPDATE t SET v = 'hot {self.writes}' WHERE n IN ({hot})"]
        if not hot_only:
            some = ", ".join(str(self._random.randint(7, 499)) for _ in range(20))
            gone = self._random.randint(1001, self.rows)
            statements += [
                f"UPDATE t SET v = 'warm {self.writes}' WHERE n IN ({some})",
                f"DELETE FROM t WHERE n = {gone}",
                f"INSERT INTO t VALUES ({self._key(100_000 + self.writes)}, {100_000 + self.writes}, 'new', 3)",
            ]
        self.link.source.execute(*statements)
        self.note()

    def sync(self, options: dict[str, Any] | None = None, *, hot_only: bool = False, **arguments: Any) -> TableReport:
        """Sync while somebody writes before each request."""
        with self.link.client("t") as client, Interrupted(client.url, protocol="2", retries=0) as other:
            other.interrupt(lambda _: True, 10_000, lambda _: self.write(hot_only=hot_only))
            return self.sync_by(other, options, **arguments)

    def sync_in_steps(self, options: dict[str, Any] | None = None) -> TableReport:
        """Compare, download in parts, and merge, while somebody writes before each request."""
        table, database = table_from_options("t", options or {}), self.link.target.database
        with self.link.client("t") as client, Interrupted(client.url, protocol="2", retries=0) as other:
            other.interrupt(lambda _: True, 10_000, self.write)
            slices = compare_table(other, table, database, run_id="restless", slices=3).slices
            assert slices
            (report,) = merge_slices(
                other, {"t": (table, [stage_slice(other, table, database, table_slice) for table_slice in slices])}, database
            )
        return report

    def sync_by(self, client: SyncClient, options: dict[str, Any] | None = None, **arguments: Any) -> TableReport:
        """Sync by a client."""
        (report,) = sync_tables(client, [table_from_options("t", options or {})], self.link.target.database, **arguments)
        return report

    def assert_were_there(self, rows: Iterable[Sequence[Any]]) -> None:
        """Check that the source had each of these rows at some time."""
        for row in rows:
            assert tuple(row) in self._states[row[0]], row

    def assert_target_is_true(self) -> None:
        """Check that each row of the target is one that the source had, and that rows that stand still are the source's."""
        target = {row[0]: tuple(row) for row in self.link.target.rows("t")}
        for key, states in self._states.items():
            assert target.get(key) in states, key
        assert not target.keys() - self._states.keys()
