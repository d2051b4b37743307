"""Targets of PostgreSQL in a publication that cannot send updates or deletes: the error names the cause and the remedy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link, linked

KEY = "id INTEGER NOT NULL, v VARCHAR(9), extra INTEGER"
ROWS = "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)"
CHANGES = {"update": "UPDATE t SET v = 'x' WHERE id = 2", "delete": "DELETE FROM t WHERE id = 2"}


@pytest.fixture(params=["1", "2"])
def link(request: pytest.FixtureRequest, sqlite_url: str, postgresql_url: str) -> Iterator[Link]:
    """Give equal tables; only the source has a primary key."""
    with linked(sqlite_url, postgresql_url) as link:
        link.protocol = request.param
        link.source.execute(f"CREATE TABLE t ({KEY}, PRIMARY KEY (id))", ROWS)
        link.target.execute(f"CREATE TABLE t ({KEY})", ROWS)
        yield link


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("statements", "cause"),
    [
        pytest.param(
            ["CREATE PUBLICATION p FOR TABLE t"],
            r"does not have a replica identity.*Give the table a primary key, or run ALTER TABLE … REPLICA IDENTITY FULL",
            id="no identity",
        ),
        pytest.param(
            ["ALTER TABLE t ADD PRIMARY KEY (id)", "CREATE PUBLICATION p FOR TABLE t WHERE (extra > 0)"],
            r"column used in the publication WHERE expression is not part of the replica identity\. Set REPLICA IDENTITY FULL",
            id="a condition",
        ),
        pytest.param(
            ["ALTER TABLE t ADD PRIMARY KEY (id)", "CREATE PUBLICATION p FOR TABLE t (v)"],
            r"column list used by the publication does not cover the replica identity\. Add the columns",
            id="a list of columns",
        ),
    ],
)
def test_a_publication_that_cannot_send_changes(link: Link, change: str, statements: list[str], cause: str) -> None:
    """The error says why the publication keeps rows from being changed, and how to allow it; nothing is written."""
    if len(statements) > 1 and int(str(link.target.scalar("SHOW server_version_num"))) < 150_000:
        pytest.skip("publications have no conditions and no lists of columns before PostgreSQL 15")
    link.target.execute(*statements)
    link.source.execute(CHANGES[change])
    before = link.target.rows("t")
    with pytest.raises(SyncFailed, match=f'cannot (update|delete from) table "t".*{cause}') as failure:
        link.sync_one("t", {"primary": "id"})
    assert "take the table out of the publication" in str(failure.value)
    assert not failure.value.retryable
    assert link.target.rows("t") == before
    link.assert_clean()


@pytest.mark.parametrize("change", CHANGES)
def test_a_publication_of_all_tables(link: Link, change: str) -> None:
    """A publication of all tables, which also contains staging tables, is no obstacle."""
    link.target.execute("ALTER TABLE t ADD PRIMARY KEY (id)", "CREATE PUBLICATION p FOR ALL TABLES")
    link.source.execute(CHANGES[change])
    assert link.sync_one("t").status == "changed"
    link.assert_equal("t")
