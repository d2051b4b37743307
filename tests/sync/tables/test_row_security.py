"""Policies that hide rows from a role: a sync is refused, unless an option says that the visible rows are meant."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.sync.tables.change_check import table_differs
from airflow_provider_sync.sync.tables.diff import diff_table
from airflow_provider_sync.sync.tables.steps import compare_table
from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.scenario import Scenario
from tests.sync.link import Link, linked

TABLE = "CREATE TABLE t (id int PRIMARY KEY, tenant int)"
ROWS = "INSERT INTO t SELECT i, i % 5 FROM generate_series(1, 50) i"
FILTER = ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY own_rows ON t USING (tenant < 3)")
ALLOWED = {"allow_row_security": True}


@pytest.fixture
def role(database_servers: DatabaseServers, postgresql_url: str) -> Iterator[str]:
    """Give a role that may do anything with tables and is no superuser."""
    name = f"plain_{secrets.token_hex(4)}"
    with on(database_servers.url(POSTGRESQL)) as server:
        server.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    with on(postgresql_url) as database:
        database.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture(params=["1", "2"])
def link(request: pytest.FixtureRequest, database_servers: DatabaseServers, role: str, postgresql_url: str) -> Iterator[Link]:
    """Give two databases, both with the same 50 rows, both seen by that role, by each version."""
    with database_servers.database(POSTGRESQL, None) as other:  # type: ignore[arg-type]  # only SQLite needs a folder
        for url in (postgresql_url, other):
            with on(url) as database:
                database.execute(TABLE, ROWS, f"GRANT ALL ON t TO {role}", f"GRANT ALL ON SCHEMA public TO {role}")
        with linked(as_role(postgresql_url, role), as_role(other, role)) as link:
            link.protocol = request.param
            yield link


def test_rows_hidden_at_the_source(link: Link, postgresql_url: str) -> None:
    """Rows that the source's role does not see are not deleted: the sync is refused with what to do."""
    with on(postgresql_url) as source:
        source.execute(*FILTER)
    with pytest.raises(SyncError, match=r"own_rows for ALL.*BYPASSRLS.*allow_row_security"):
        link.sync_one("t")
    assert len(link.target.rows("t")) == 50

    link.offered["t"] = ALLOWED
    assert link.sync_one("t", {"max_deletes": 20}).rows_deleted == 20
    assert {tenant for _, tenant in link.target.rows("t")} == {0, 1, 2}
    assert link.sync_one("t").status == "unchanged"


@pytest.mark.parametrize("query", [False, True], ids=["view", "query"])
def test_rows_hidden_from_a_view(link: Link, postgresql_url: str, role: str, query: bool) -> None:
    """A view or query over a table with hidden rows is refused, and the remedy in the error works."""
    offered = {"primary": "id", "query" if query else "table": "SELECT * FROM t" if query else "seen"}
    with on(postgresql_url) as source:
        source.execute("CREATE VIEW seen AS SELECT * FROM t", f"ALTER VIEW seen OWNER TO {role}", *FILTER)
    link.offered["t"] = offered
    with pytest.raises(SyncError, match=r'policy for table "t"\. Connect as a role that sees all.*allow_row_security') as failed:
        link.sync_one("t")
    assert "grant" not in str(failed.value).lower()
    assert len(link.target.rows("t")) == 50
    link.offered["t"] = offered | ALLOWED
    assert link.sync_one("t", {"max_deletes": 20}).rows_deleted == 20


def test_rows_hidden_at_the_target(link: Link) -> None:
    """A target with hidden rows is refused by every comparison, and nothing is written."""
    url = link.target.database.engine.url
    with on(url.set(username="postgres").render_as_string()) as target:
        target.execute(*FILTER)
        options = table_from_options("t", {})
        with link.client("t") as client:
            for compare in (table_differs, diff_table):
                with pytest.raises(SyncError, match="own_rows"):
                    compare(client, options, link.target.database)
            with pytest.raises(TableError, match="own_rows"):
                compare_table(client, options, link.target.database, run_id="r")
        with pytest.raises(SyncError, match=r"rows from the role 'plain_\w+' \(policy own_rows for ALL\)"):
            link.sync_one("t")
        assert target.scalar("SELECT count(*) FROM t") == 50

        link.source.execute("DELETE FROM t WHERE tenant > 2")
        assert link.sync_one("t", ALLOWED).status == "unchanged"
        link.source.execute("UPDATE t SET tenant = 1 WHERE id = 5")
        assert link.sync_one("t", ALLOWED).rows_updated == 1
        assert target.scalar("SELECT count(*) FROM t") == 50


