"""Decimals that SQLite computes by floating point, and other databases exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.databases.sqlite.text import computed_text
from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps
from tests.sync.tables.version2.test_source import fill

TABLE = (
    "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a DECIMAL(10, 2), g DECIMAL({}) GENERATED ALWAYS AS (a * {}) {{STORED}})"
)
COMPUTED = [pytest.param("12, 4", "1.5", id="exact"), pytest.param("12, 2", "1.005", id="rounded")]


@pytest.fixture(params=["mariadb_url", "postgresql_url", "mysql_url"])
def exact(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Link]:
    """Give a source that computes decimals exactly, a target on SQLite, and a client that takes version 2."""
    with linked(request.getfixturevalue(request.param), f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.protocol = "2"
        yield link


def computed(link: Link, scale: str, factor: str) -> None:
    """Make the table on both sides, with rows at the source, for some of which floating point is not exact."""
    link.create(TABLE.format(scale, factor))
    fill(link, "t (id, a)", "i, i * 0.11 - 20", 600)
    link.source.execute("INSERT INTO t (id, a) VALUES (1000, NULL), (1001, 0), (1002, 12345678.91), (1003, 1.10)")


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize(("scale", "factor"), COMPUTED)
def test_a_computed_decimal_is_equal(exact: Link, scale: str, factor: str, steps: bool) -> None:
    """A decimal from one expression is equal on both sides, although SQLite has 1.6500000000000001 for 1.65."""
    computed(exact, scale, factor)

    def sync(run_id: str) -> Any:
        return Steps(exact, run_id=run_id).all() if steps else exact.sync_one("t")

    report = sync("first")
    assert (report.status, report.verified, report.rows_inserted) == ("changed", "digest", 604)
    exact.source.execute("UPDATE t SET a = 7.77 WHERE id = 300")
    assert sync("second").rows_updated == 1
    assert exact.sync_one("t").status == "unchanged"
    assert exact.target.rows("t", "id", "a") == [
        (key, None if a is None else float(a)) for key, a in exact.source.rows("t", "id", "a")
    ]


def test_another_expression_is_refused(exact: Link) -> None:
    """Rounding hides no other expression, however small the difference is."""
    exact.source.execute(TABLE.format("12, 4", "1.5"), "INSERT INTO t (id, a) VALUES (1, 1.10)")
    exact.target.execute(TABLE.format("12, 4", "1.5001"))
    with pytest.raises(SyncFailed, match="computes other values for column 'g'"):
        exact.sync_one("t")
    assert exact.target.rows("t") == []


def test_a_plain_column_is_not_rounded(exact: Link) -> None:
    """A value with one digit too many in a plain column is a difference, which the sync corrects."""
    exact.create("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, a DECIMAL(10, 2))")
    exact.source.execute("INSERT INTO t VALUES (1, 1.65)")
    exact.target.execute("INSERT INTO t VALUES (1, 1.6500000000000001)")
    assert exact.sync_one("t").rows_updated == 1
    assert exact.target.rows("t") == [(1, 1.65)]


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (1.6500000000000001, 4, "1.6500"),
        (2.5000499999999999, 4, "2.5001"),
        (-0.004, 2, "0.00"),
        (-0.005, 2, "-0.01"),
        (1e300, 0, "1" + "0" * 300),
        (float("inf"), 2, "Infinity"),
    ],
)
def test_rounding(value: float, scale: int, text: str) -> None:
    """Halves are rounded up, as by databases with exact decimals; 15 digits count."""
    assert computed_text(value, scale, True) == text


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (1.6500000000000001, 4, "1.6500"),
        (-29.505000000000003, 3, "-29.505"),
        (19.989449999999998, 2, "19.989449999999998"),
        (1 / 3, 4, "0.3333333333333333"),
        (float("-inf"), 2, "-Infinity"),
    ],
)
def test_digits_of_floating_point(value: float, scale: int, text: str) -> None:
    """Only digits after the fifteenth are left out, and only of a number that then fits."""
    assert computed_text(value, scale, False) == text


TARGETS = {
    "computed": TABLE.format("12, 4", "1.5"),
    "plain": "CREATE TABLE t (id INTEGER PRIMARY KEY, a DECIMAL(10, 2), g DECIMAL(12, 4))",
}


@pytest.mark.parametrize("created", TARGETS)
def test_a_decimal_that_the_source_computes(into: Link, created: str) -> None:
    """A decimal that SQLite computes as a source is equal to what another database computes, and fits into its columns."""
    into.protocol = "2"
    into.source.execute(TABLE.format("12, 4", "1.5"))
    into.target.execute(TARGETS[created])
    fill(into, "t (id, a)", "i, round(i * 0.11 - 20, 2)", 600)
    into.source.execute("INSERT INTO t (id, a) VALUES (1000, NULL), (1001, 0), (1002, 12345678.91), (1003, 1.10)")
    assert into.sync_one("t").rows_inserted == 604
    assert into.sync_one("t").status == "unchanged"
    into.source.execute("UPDATE t SET a = 7.77 WHERE id = 300")
    assert into.sync_one("t").rows_updated == 1
    assert into.sync_one("t").status == "unchanged"
