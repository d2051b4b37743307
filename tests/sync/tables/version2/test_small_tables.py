"""Many small tables at once: few requests for those that are unchanged, and everything as ever for all others."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.table_streams import DescribedAnswer
from airflow_provider_sync.config import ClientConfig, table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.messages import DescribeTable
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server import capabilities
from airflow_provider_sync.sync import Opener, diff_run, plan_run, sync_tables
from airflow_provider_sync.sync.run_steps import compare_tables
from airflow_provider_sync.sync.tables import transaction_sync
from airflow_provider_sync.sync.tables.version2.small_tables import (
    LOCK_SECONDS,
    REQUESTS_AT_ONCE,
    TABLES_EACH,
    ask_ahead,
    cut_into_requests,
)
from tests.sync.link import Link, linked

NAMES = tuple(f"t{number}" for number in range(6))


def create(link: Link, *names: str) -> None:
    """Make tables that are equal on both sides, the first of them empty."""
    for number, name in enumerate(names):
        values = ", ".join(f"({key}, 'row {key} of {name}')" for key in range(1, 1 + 40 * number))
        link.create(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(40))")
        if values:
            link.create(f"INSERT INTO {name} VALUES {values}")


def change(link: Link) -> None:
    """Make the first table and the third differ."""
    link.source.execute(
        "INSERT INTO t0 VALUES (1, 'first')", "UPDATE t2 SET v = 'new' WHERE id = 7", "DELETE FROM t2 WHERE id = 8"
    )


def requests(reports: list[TableReport]) -> int:
    """Count the requests of a run."""
    return sum(report.requests for report in reports)


def test_unchanged(two: Link) -> None:
    """Equal tables take one request for the capabilities, and one for all of them."""
    create(two, *NAMES)
    reports = two.sync(*NAMES)
    assert [(report.status, report.verified, report.rows_total) for report in reports] == [
        ("unchanged", "digest", 40 * number) for number in range(len(NAMES))
    ]
    assert [report.requests for report in reports] == [2, *[0] * 5]
    two.assert_clean()


@pytest.mark.parametrize("single_transaction", [True, False])
def test_changed_tables(two_same: Link, single_transaction: bool) -> None:
    """Among equal tables, those that differ are synced and reported normally."""
    create(two_same, *NAMES)
    change(two_same)
    reports = {report.name: report for report in two_same.sync(*NAMES, single_transaction=single_transaction)}
    assert {name for name, report in reports.items() if report.status == "changed"} == {"t0", "t2"}
    assert (reports["t0"].rows_inserted, reports["t2"].rows_updated, reports["t2"].rows_deleted) == (1, 1, 1)
    assert [reports[name].requests for name in ("t1", "t3", "t4", "t5")] == [0] * 4
    for name in NAMES:
        two_same.assert_equal(name)


@pytest.mark.parametrize(
    ("engine", "lock", "wait"),
    [
        (
            "postgresql",
            "LOCK TABLE t1, t2 IN ACCESS EXCLUSIVE MODE",
            "SELECT left(current_setting('lock_timeout'), -1)",
        ),
        ("mariadb", "LOCK TABLES t1 WRITE, t2 WRITE", "SELECT @@SESSION.lock_wait_timeout"),
    ],
)
def test_locked_tables(request: pytest.FixtureRequest, sqlite_url: str, engine: str, lock: str, wait: str) -> None:
    """The comparison ahead of a run waits only briefly for tables that another session locks, and finds the others unchanged."""
    with linked(sqlite_url, request.getfixturevalue(f"{engine}_url")) as link, pytest.MonkeyPatch.context() as patches:
        link.protocol = "2"
        create(link, *NAMES)
        waits: list[int] = []
        digests = type(link.target.database.digests)
        digest_segments = digests.digest_segments

        def watched(self: Any, connection: Connection, *arguments: Any) -> Any:
            waits.append(int(connection.exec_driver_sql(wait).scalar_one()))
            assert waits[-1] < 60
            return digest_segments(self, connection, *arguments)

        patches.setattr(digests, "digest_segments", watched)
        with link.target.database.connect() as elsewhere, link.client(*NAMES) as client:
            if engine == "postgresql":
                elsewhere.exec_driver_sql("BEGIN")
            elsewhere.exec_driver_sql(lock)
            known = ask_ahead(client, link.target.database, [table_from_options(name, {}) for name in NAMES])
        assert sorted(known.unchanged) == ["t0", "t3", "t4", "t5"]
        assert set(waits) == {LOCK_SECONDS}


def test_dry_run(two_same: Link) -> None:
    """A dry run plans the tables that differ, and writes nothing."""
    create(two_same, *NAMES)
    change(two_same)
    before = [two_same.target.rows(name) for name in NAMES]
    statuses = [report.status for report in two_same.sync(*NAMES, dry_run=True)]
    assert statuses == ["planned", "unchanged", "planned", "unchanged", "unchanged", "unchanged"]
    assert [two_same.target.rows(name) for name in NAMES] == before


def test_one_table_cannot_be_synced(two_same: Link) -> None:
    """A table that the source cannot describe fails with its own reason, and nothing is written."""
    create(two_same, *NAMES)
    change(two_same)
    two_same.source.execute("DROP TABLE t4")
    before = [two_same.target.rows(name) for name in NAMES]
    with pytest.raises(SyncFailed, match="t4"):
        two_same.sync(*NAMES)
    assert [two_same.target.rows(name) for name in NAMES] == before
    two_same.assert_clean()


def test_a_narrow_target(two_same: Link) -> None:
    """A target without a column fails with the column's name; others are synced with separate transactions."""
    create(two_same, *NAMES)
    change(two_same)
    two_same.source.execute("ALTER TABLE t5 ADD COLUMN more INTEGER")
    with pytest.raises(SyncFailed, match="'more'") as failure:
        two_same.sync(*NAMES, single_transaction=False)
    assert [report.status for report in failure.value.reports] == [
        "changed", "unchanged", "changed", "unchanged", "unchanged", "failed"
    ]  # fmt: skip