@pytest.mark.parametrize("change", ["DELETE FROM t WHERE id = 4", "UPDATE t SET tenant = 9 WHERE id = 4"])
def test_rows_that_are_shown_and_may_not_be_changed(link: Link, change: str) -> None:
    """If policies show more rows than the role may change, the error names them, and nothing is written."""
    with on(link.target.database.engine.url.set(username="postgres").render_as_string()) as target:
        target.execute(
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY all_rows ON t FOR SELECT USING (true)",
            *(f"CREATE POLICY own_{kind} ON t FOR {kind} USING (tenant < 3)" for kind in ("update", "delete")),
        )
        link.source.execute(change)
        with pytest.raises(SyncError, match=r"own_update for UPDATE.*policies for UPDATE and DELETE") as failed:
            link.sync_one("t", ALLOWED)
        assert not failed.value.retryable
        assert target.scalar("SELECT tenant FROM t WHERE id = 4") == 4


def test_policies_that_do_not_concern_the_role(link: Link, postgresql_url: str, role: str) -> None:
    """A table's owner sees all rows unless policies are forced; without any policy, then no row."""
    with on(postgresql_url) as source:
        source.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY", f"ALTER TABLE t OWNER TO {role}")
        assert link.sync_one("t").status == "unchanged"
        source.execute("ALTER TABLE t FORCE ROW LEVEL SECURITY")
        with pytest.raises(SyncError, match=r"no policy, so all rows"):
            link.sync_one("t")
    assert len(link.target.rows("t")) == 50


def test_first_load_into_a_filtered_target(link: Link) -> None:
    """A target that is empty for the role is filled within its policies, and hidden rows stay."""
    with on(link.target.database.engine.url.set(username="postgres").render_as_string()) as target:
        target.execute("DELETE FROM t WHERE tenant < 3", "UPDATE t SET id = id + 100", *FILTER)
        link.source.execute("DELETE FROM t WHERE tenant > 2")
        assert link.sync_one("t", ALLOWED).rows_inserted == 30
        assert target.scalar("SELECT count(*) FROM t") == 50

        link.source.execute("INSERT INTO t VALUES (60, 4)")
        with pytest.raises(SyncError, match=r"violates row-level security.*change the policy") as failed:
            link.sync_one("t", ALLOWED)
        assert not failed.value.retryable
        assert target.scalar("SELECT count(*) FROM t") == 50


def test_rows_hidden_in_a_referenced_table(link: Link, role: str) -> None:
    """A table that refers to one with hidden rows is synced without a count of orphans."""
    child = "CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t)"
    with (
        on(link.source.database.engine.url.set(username="postgres").render_as_string()) as source,
        on(link.target.database.engine.url.set(username="postgres").render_as_string()) as target,
    ):
        for database in (source, target):
            database.execute(child, f"GRANT ALL ON child TO {role}")
        source.execute("INSERT INTO child VALUES (1, 1), (2, 4)")
        target.execute(*FILTER)
        report = link.sync_one("child")
        assert (report.rows_inserted, report.orphans) == (2, {})
        source.execute("UPDATE child SET t_id = 9 WHERE id = 1")
        assert link.sync_one("child").rows_updated == 1
        assert target.rows("child") == source.rows("child")


@contextmanager
def on(url: str) -> Iterator[Scenario]:
    """Open a database."""
    engine = open_engine(url)
    try:
        yield Scenario(database_for(engine))
    finally:
        engine.dispose()


def as_role(url: str, role: str) -> str:
    """Return the URL for another role."""
    return make_url(url).set(username=role).render_as_string()
