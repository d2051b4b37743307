"""Triggers of the target that change rows of synced tables, which a merge itself leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event, make_url

from airflow_provider_sync.config import ClientConfig, table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.run import Opener, RunPlan
from airflow_provider_sync.sync.run_steps import compare_tables, download_tables, merge_tables
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from tests.databases.limited_user import user_with
from tests.every_pair import every_pair
from tests.sync.link import Link, linked

TRIGGERS = {
    "postgresql": (
        "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {action}; RETURN NEW; END$$",
        "CREATE TRIGGER act AFTER UPDATE ON a FOR EACH ROW EXECUTE FUNCTION act()",
    ),
    "mysql": ("CREATE TRIGGER act AFTER UPDATE ON a FOR EACH ROW {action}",),
    "sqlite": ("CREATE TRIGGER act AFTER UPDATE ON a BEGIN {action}; END",),
    "duckdb": ("CREATE TRIGGER act AFTER UPDATE ON a FOR EACH STATEMENT {action}",),
}


LIMITED = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE TEMPORARY TABLES"


def prepare(link: Link, key: str, action: str) -> None:
    """Make two tables that both have a row that changes, and a trigger of the one at the target."""
    rows = ", ".join(f"('{number}', 1)" for number in range(1, 301))
    link.create(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)",
        f"CREATE TABLE b (id {key} NOT NULL PRIMARY KEY, v INTEGER)",
        "INSERT INTO a VALUES (1, 1)",
        f"INSERT INTO b VALUES {rows}",
    )
    link.target.execute("CREATE TABLE note (n INTEGER)")
    link.target.execute(*(statement.format(action=action) for statement in link.target.pick(TRIGGERS)))
    link.source.execute("UPDATE a SET v = 2", "UPDATE b SET v = 2 WHERE id = '200'", "DELETE FROM b WHERE id = '201'")


def in_steps(link: Link, *names: str, mode: str = "mirror") -> list[TableReport]:
    """Compare, download and merge."""
    staged = {}
    with link.client(*names) as client:
        for name in names:
            options = table_from_options(name, {"mode": mode})
            slices = compare_table(client, options, link.target.database, run_id="r", slices=2).slices
            assert slices
            staged[name] = (
                options,
                [stage_slice(client, options, link.target.database, table_slice) for table_slice in slices],
            )
        return merge_slices(client, staged, link.target.database)


def run_in_steps(link: Link, *names: str) -> None:
    """Do the same with each table in a transaction of its own, through what goes from task to task."""
    url = link.target.database.engine.url.render_as_string(hide_password=False)
    plan = RunPlan.of([(url, table_from_options(name, {})) for name in names])
    with link.client(*names) as client:
        config = ClientConfig(url=client.url, retries=0, single_transaction=False)
        compared = compare_tables(config, plan, opener=Opener(), run_id="r")
        assert [report.name for report in compared.unchanged] == ["c"]
        staged = [
            StagedSlice.from_dict(entry.to_dict()) for entry in download_tables(config, plan, compared.pieces, opener=Opener())
        ]
        merge_tables(config, plan, staged, opener=Opener())


@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"])
@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_rows_that_a_trigger_takes_from_a_changed_table(two_into: Link, key: str, steps: bool) -> None:
    """Equal rows that a trigger may have changed are compared again, also in changed tables."""
    prepare(two_into, key, "DELETE FROM b WHERE v = 1")
    before = two_into.target.rows("b")

    with pytest.raises(SyncFailed):
        in_steps(two_into, "b", "a") if steps else two_into.sync("b", "a")

    assert two_into.target.rows("b") == before
    assert two_into.target.rows("a") == [(1, 1)]


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_rows_that_a_trigger_changes_between_the_slices(two_into: Link, steps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in key ranges that no task compared are checked, too."""
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 20)
    prepare(two_into, "INTEGER", "UPDATE b SET v = 3 WHERE id = 5")
    before = two_into.target.rows("b")

    with pytest.raises(SyncFailed):
        in_steps(two_into, "b", "a") if steps else two_into.sync("b", "a")

    assert two_into.target.rows("b") == before
    assert two_into.target.rows("a") == [(1, 1)]


