"""Tables of PostgreSQL that others refer to, synced by the role that is usual: it may write, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.messages import GetRows
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.databases.plain_role import plain_role
from tests.every_pair import every_pair
from tests.scenario import Scenario
from tests.sync.link import Link, linked
from tests.sync.tables.interrupted import interrupted


class PlainLink:
    """A link whose client writes as the plain role.

    :ivar link: between the source, on which the test may do everything, and the target as the role sees it
    :ivar target: the target as its owner sees it
    """

    def __init__(self, link: Link, target: Scenario) -> None:
        self.link = link
        self.target = target


@pytest.fixture(params=[pytest.param("1", marks=pytest.mark.slow), "2"])
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
    """Deleting a referenced row is refused with the constraint's name, and nothing changes."""
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


def test_a_foreign_key_that_comes_meanwhile(plain: PlainLink) -> None:
    """A foreign key that is created during a sync deletes no rows of a table that is not synced."""
    plain.link.protocol = "2"
    _create(plain, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')")
    plain.link.source.execute("DELETE FROM t WHERE id = 2", "UPDATE t SET v = 'z' WHERE id = 1")

    def refer(_: int) -> None:
        plain.target.execute(
            "CREATE TABLE note (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE)",
            "INSERT INTO note VALUES (10, 1), (20, 2)",
        )

    with pytest.raises(SyncFailed, match=r"note_t_id_fkey.*GRANT SET ON PARAMETER session_replication_role"):
        interrupted(plain.link, GetRows, 1, refer)
    assert plain.target.rows("note") == [(10, 1), (20, 2)]
    assert len(plain.target.rows("t")) == 3
    plain.link.assert_clean()


PARTITIONS = (
    "CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
    "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (100)",
    "INSERT INTO t SELECT i, i FROM generate_series(1, 20) AS i",
)


@pytest.mark.parametrize(("name", "referred"), [("t", "t2"), ("t2", "t"), ("t", "t")], ids=str)
def test_rows_that_refer_to_a_partition_stay(plain: PlainLink, name: str, referred: str) -> None:
    """Rows also stay if they refer to a synced partition, or to a table of which only a partition is synced."""
    _create(plain, *PARTITIONS)
    plain.target.execute(
        f"CREATE TABLE note (id int PRIMARY KEY, t_id int REFERENCES {referred} ON DELETE CASCADE)",
        "INSERT INTO note VALUES (1, 15)",
    )
    plain.link.source.execute("DELETE FROM t WHERE id = 15", "UPDATE t SET v = 0 WHERE id = 16")

    with pytest.raises(SyncFailed, match="note_t_id_fkey"):
        plain.link.sync_one(name)

    assert plain.target.rows("note") == [(1, 15)]
    assert (15, 15) in plain.target.rows("t")
    with plain.link.client(name) as client:
        # A superuser's session keeps foreign keys off.
        (report,) = sync_tables(client, [table_from_options(name, {})], plain.target.database)
    assert report.orphans == {"note.note_t_id_fkey": 1}
    assert plain.target.rows("note") == [(1, 15)]
    plain.link.assert_equal("t")


@pytest.mark.parametrize("single_transaction", [True, False], ids=["one transaction", "one each"])
@pytest.mark.parametrize("names", [("parent", "child"), ("child", "parent")], ids=" ".join)
def test_a_key_changes_its_case(plain: PlainLink, names: tuple[str, str], single_transaction: bool) -> None:
    """The children of a row whose key changes its case keep their parent."""
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


FAMILY = (
    "CREATE TABLE parent (id int PRIMARY KEY, v text)",
    "CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE, mine text)",
    "CREATE TABLE other (id int PRIMARY KEY)",
    "INSERT INTO parent VALUES (1,'a'),(2,'b'),(3,'c')",
    "INSERT INTO child VALUES (10,1,'x'),(20,2,'y'),(21,2,'z')",
)


def test_children_that_a_mode_keeps(plain: PlainLink) -> None:
    """If a synced table keeps children of a deleted parent, the error names it, and nothing changes."""
    _create(plain, *FAMILY)
    plain.link.source.execute("DELETE FROM parent WHERE id = 2", "UPDATE child SET mine = 'new' WHERE id = 10")

    with pytest.raises(SyncFailed, match=r"child_parent_id_fkey.* or a mode, a window or 'columns' of child leaves them"):
        plain.link.sync("parent", "child", options={"child": {"mode": "upsert"}})

    assert len(plain.target.rows("parent")) == len(plain.target.rows("child")) == 3


@pytest.mark.parametrize("single_transaction", [True, False], ids=["one transaction", "one each"])
@pytest.mark.parametrize("names", [("parent", "other", "child"), ("child", "parent", "other")], ids=" ".join)
def test_parents_and_children_change_together(plain: PlainLink, names: tuple[str, ...], single_transaction: bool) -> None:
    """Rows move from deleted parents to new ones in any order, also with a transaction for each table."""
    _create(plain, *FAMILY)
    plain.link.source.execute(
        "INSERT INTO parent VALUES (4, 'd')",
        "UPDATE child SET parent_id = 4 WHERE id = 20",
        "DELETE FROM parent WHERE id = 2",
        "INSERT INTO child VALUES (40, 4, 'new')",
        "INSERT INTO other VALUES (1)",
    )

    reports = plain.link.sync(*names, single_transaction=single_transaction)

    assert [report.name for report in reports] == list(names)
    for name in names:
        plain.link.assert_equal(name)


@pytest.mark.parametrize("single_transaction", [True, False], ids=["one transaction", "one each"])
def test_steps_change_parents_and_children_together(plain: PlainLink, single_transaction: bool) -> None:
    """The last step follows the same rules: children before deleted parents, and no action on other rows."""
    _create(plain, *FAMILY)
    plain.link.source.execute(
        "INSERT INTO parent VALUES (4, 'd')",
        "UPDATE child SET parent_id = 4 WHERE id IN (20, 21)",
        "DELETE FROM parent WHERE id = 2",
    )
    names = ("parent", "child")
    reports = _in_steps(plain, names, single_transaction=single_transaction)

    assert [report.name for report in reports] == list(names)
    for name in names:
        plain.link.assert_equal(name)

    plain.target.execute("CREATE TABLE note (id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE)")
    plain.target.execute("INSERT INTO note VALUES (1, 3)")
    plain.link.source.execute("DELETE FROM parent WHERE id = 3")
    with pytest.raises(SyncFailed, match="note_p_fkey"):
        _in_steps(plain, ("parent",), run_id="second")
    assert plain.target.rows("note") == [(1, 3)]


def _in_steps(plain: PlainLink, names: tuple[str, ...], *, run_id: str = "first", **arguments: bool) -> list[TableReport]:
    database = plain.link.target.database
    with plain.link.client(*names) as client:
        staged = {}
        for name in names:
            options = table_from_options(name, {})
            slices = compare_table(client, options, database, run_id=run_id).slices
            assert slices
            staged[name] = (options, [stage_slice(client, options, database, table_slice) for table_slice in slices])
        return merge_slices(client, staged, database, **arguments)


@pytest.mark.parametrize("single_transaction", [True, False], ids=["one transaction", "one each"])
def test_children_that_the_source_leaves_behind_are_refused(plain: PlainLink, single_transaction: bool) -> None:
    """Rows without their parent at the source are refused, their tables stay, and the rest of the run is synced."""
    _create(plain, *FAMILY)
    plain.link.source.execute(
        "ALTER TABLE child DROP CONSTRAINT child_parent_id_fkey",
        "DELETE FROM parent WHERE id = 2",
        "INSERT INTO other VALUES (1)",
    )

    with pytest.raises(SyncFailed, match="child_parent_id_fkey") as failure:
        plain.link.sync("parent", "child", "other", single_transaction=single_transaction)

    assert not failure.value.retryable
    assert len(plain.target.rows("parent")) == len(plain.target.rows("child")) == 3
    other = "failed" if single_transaction else "changed"
    assert [report.status for report in failure.value.reports] == ["failed", "failed", other]
    plain.link.assert_clean()


def test_flags_and_identities_arrive(plain: PlainLink) -> None:
    """Values under a partial index, and rows with an identity, arrive and are then equal."""
    _create(
        plain,
        "CREATE TABLE c (id int PRIMARY KEY, user_id int NOT NULL, is_default boolean NOT NULL,"
        " seq int GENERATED ALWAYS AS IDENTITY)",
        "CREATE UNIQUE INDEX one ON c (user_id) WHERE is_default",
        "INSERT INTO c VALUES (1, 7, true), (2, 7, false), (3, 8, true)",
    )
    for flags in ("id = 2", "id = 1"):
        plain.link.source.execute("UPDATE c SET is_default = false WHERE user_id = 7")
        plain.link.source.execute(f"UPDATE c SET is_default = true WHERE {flags}")

        assert plain.link.sync_one("c").rows_updated == 2
        plain.link.assert_equal("c")
        assert plain.link.sync_one("c").status == "unchanged"


def test_tables_that_a_trigger_changes_are_compared_again(plain: PlainLink) -> None:
    """A table that another one's trigger changed in the transaction does not count as equal."""
    _create(plain, *FAMILY)
    plain.target.execute(
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " 'BEGIN DELETE FROM public.other; RETURN NULL; END'",
        "CREATE TRIGGER sweep AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION t()",
    )
    _create(plain, "INSERT INTO other VALUES (1)")
    plain.link.source.execute("INSERT INTO parent VALUES (5, 'e')")

    with pytest.raises(SyncFailed, match=r"'other' was compared.*sweep"):
        plain.link.sync("other", "parent")

    assert plain.target.rows("other") == [(1,)]
    assert len(plain.target.rows("parent")) == 3


@every_pair(steps=[False, True], action=["CASCADE", "SET NULL"], itself=[False, True])
def test_actions_over_generated_columns_of_synced_tables(plain: PlainLink, itself: bool, action: str, steps: bool) -> None:
    """A synced table with a row that such an action changes does not count as equal."""
    names = ("p",) if itself else ("p", "n")
    _create(
        plain,
        "CREATE TABLE p (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED UNIQUE, other int)",
        "INSERT INTO p (id, v, other) SELECT i, i, i * 2 FROM generate_series(1, 400) i",
        "CREATE TABLE n (id int PRIMARY KEY, other int)",
        "INSERT INTO n SELECT i, i * 2 FROM generate_series(1, 400) i",
    )
    plain.target.execute(f"ALTER TABLE {names[-1]} ADD FOREIGN KEY (other) REFERENCES p (twice) ON UPDATE {action}")
    if itself:
        plain.link.source.execute("UPDATE p SET other = 4 WHERE id = 200")
        plain.target.execute("UPDATE p SET other = 4 WHERE id = 200", "UPDATE p SET other = 8 WHERE id = 2")
        plain.link.source.execute("UPDATE p SET other = 8 WHERE id = 2")
    plain.link.source.execute("UPDATE p SET v = 9999 WHERE id = 2", "UPDATE n SET other = 10 WHERE id = 300")
    before = [plain.target.rows(name) for name in names]

    with pytest.raises(SyncFailed):
        _in_steps(plain, names) if steps else plain.link.sync(*names)

    assert [plain.target.rows(name) for name in names] == before


def test_no_action_follows_a_column_that_is_forgotten(plain: PlainLink) -> None:
    """If ON UPDATE would change rows that refer to a gone column, nothing is written, and the error names it."""
    plain.link.source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    plain.target.execute("CREATE TABLE t (id int PRIMARY KEY, mail text UNIQUE)", "INSERT INTO t VALUES (1, 'x')")
    plain.target.execute(
        "CREATE TABLE note (mail text REFERENCES t (mail) ON UPDATE CASCADE)",
        "INSERT INTO note VALUES ('x')",
    )
    with pytest.raises(SyncFailed, match=r"note_mail_fkey.*\(ON UPDATE CASCADE\) when gone_columns sets 'mail' of 't'"):
        plain.link.sync_one("t", {"gone_columns": "set_null"})
    plain.target.execute("ALTER TABLE note DROP CONSTRAINT note_mail_fkey, ADD FOREIGN KEY (mail) REFERENCES t (mail)")
    with pytest.raises(SyncFailed, match=r'table "t" violates foreign key constraint "note_mail_fkey"'):
        plain.link.sync_one("t", {"gone_columns": "set_null"})
    assert plain.target.rows("t") == [(1, "x")]
    assert plain.target.rows("note") == [("x",)]