def test_older_servers(two_same: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older server is asked about one table at a time."""
    monkeypatch.setattr(capabilities, "MAX_TABLES", 0)
    create(two_same, *NAMES)
    change(two_same)
    reports = two_same.sync(*NAMES)
    assert all(report.requests for report in reports)
    assert [report.status for report in reports].count("unchanged") == 4
    for name in NAMES:
        two_same.assert_equal(name)


def test_large_tables(two_same: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with more rows than a small one is compared separately."""
    monkeypatch.setattr("airflow_provider_sync.sync.tables.version2.small_tables.SMALL_ROWS", 100)
    create(two_same, *NAMES)
    reports = two_same.sync(*NAMES)
    assert [report.status for report in reports] == ["unchanged"] * 6
    assert [report.requests for report in reports] == [2, 0, 0, 1, 1, 1]


def test_options(two_same: Link) -> None:
    """Columns, renames and names of the target apply: a table is equal by its options."""
    create(two_same, *NAMES)
    two_same.source.execute("UPDATE t1 SET v = 'other'")
    two_same.target.execute("ALTER TABLE t2 RENAME COLUMN v TO w", "ALTER TABLE t3 RENAME TO elsewhere")
    options: dict[str, dict[str, Any]] = {
        "t1": {"columns": ["id"]},
        "t2": {"renames": {"v": "w"}},
        "t3": {"table": "elsewhere"},
    }
    reports = two_same.sync(*NAMES, options=options)
    assert {report.status for report in reports} == {"unchanged"}
    assert requests(reports) == 2


def test_diff_and_steps(two_same: Link) -> None:
    """``diff`` and the comparing step ask about all tables in one request, too."""
    create(two_same, *NAMES)
    change(two_same)
    with two_same.client(*NAMES) as client:
        config = ClientConfig.from_dict(
            {
                "url": client.url,
                "connections": {"local": str(two_same.target.database.engine.url)},
                "tables": {name: {} for name in NAMES},
            }
        )
        plan = plan_run(config)
        found = diff_run(config, plan)
        compared = compare_tables(config, plan, opener=Opener(), run_id="one")
    assert [report.status for report in found.reports] == [
        "planned", "unchanged", "planned", "unchanged", "unchanged", "unchanged"
    ]  # fmt: skip
    assert found.tables[2].changes is not None
    assert (found.tables[2].changes.updated, found.tables[2].changes.deleted) == ((("7",),), (("8",),))
    assert [table.report.requests for table in found.tables[3:]] == [0, 0, 0]
    assert [report.name for report in compared.unchanged] == ["t1", "t3", "t4", "t5"]
    assert {piece.table for piece in compared.pieces} == {"t0", "t2"}


def test_requests_are_few_and_even() -> None:
    """Few tables take one request; many take the number of simultaneous requests, or more for the server's limit."""
    everything = list(range(1000))
    for count, most, expected in (
        (2, 200, 1),
        (2 * TABLES_EACH, 200, min(2, REQUESTS_AT_ONCE)),
        (200, 200, REQUESTS_AT_ONCE),
        (1000, 200, 5),
        (50, 7, 8),
    ):
        cut = cut_into_requests(everything[:count], most)
        assert len(cut) == expected
        assert sorted(number for part in cut for number in part) == everything[:count]
        assert max(map(len, cut)) - min(map(len, cut)) <= 1
        assert max(map(len, cut)) <= most


def test_requests_of_equal_weight() -> None:
    """Tables are distributed by their rows, so that requests end at about the same time; few rows count, too."""
    sizes = (0, 1, 40, 300, 1_000, 3_000, 8_000, 20_000, 1, 100_000)
    tables = list(range(200))
    rows = [sizes[table % len(sizes)] for table in tables]
    cut = cut_into_requests(tables, 200, rows)
    totals = [sum(rows[table] for table in part) for part in cut]
    assert len(cut) == 2
    assert max(totals) < 1.01 * min(totals)
    assert all(list(part) == sorted(part) for part in cut)
    assert sorted(table for part in cut for table in part) == tables
    # Those that are too large to be digested cost no more than any other.
    assert [len(part) for part in cut_into_requests(tables[:32], 200, [10**9] * 31 + [0])] == [16, 16]
    # However unequal they are, no request has more than the server takes.
    assert max(len(part) for part in cut_into_requests(tables, 100, [100_000] + [0] * 199)) == 100


@pytest.mark.parametrize("single_transaction", [True, False])
def test_new_tables(two_same: Link, single_transaction: bool) -> None:
    """Created tables are described in one request, and not described again before their rows."""
    create(two_same, *NAMES)
    two_same.target.execute(*(f"DROP TABLE {name}" for name in NAMES))
    tables = [table_from_options(name, {"create_table": True}) for name in NAMES]
    with two_same.client(*NAMES) as client:
        reports = sync_tables(client, tables, two_same.target.database, single_transaction=single_transaction)
        asked = client.traffic.requests
    assert [(report.verified, report.rows_total) for report in reports] == [("digest", 40 * n) for n in range(len(NAMES))]
    assert [len(two_same.target.rows(name)) for name in NAMES] == [report.rows_total for report in reports]
    digested = len(NAMES) if two_same.source.dialect == "postgresql" else 0
    # What the server offers, descriptions, and rows, or the comparison of the table that is empty.
    assert asked <= 1 + 1 + len(NAMES) + digested
    two_same.assert_clean()


def test_new_tables_in_steps(two_same: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparing step describes created tables in one request, and compares each in one."""
    create(two_same, *NAMES)
    two_same.target.execute(*(f"DROP TABLE {name}" for name in NAMES))
    asked: list[DescribeTable] = []
    describe = SyncClient.describe_table

    def describe_table(self: SyncClient, request: DescribeTable) -> DescribedAnswer:
        asked.append(request)
        return describe(self, request)

    monkeypatch.setattr(SyncClient, "describe_table", describe_table)
    with two_same.client(*NAMES) as client:
        config = ClientConfig.from_dict(
            {
                "url": client.url,
                "connections": {"local": str(two_same.target.database.engine.url)},
                "tables": {name: {"create_table": True} for name in NAMES},
            }
        )
        compare_tables(config, plan_run(config), run_id="a run", opener=Opener())
    assert set(NAMES) <= set(two_same.target.names())
    assert [request for request in asked if not request.digests] == []


def test_new_tables_whose_columns_change(into: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that changes after its table was created is noticed before a row is written."""
    into.protocol = "2"
    create(into, *NAMES[:3])
    into.target.execute(*(f"DROP TABLE {name}" for name in NAMES[:3]))
    describe = transaction_sync.describe_ahead

    def describe_and_change(*arguments: Any) -> Any:
        found = describe(*arguments)
        into.source.execute("ALTER TABLE t2 ADD COLUMN more INTEGER")
        return found

    monkeypatch.setattr(transaction_sync, "describe_ahead", describe_and_change)
    tables = [table_from_options(name, {"create_table": True}) for name in NAMES[:3]]
    with into.client(*NAMES[:3]) as client:
        reports = sync_tables(client, tables, into.target.database)
    assert [report.rows_total for report in reports] == [0, 40, 80]
    assert len(into.target.rows("t2")) == 80