@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(9)"])
@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_rows_that_a_trigger_changes_in_a_table_that_keeps_rows(two_into: Link, key: str, steps: bool) -> None:
    """Rows of tables with kept rows are checked, too, with any keys."""
    prepare(two_into, key, "UPDATE b SET v = 3 WHERE id = '5'")
    before = two_into.target.rows("b")

    with pytest.raises(SyncFailed):
        in_steps(two_into, "b", "a", mode="upsert") if steps else two_into.sync("b", "a", options={"b": {"mode": "upsert"}})

    assert two_into.target.rows("b") == before
    assert two_into.target.rows("a") == [(1, 1)]


@every_pair(mode=["mirror", "upsert"], key=["INTEGER", "VARCHAR(9)"], steps=[False, True])
def test_triggers_that_write_elsewhere(two_into: Link, key: str, steps: bool, mode: str) -> None:
    """A trigger that does not change synced tables is allowed."""
    prepare(two_into, key, "INSERT INTO note VALUES (1)")
    kept = [row for row in two_into.target.rows("b") if str(row[0]) == "201"] if mode == "upsert" else []

    reports = in_steps(two_into, "b", "a", mode=mode) if steps else two_into.sync("b", "a", options={"b": {"mode": mode}})

    assert [report.verified for report in reports] == ["digest", "digest"]
    assert sorted(two_into.target.rows("b")) == sorted([*two_into.source.rows("b"), *kept])
    assert two_into.target.rows("note") == [(1,)]


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_triggers_that_write_to_tables_of_other_transactions(two_into: Link, steps: bool) -> None:
    """An equal or already merged table of another transaction must stay as it was compared."""
    two_into.create("CREATE TABLE c (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO c VALUES (1, 1), (2, 1)")
    prepare(two_into, "INTEGER", "UPDATE c SET v = 3 WHERE id = 1")
    before = two_into.target.rows("c")

    with pytest.raises(SyncFailed, match=r"'c' was compared with the source already.*trigger \(act\)"):
        run_in_steps(two_into, "c", "a") if steps else two_into.sync("c", "a", single_transaction=False)

    assert two_into.target.rows("c") == before
    assert two_into.target.rows("a") == [(1, 1)]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_deferred_triggers_are_seen(postgresql_url: str, tmp_path: Path, protocol: str) -> None:
    """If a deferred trigger of PostgreSQL changes verified rows, the sync fails, and all is as it was."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", postgresql_url) as link:
        link.protocol = protocol
        link.create("CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO a VALUES (1, 1)")
        link.target.execute(
            "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN UPDATE a SET v = v + 1 WHERE id = NEW.id AND v < 5; RETURN NULL; END'",
            "CREATE CONSTRAINT TRIGGER act AFTER UPDATE ON a DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION act()",
        )
        link.source.execute("UPDATE a SET v = 2")

        with pytest.raises(SyncFailed, match=r"Its triggers \(act\) change what is written"):
            link.sync("a")

        assert link.target.rows("a") == [(1, 1)]
        link.assert_clean()


def test_a_server_that_counts_no_changes(postgresql_url: str, tmp_path: Path) -> None:
    """A trigger's change of an equal table is noticed, even if PostgreSQL does not count changes."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", postgresql_url) as link:
        link.protocol = "2"
        prepare(link, "INTEGER", "UPDATE c SET v = 3 WHERE id = 1")
        link.create("CREATE TABLE c (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO c VALUES (1, 1), (2, 1)")
        before = link.target.rows("c")
        link.target.execute(f"ALTER DATABASE {link.target.database.engine.url.database} SET track_counts = off")
        link.target.database.engine.dispose()

        with pytest.raises(SyncFailed, match=r"'c' was compared with the source already.*trigger \(act\)"):
            link.sync("c", "a")

        assert link.target.rows("c") == before
        assert link.target.rows("a") == [(1, 1)]


