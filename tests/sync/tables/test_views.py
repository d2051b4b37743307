"""Views, queries and conditions as sources, from each engine to SQLite."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables.version2 import compared_segments
from tests.sync.link import Link
from tests.sync.tables.offered import shop, source_rows, target_rows

__all__ = ["shop"]

PAID = "SELECT o.id, c.name, o.amount FROM orders o JOIN customers c ON c.id = o.customer -- 100% of them"
OFFERED: dict[str, tuple[dict[str, Any], str]] = {
    "view": ({"table": "german", "primary": "id"}, "SELECT * FROM german"),
    "groups": ({"table": "totals", "primary": "country"}, "SELECT * FROM totals"),
    "joined": ({"query": f"{PAID}\n;", "primary": "id"}, f"{PAID}\n"),
    "part": ({"table": "orders", "where": "country = 'FR' OR 'a%' = '(' -- it's"}, "SELECT * FROM orders WHERE country = 'FR'"),
    "part_of_view": ({"table": "german", "primary": "id", "where": "amount > 50"}, "SELECT * FROM german WHERE amount > 50"),
    "part_of_query": (
        {"query": PAID, "primary": ["name", "id"], "where": ["name <> 'Ann' OR id < 9", "amount < 100"]},
        f"SELECT * FROM ({PAID}\n) q WHERE (name <> 'Ann' OR id < 9) AND amount < 100",
    ),
}
"""What is offered under a name, and the SELECT of the rows that the target then has."""

CHANGES = (
    "UPDATE orders SET amount = amount + 40 WHERE id IN (1, 2, 3, 30, 150)",
    "UPDATE orders SET country = 'IT' WHERE id IN (90, 91)",
    "DELETE FROM orders WHERE id IN (4, 5, 6)",
    "INSERT INTO orders VALUES (1001, 1, 'DE', 70, NULL), (1002, 2, 'FR', 7, '2026-02-28 23:59:59')",
)


def _assert_copied(shop: Link, reports: list[TableReport]) -> None:
    for report in reports:
        expected = source_rows(shop, OFFERED[report.name][1])
        assert target_rows(shop, report.name) == expected, report.name
        assert report.rows_total == len(expected)
    shop.assert_clean()


@pytest.mark.quick_on("sqlite", "mariadb", "postgresql")
def test_kept_in_step(shop: Link) -> None:
    """Rows of views, queries and parts of them arrive, and later only differences, by both versions."""
    shop.offered = {name: options for name, (options, _) in OFFERED.items()}
    _assert_copied(shop, shop.sync(*OFFERED, options={name: {"create_table": True} for name in OFFERED}))
    shop.source.execute(*CHANGES)
    reports = shop.sync(*OFFERED)
    _assert_copied(shop, reports)
    assert all(report.verified == "digest" and report.rows_received <= 9 for report in reports)
    reports = shop.sync(*OFFERED)
    assert {(report.status, report.warnings) for report in reports} == {("unchanged", ())}
    shop.source.execute(*(statement.replace("+ 40", "- 7").replace("100", "200") for statement in CHANGES))
    shop.protocol = "1"
    reports = shop.sync(*OFFERED)
    _assert_copied(shop, reports)
    assert {report.verified for report in reports} <= {"rows", "hash"}
    if shop.source.dialect == shop.target.dialect:
        # Their hashes are those of their copies, so that nothing is sent again. SQLite hashes copies by their row ids.
        again = shop.sync("view", "joined", "part", "part_of_view")
        assert {(report.status, report.rows_received, report.verified) for report in again} == {("unchanged", 0, "hash")}


@pytest.mark.quick_on("mariadb")
def test_window_of_a_view(shop: Link) -> None:
    """A window works on the columns of a view like on those of a table."""
    shop.offered = {"view": {"table": "german", "primary": "id", "windows": ["customer"]}}
    report = shop.sync_one("view", {"create_table": True, "window": ["customer", "1", "2"]})
    expected = source_rows(shop, "SELECT * FROM german WHERE customer = 1")
    assert report.rows_inserted == len(expected) > 0
    assert target_rows(shop, "view") == expected


@pytest.mark.quick_on("mysql", "postgresql")
def test_keys_of_a_view_in_ranges(shop: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view with an indexed key is compared by key ranges; one with a computed key by hash and with a warning."""
    many = ", ".join(f"({number}, 1, 'DE', 1, NULL)" for number in range(2000, 4000))
    shop.source.execute(f"INSERT INTO orders VALUES {many}", "CREATE VIEW shifted AS SELECT id + 0 AS id, amount FROM orders")
    shop.offered = {"view": {"table": "german", "primary": "id"}, "shifted": {"table": "shifted", "primary": "id"}}
    types = {"create_table": True}
    shop.target.execute("CREATE TABLE shifted (id INTEGER PRIMARY KEY, amount DECIMAL(10,2))")
    shop.sync("view", options={"view": types})
    if shop.source.dialect == "sqlite":
        shop.offered["shifted"] = {"query": "SELECT CAST(id + 0 AS INTEGER) AS id, amount FROM orders", "primary": "id"}
    shop.sync("shifted", single_transaction=True)
    shop.source.execute("UPDATE orders SET amount = 99 WHERE id IN (3000, 3001)", "DELETE FROM orders WHERE id = 2500")
    for name, options in shop.offered.items():
        report = shop.sync_one(name)
        assert (report.rows_updated, report.rows_deleted, report.rows_received) == (2, 1, 2)
        assert report.warnings == (), options
    # Changes that one scan finds are no reason for a warning.
    monkeypatch.setattr(compared_segments, "rows_at_once", lambda _: 1)
    shop.source.execute("UPDATE orders SET amount = 98 WHERE id IN (2001, 3000, 3999)")
    for name, options in shop.offered.items():
        assert bool(shop.sync_one(name).warnings) == (name == "shifted" or shop.source.dialect == "duckdb"), options
