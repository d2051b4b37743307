"""Views and queries of the server that have other rows each time that they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.sync.tables.version2 import stage
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps
from tests.sync.tables.version2.test_source import fill

ROWS = 400


@pytest.fixture
def sampled(database_url: str, tmp_path: Path) -> Iterator[Link]:
    """Give a source on each engine that offers a random part of its rows, and a target on SQLite, by version 2."""
    with linked(database_url, f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.protocol = "2"
        link.create("CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(20))")
        fill(link, "t", "i, 'x'", ROWS)
        random = link.source.pick({"mysql": "RAND()", "postgresql": "random()", "sqlite": "random()", "duckdb": "random()"})
        link.offered["t"] = {"query": f"SELECT id, v FROM t ORDER BY {random} LIMIT 50", "primary": "id"}
        yield link


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_a_random_part_is_refused(sampled: Link, steps: bool) -> None:
    """A sync of a random part of the rows fails permanently, with reason and remedy, and changes nothing."""
    sampled.target.execute("INSERT INTO t VALUES (1, 'old'), (1000, 'stays')")
    before = sampled.target.rows("t")

    with pytest.raises(SyncError, match="answered differently twice") as failure:
        Steps(sampled, {"max_deletes": "100%"}).all() if steps else sampled.sync_one("t", {"max_deletes": "100%"})

    assert "ORDER BY the key" in str(failure.value)
    assert not failure.value.retryable
    assert sampled.target.rows("t") == before


def test_an_empty_target_takes_one_answer(sampled: Link) -> None:
    """A first load reads the query once, so all rows are of one answer, and the report counts them."""
    report = sampled.sync_one("t")

    assert (report.rows_total, report.rows_inserted, len(sampled.target.rows("t"))) == (50, 50, 50)


def test_a_query_of_a_busy_table_is_synced(sampled: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query whose rows changed while they were fetched is not refused: the rows are requested again."""
    sampled.offered["t"]["query"] = "SELECT id, v FROM t WHERE id <= 100"
    sampled.sync_one("t")
    sampled.target.execute("UPDATE t SET v = 'old' WHERE id = 1")
    load, changed = stage.RowLoader.load_keys, []

    def change_first(loader: stage.RowLoader, keys: list[tuple[str, ...]]) -> None:
        if not changed:
            changed.append(True)
            sampled.source.execute("UPDATE t SET v = 'new' WHERE id = 1")
        load(loader, keys)

    monkeypatch.setattr(stage.RowLoader, "load_keys", change_first)
    report = sampled.sync_one("t", {"max_deletes": "100%"})

    assert (report.status, report.rows_total, report.rows_updated) == ("changed", 100, 1)
    assert sampled.target.rows("t") == [row for row in sampled.source.rows("t") if row[0] <= 100]