@pytest.mark.parametrize("names", [("c", "a"), ("a", "c")], ids=" ".join)
@pytest.mark.parametrize("single_transaction", [True, False], ids=["one transaction", "one each"])
def test_triggers_that_truncate(postgresql_url: str, tmp_path: Path, names: tuple[str, ...], single_transaction: bool) -> None:
    """A trigger that truncates a table of PostgreSQL, which counts no rows for that, is noticed."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", postgresql_url) as link:
        link.protocol = "2"
        prepare(link, "INTEGER", "TRUNCATE c")
        link.create("CREATE TABLE c (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO c VALUES (1, 1), (2, 1)")

        with pytest.raises(SyncFailed, match=r"'c' was compared with the source already.*trigger \(act\)"):
            link.sync(*names, single_transaction=single_transaction)

        assert link.target.rows("c") == link.source.rows("c")
        assert link.target.rows("a") == [(1, 1)]


@pytest.mark.parametrize("single_transaction", [True, False], ids=["one transaction", "one each"])
def test_triggers_that_the_user_may_not_see(mysql_url: str, tmp_path: Path, single_transaction: bool) -> None:
    """A trigger's change is noticed, although MySQL shows triggers only with the privilege TRIGGER."""
    source_url = f"sqlite:///{tmp_path / 'source.db'}"
    with user_with(mysql_url, LIMITED) as url, linked(source_url, mysql_url) as owner, linked(source_url, url) as link:
        link.protocol = "2"
        prepare(owner, "VARCHAR(9)", "UPDATE c SET v = 3 WHERE id = 1")
        owner.create("CREATE TABLE c (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO c VALUES (1, 1), (2, 1)")
        before = owner.target.rows("c")

        with pytest.raises(
            SyncFailed, match=r"'c' was compared with the source already.*a trigger of 'a' that this user may not"
        ):
            link.sync("c", "a", single_transaction=single_transaction)

        assert owner.target.rows("c") == before
        assert owner.target.rows("a") == [(1, 1)]


def test_a_grant_that_another_one_hides(mysql_url: str, tmp_path: Path) -> None:
    """A grant with wildcard underscores does not count beside one on the database itself, as in MySQL."""
    source_url, database = f"sqlite:///{tmp_path / 'source.db'}", make_url(mysql_url).database or ""
    with user_with(mysql_url, "TRIGGER") as url, linked(source_url, mysql_url) as owner, linked(source_url, url) as link:
        link.protocol = "2"
        for host in ("localhost", "%"):
            literal = database.replace("_", r"\_")
            owner.target.execute(f"GRANT {LIMITED} ON `{literal}`.* TO '{make_url(url).username}'@'{host}'")
        prepare(owner, "VARCHAR(9)", "UPDATE c SET v = 3 WHERE id = 1")
        owner.create("CREATE TABLE c (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO c VALUES (1, 1), (2, 1)")

        with pytest.raises(
            SyncFailed, match=r"'c' was compared with the source already.*a trigger of 'a' that this user may not"
        ):
            link.sync("c", "a")

        assert owner.target.rows("c") == [(1, 1), (2, 1)]


