"""What a caller learns of the rows that arrive, and of how many there will be."""

from __future__ import annotations

import pytest

from airflow_provider_sync.sync.tables.version2 import plan
from tests.sync.link import Link
from tests.sync.tables.version2.test_source import fill

ROWS = 3_000


class Told:
    """A progress that keeps what it was told."""

    def __init__(self) -> None:
        self.rows = 0
        self.totals: list[int | None] = []

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Take note."""
        assert (name, unit) == ("t", "rows")
        self.rows += amount
        self.totals.append(total)


@pytest.fixture
def link(two_same: Link) -> Link:
    """Give a source with rows, and a target without."""
    two_same.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(200))")
    fill(two_same, "t", "i, 'value ' || i", ROWS)
    return two_same


@pytest.mark.parametrize("most_loaded_directly", [ROWS, 0], ids=["direct", "staged"])
def test_a_first_sync(link: Link, monkeypatch: pytest.MonkeyPatch, most_loaded_directly: int) -> None:
    """A first sync reports the number of all rows, staged or loaded directly."""
    monkeypatch.setattr(plan, "MAX_DIRECT", most_loaded_directly)
    told = Told()
    link.sync_one("t", resume=True, progress=told)
    assert (told.rows, set(told.totals)) == (ROWS, {ROWS})


def test_changed_rows(link: Link) -> None:
    """If few rows changed, their number is the total."""
    link.sync_one("t")
    link.source.execute("UPDATE t SET v = 'new' WHERE id IN (10, 20, 2000)")
    told = Told()
    link.sync_one("t", progress=told)
    assert (told.rows, set(told.totals)) == (3, {3})


def test_version_1(link: Link) -> None:
    """Version 1 does not say how many rows come."""
    link.protocol = "1"
    told = Told()
    link.sync_one("t", progress=told)
    assert (told.rows, set(told.totals)) == (ROWS, {None})
