"""Tables of PostgreSQL that others refer to, synced by the role that is usual: it may write, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link, linked
from tests.tables.plain_role import plain_role
from tests.tables.scenario import Scenario


class PlainLink:
    """A link whose client writes as the plain role.

    :ivar link: between the source, on which the test may do everything, and the target as the role sees it
    :ivar target: the target as its owner sees it
    """

    def __init__(self, link: Link, target: Scenario) -> None:
        self.link = link
        self.target = target


@pytest.fixture(params=["1", "2"])
def plain(request: pytest.FixtureRequest, postgresql_url: str, database_servers, tmp_path) -> Iterator[PlainLink]:  # type: ignore[no-untyped-def]  # fixtures
    """Give two databases of PostgreSQL, for each version of the protocol."""
    with (
        database_servers.database("postgresql", tmp_path) as source_url,
        linked(source_url, postgresql_url) as owner,
        plain_role(postgresql_url) as url,
        linked(source_url, url) as link,
    ):
        link.protocol = request.param
        yield PlainLink(link, owner.target)


def _create(plain: PlainLink, *statements: str) -> None:
    plain.link.source.execute(*statements)
    plain.target.execute(*statements)


def test_rows_of_tables_that_are_not_synced_stay(plain: PlainLink) -> None:
    """Deleting a row that others refer to is refused by name of the constraint, and nothing changes."""
    _create(plain, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')")
    plain.target.execute(
        "CREATE TABLE note (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE, mine text)",
        "INSERT INTO note VALUES (10,1,'x'),(20,2,'y'),(21,2,'z')",
    )
    plain.link.source.execute("DELETE FROM t WHERE id = 2")

    with pytest.raises(SyncFailed, match=r"note_t_id_fkey.*GRANT SET ON PARAMETER session_replication_role") as failure:
        plain.link.sync_one("t")

    assert not failure.value.retryable
    assert plain.target.rows("note") == [(10, 1, "x"), (20, 2, "y"), (21, 2, "z")]
    assert len(plain.target.rows("t")) == 3
    plain.link.assert_clean()
    plain.target.execute("DELETE FROM note WHERE t_id = 2")
    assert plain.link.sync_one("t").rows_deleted == 1


@pytest.mark.parametrize("single_transaction", [True, False], ids=["one transaction", "one each"])
@pytest.mark.parametrize("names", [("parent", "child"), ("child", "parent")], ids=" ".join)
def test_a_key_changes_its_case(plain: PlainLink, names: tuple[str, str], single_transaction: bool) -> None:
    """The children of a row whose key changes its case stay with it."""
    _create(
        plain,
        "CREATE EXTENSION citext",
        "CREATE TABLE parent (code citext PRIMARY KEY, v text)",
        "CREATE TABLE child (id int PRIMARY KEY, code citext REFERENCES parent ON DELETE CASCADE, mine text)",
        "INSERT INTO parent VALUES ('ab','a'),('cd','b'),('ef','c')",
        "INSERT INTO child VALUES (1,'ab','x'),(2,'cd','y')",
    )
    plain.link.source.execute("UPDATE parent SET code = 'AB' WHERE code = 'ab'")

    reports = {report.name: report for report in plain.link.sync(*names, single_transaction=single_transaction)}

    assert (reports["parent"].status, reports["parent"].rows_updated) == ("changed", 1)
    assert reports["child"].status == "unchanged"
    plain.link.assert_equal("parent")
    plain.link.assert_equal("child")
    assert [report.status for report in plain.link.sync(*names)] == ["unchanged", "unchanged"]