@pytest.mark.parametrize("server", ["mysql", pytest.param("mariadb", marks=pytest.mark.slow)])
def test_unseen_triggers_that_write_elsewhere(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> None:
    """A user is warned only of invisible triggers, even if they do not change synced tables."""
    source_url, target_url = f"sqlite:///{tmp_path / 'source.db'}", request.getfixturevalue(f"{server}_url")
    with user_with(target_url, LIMITED) as url, linked(source_url, target_url) as owner, linked(source_url, url) as link:
        link.protocol = "2"
        prepare(owner, "VARCHAR(9)", "INSERT INTO note VALUES (1)")

        about_b, about_a = link.sync("b", "a")

        assert (about_b.verified, about_a.verified) == ("digest", "digest")
        assert not about_b.warnings
        assert "has triggers" in about_a.warnings[0]
        assert owner.target.rows("note") == [(1,)]
        assert [report.status for report in link.sync("b", "a")] == ["unchanged", "unchanged"]


@pytest.mark.parametrize("server", ["mysql", "mariadb"])
def test_no_trigger_is_taken_for_an_unseen_one(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> None:
    """A table without triggers gets no such warning, even if its columns have no default."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", request.getfixturevalue(f"{server}_url")) as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO a VALUES (1, 1)")
        times = "valid_from {DATETIME} NOT NULL, valid_to {DATETIME} NULL, is_current BOOLEAN NOT NULL"
        link.target.execute(f"CREATE TABLE a (id INTEGER NOT NULL, v INTEGER, {times}, PRIMARY KEY (id, valid_from))")

        report = link.sync_one("a", {"mode": "history"})

        assert (report.rows_inserted, report.warnings) == (1, ())


@pytest.mark.parametrize(("privilege", "asked"), [(", TRIGGER", 0), ("", 1)], ids=["may see them", "may not"])
@pytest.mark.parametrize("server", ["mysql", "mariadb"])
def test_unseen_triggers_are_asked_for_where_they_cannot_be_seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, server: str, privilege: str, asked: int
) -> None:
    """For a user who may see triggers, as on MariaDB, there is no statement for each table."""
    source_url = f"sqlite:///{tmp_path_factory.mktemp('source') / 'source.db'}"
    target_url = request.getfixturevalue(f"{server}_url")
    executed: list[str] = []
    with user_with(target_url, LIMITED + privilege) as url, linked(source_url, url) as link:
        link.protocol = "2"
        names = ("a", "b", "c")
        link.create(*(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v INTEGER)" for name in names))
        link.create(*(f"INSERT INTO {name} VALUES (1, 1)" for name in names))
        link.source.execute(*(f"UPDATE {name} SET v = 2" for name in names))
        event.listen(link.target.database.engine, "before_cursor_execute", lambda _, __, said, *___: executed.append(said))

        link.sync(*names)

    opened = [said for said in executed if said.startswith("SHOW SESSION STATUS WHERE Variable_name IN ('Table_open")]
    assert bool(opened) == bool(asked and server == "mysql")
    assert sum(said == "SHOW GRANTS" for said in executed) <= 1


@pytest.mark.parametrize("clause", ["REPLACE", "IGNORE"])
@pytest.mark.parametrize("rows", ["(1, 1), (2, 1)", ""], ids=["difference", "first"])
def test_triggers_that_resolve_conflicts(two_same: Link, clause: str, rows: str) -> None:
    """Conflict clauses in SQLite triggers keep their effect: ``INSERT OR IGNORE`` ignores."""
    two_same.create("CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)", *([f"INSERT INTO a VALUES {rows}"] if rows else []))
    action = f"BEGIN INSERT OR {clause} INTO note VALUES ('a', NEW.id); END"
    two_same.target.execute(
        "CREATE TABLE note (k TEXT PRIMARY KEY, n INTEGER)",
        "INSERT INTO note VALUES ('a', 0)",
        f"CREATE TRIGGER new AFTER INSERT ON a {action}",
        f"CREATE TRIGGER changed AFTER UPDATE ON a {action}",
    )
    two_same.source.execute("UPDATE a SET v = 2", "INSERT INTO a VALUES (3, 1)")

    assert two_same.sync_one("a").verified == "digest"

    two_same.assert_equal("a")
    assert two_same.target.rows("note") == [("a", 3 if clause == "REPLACE" else 0)]
