"""Targets that are made with the source's indexes, foreign keys, defaults and comments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed, TableError
from airflow_provider_sync.protocol.v2.described_details import (
    DefaultValue,
    ForeignKeyDescription,
    IndexDescription,
    TableDetails,
)
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT, ColumnDescription, Described
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType
from airflow_provider_sync.sync.tables.new_target.creation import create_table
from airflow_provider_sync.sync.tables.new_target.details import ReportedDetails, plan_details
from airflow_provider_sync.sync.tables.steps import compare_table, with_foreign_keys
from airflow_provider_sync.sync.tables.version2.column_mapping import create_statement
from tests.database_servers import MARIADB, POSTGRESQL
from tests.engines import on_engines
from tests.scenario import Scenario
from tests.sync.link import Link, linked

MAKE = {"create_table": True, "create_indexes": True}
EVIL = "x'); DROP TABLE u; -- \" ` %s %"


def details(on: Scenario, name: str) -> FoundDetails:
    """Return what a table has besides its columns and its key."""
    with on.database.connect() as connection:
        return on.database.catalog.table_details(connection, on.database.catalog.describe(connection, name))


def family(link: Link) -> None:
    """Make two tables at the source, of which one refers to the other."""
    cascade = "" if link.source.dialect == "duckdb" else " ON DELETE CASCADE"
    now = "CURRENT_TIMESTAMP(6)" if link.source.dialect == "mysql" else "CURRENT_TIMESTAMP"
    link.source.execute(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, code VARCHAR(9) NOT NULL)",
        "CREATE UNIQUE INDEX parent_code ON parent (code)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, owner INTEGER, name VARCHAR(20) DEFAULT 'it''s 50%' NOT NULL,"
        f" n INTEGER DEFAULT 7, at {{DATETIME}} DEFAULT {now},"
        f" CONSTRAINT child_owner FOREIGN KEY (owner) REFERENCES parent (id){cascade})",
        "CREATE INDEX child_name ON child (name, n)",
        "CREATE INDEX child_by_owner ON child (owner)",
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO child VALUES (1, 1, 'x', 1, NULL), (2, 2, 'y', 2, NULL)",
    )


@pytest.mark.quick_on("mysql", "postgresql")
def test_a_target_gets_what_its_source_has(two: Link) -> None:
    """Indexes, keys and defaults are created between all engines; a child may come before its parent."""
    family(two)
    planned = two.sync("child", "parent", options={"child": MAKE, "parent": MAKE}, dry_run=True)
    # Each has a transaction of its own, and the parent's comes last.
    reports = two.sync("child", "parent", options={"child": MAKE, "parent": MAKE}, single_transaction=False)
    assert [(report.status, report.rows_inserted, report.verified) for report in reports] == [("changed", 2, "digest")] * 2
    found = details(two.target, "child")
    if (two.source.dialect, two.target.dialect) == ("duckdb", "mysql"):
        # DuckDB forgets the length of a text, and a long text has no index there.
        assert "index 'child_name' (name, n): " in reports[0].warnings[0]
        assert "unique index 'parent_code' (code): " in reports[1].warnings[0]
        assert {index.columns for index in found.indexes} == {("owner",)}
        return
    assert {index.columns for index in found.indexes} >= {("name", "n"), ("owner",)}
    for plan, report in zip(planned, reports, strict=True):
        assert sorted(plan.schema_changes) == sorted(report.schema_changes)
        assert plan.warnings == report.warnings
    if two.target.dialect == "duckdb":
        (warning,) = reports[0].warnings
        # SQLite and DuckDB forget the names of constraints.
        names = {"sqlite": "child_fk_0", "duckdb": "child_owner_id_fkey"}
        assert f"foreign key {names.get(two.source.dialect, 'child_owner')!r}, which this database adds to no table" in warning
        assert found.foreign_keys == reports[1].warnings == ()
    else:
        action = "NO ACTION" if two.source.dialect == "duckdb" else "CASCADE"
        assert [report.warnings for report in reports] == [(), ()]
        assert [(key.columns, key.parent, key.on_delete) for key in found.foreign_keys] == [(("owner",), "parent", action)]
    assert found.defaults == {"name": DefaultValue("it's 50%"), "n": DefaultValue("7"), "at": DefaultValue()}
    assert [(index.columns, index.unique) for index in details(two.target, "parent").indexes] == [(("code",), True)]
    assert "make unique index 'parent_code' (code)" in reports[1].schema_changes
    if two.target.dialect != "duckdb" and two.source.dialect not in ("sqlite", "duckdb"):
        assert "make foreign key 'child_owner' (owner) to 'parent'" in reports[0].schema_changes
    two.assert_equal("child")
    again = two.sync("child", "parent", options={"child": MAKE, "parent": MAKE})
    assert [(report.status, report.schema_changes) for report in again] == [("unchanged", ())] * 2


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql", "duckdb"])
def test_comments_within_a_family(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    """Comments of tables and columns are created; for SQLite, which has none, the report names them."""
    url = request.getfixturevalue(f"{engine}_url")
    with linked(url, url) as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE s (id INTEGER PRIMARY KEY, n INTEGER)")
        if engine in ("postgresql", "duckdb"):
            link.source.execute("COMMENT ON COLUMN s.n IS 'it''s 50%'", "COMMENT ON TABLE s IS 'all'")
        else:
            link.source.execute("ALTER TABLE s MODIFY n INTEGER COMMENT 'it''s 50%'", "ALTER TABLE s COMMENT 'all'")
        report = link.sync_one("s", {**MAKE, "table": "t"})
        found = details(link.target, "t")
        assert (found.comments, found.comment, report.warnings) == ({"n": "it's 50%"}, "all", ())
    with linked(url, f"sqlite:///{tmp_path / 'copy.db'}") as other:
        other.protocol = "2"
        assert "comments, which this database does not have" in other.sync_one("s", MAKE).warnings[0]


def test_what_cannot_be_made_is_named(two_same: Link) -> None:
    """Conditions, expressions and parents that are not synced are left out and named; columns are renamed."""
    family(two_same)
    two_same.source.execute(
        "CREATE INDEX partial ON child (n) WHERE n > 7",
        "DELETE FROM child",
        "ALTER TABLE child ADD COLUMN e INTEGER DEFAULT (1 + 1)",
    )
    report = two_same.sync_one("child", {**MAKE, "renames": {"name": "label"}})
    (warning,) = report.warnings
    for what in ("index 'partial'", "default of column 'e', which is an expression", "foreign key 'child_fk_0', since the table"):
        assert what in warning
    assert {index.columns for index in details(two_same.target, "child").indexes} == {("label", "n"), ("owner",)}
    assert details(two_same.target, "child").foreign_keys == ()


def test_a_target_that_keeps_more_rows_has_no_constraints(two_same: Link) -> None:
    """With rows that the source lacks, unique keys become plain indexes, and foreign keys are left out."""
    family(two_same)
    modes = {"parent": {**MAKE, "mode": "soft_delete"}, "child": {**MAKE, "mode": "history"}}
    reports = two_same.sync("parent", "child", options=modes)
    assert [report.rows_inserted for report in reports] == [2, 2]
    assert [(index.columns, index.unique) for index in details(two_same.target, "parent").indexes] == [(("code",), False)]
    assert details(two_same.target, "child").foreign_keys == ()
    assert "uniqueness of index 'parent_code'" in reports[0].warnings[0]
    assert "foreign key 'child_fk_0'" in reports[1].warnings[0]


def test_columns_that_are_not_synced_have_no_details(two_same: Link) -> None:
    """Details of excluded columns are not sent, and hidden tables are not named."""
    family(two_same)
    report = two_same.sync_one("child", {**MAKE, "columns": ["n"]})
    found = details(two_same.target, "child")
    assert (found.indexes, found.foreign_keys, dict(found.defaults)) == ((), (), {"n": DefaultValue("7")})
    assert "parent" not in str(report.warnings)


def test_a_foreign_key_that_rows_break_is_named(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Rows without a parent arrive; the foreign key that they break is left out with a warning."""
    with linked(f"sqlite:///{tmp_path / 's.db'}", request.getfixturevalue("postgresql_url")) as link:
        link.protocol = "2"
        family(link)
        link.source.execute("INSERT INTO child VALUES (3, 99, 'z', 3, NULL)")
        reports = link.sync("parent", "child", options={"child": MAKE, "parent": MAKE})
        assert reports[1].rows_inserted == 3
        assert "foreign key" in reports[1].warnings[0]
        assert details(link.target, "child").foreign_keys == ()


def test_a_default_that_its_column_refuses_is_named(two_into: Link) -> None:
    """A default that does not fit the new column's type is left out; other defaults and the rows arrive."""
    two_into.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER DEFAULT 'some', d DATE DEFAULT 'never',"
        " v VARCHAR(9) DEFAULT 'it''s 5%', at DATETIME DEFAULT CURRENT_TIMESTAMP)",
        "INSERT INTO t VALUES (1, 2, '2026-01-01', 'x', NULL)",
    )
    report = two_into.sync_one("t", MAKE)
    assert (report.status, report.rows_inserted) == ("changed", 1)
    two_into.assert_equal("t")
    defaults = details(two_into.target, "t").defaults
    if two_into.target.dialect in ("mysql", "postgresql"):
        assert defaults == {"v": DefaultValue("it's 5%"), "at": DefaultValue()}
        assert "default of column 'n': 'some': " in report.warnings[0]
        assert "default of column 'd': 'never': " in report.warnings[0]
    two_into.assert_clean()


@on_engines(MARIADB, POSTGRESQL)
def test_a_refusal_that_cannot_be_looked_into(two_into: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not create a test table gets the original refusal, and no table is created."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER DEFAULT 'some')", "INSERT INTO t VALUES (1, 2)")

    def denied(*_: object) -> None:
        raise TableError("CREATE TEMPORARY TABLES is denied")

    monkeypatch.setattr(type(two_into.target.database.ddl), "try_create", denied)
    with pytest.raises(SyncFailed, match=r"default|invalid input syntax"):
        two_into.sync("t", options={"t": MAKE})
    assert two_into.target.names() == []


@pytest.mark.parametrize("engine", ["mariadb", "mysql", "postgresql"])
def test_foreign_keys_of_one_name(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    """Two foreign keys with the same name are both created, also if a database allows each name once."""
    with linked(f"sqlite:///{tmp_path / 's.db'}", request.getfixturevalue(f"{engine}_url")) as link:
        link.protocol = "2"
        # SQLite forgets the names of constraints, and counts them for each table.
        link.source.execute(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES parent (id))",
            "CREATE TABLE other (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES parent (id))",
            "INSERT INTO parent VALUES (1)",
        )
        link.target.execute(
            "CREATE TABLE mine (id INTEGER PRIMARY KEY, up INTEGER, CONSTRAINT child_fk_0 FOREIGN KEY (up) REFERENCES mine (id))"
        )
        names = ("parent", "child", "other")
        reports = link.sync(*names, options=dict.fromkeys(names, MAKE))
        assert [report.warnings for report in reports] == [(), (), ()]
        assert [len(details(link.target, name).foreign_keys) for name in names] == [0, 1, 1]


def test_a_comment_that_is_too_long_is_named(request: pytest.FixtureRequest) -> None:
    """A comment that is too long for MySQL and MariaDB is left out, and the rows arrive."""
    with linked(request.getfixturevalue("postgresql_url"), request.getfixturevalue("mariadb_url")) as link:
        link.protocol = "2"
        link.source.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)",
            f"COMMENT ON TABLE t IS '{'é' * 2049}'",
            f"COMMENT ON COLUMN t.n IS '{'é' * 1025}'",
            f"COMMENT ON COLUMN t.id IS '{'é' * 1024}'",
            "INSERT INTO t VALUES (1, 2)",
        )
        report = link.sync_one("t", MAKE)
        assert (report.status, details(link.target, "t").comments) == ("changed", {"id": "é" * 1024})
        assert "comment of column 'n', which is too long" in report.warnings[0]
        assert "comment of the table, which is too long" in report.warnings[0]


@pytest.mark.parametrize(
    ("unique", "options", "made"),
    [
        ("", {}, False),
        ("CREATE UNIQUE INDEX parent_code ON parent (code)", {}, True),
        ("CREATE UNIQUE INDEX parent_code ON parent (code)", {"columns": ["v"]}, False),
        ("CREATE UNIQUE INDEX parent_code ON parent (code)", {"create_indexes": False}, False),
        ("CREATE UNIQUE INDEX parent_code ON parent (code)", {"renames": {"code": "label"}, "table": "copy"}, True),
    ],
    ids=["no key", "a key", "left out", "not made", "renamed"],
)
@pytest.mark.parametrize("there", [True, False], ids=["there", "missing"])
def test_a_foreign_key_to_what_identifies_no_row(
    two_same: Link, unique: str, options: dict[str, Any], made: bool, there: bool
) -> None:
    """SQLite gets no foreign key to columns that are not a key, because such a table could not be written to."""
    two_same.source.execute(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, code INTEGER, v INTEGER)",
        *([unique] if unique else []),
        "CREATE TABLE child (id INTEGER PRIMARY KEY, code INTEGER, FOREIGN KEY (code) REFERENCES parent (code))",
        "INSERT INTO parent VALUES (1, 5, 0)",
        "INSERT INTO child VALUES (1, 5)",
    )
    settings = {"child": MAKE, "parent": MAKE | options}
    if there:
        two_same.sync_one("parent", MAKE | options)
    reports = two_same.sync("child", "parent", options=settings)
    assert reports[0].status == "changed"
    assert bool(details(two_same.target, "child").foreign_keys) is made
    assert ("to 'parent', which has no unique key over code" in str(reports[0].warnings)) is not made
    two_same.source.execute("INSERT INTO child VALUES (2, 5)")
    assert two_same.sync("child", "parent", options=settings)[0].rows_inserted == 1


def test_steps_make_the_same(two_same: Link) -> None:
    """In steps, the comparison creates everything while the tables are empty."""
    family(two_same)
    database = two_same.target.database
    tables = {name: table_from_options(name, MAKE) for name in ("child", "parent")}
    with two_same.client(*tables) as client:
        compared = [compare_table(client, table, database, run_id="run", tables=tables) for table in tables.values()]
    child, parent = with_foreign_keys(database, compared, waits=LockWaits())
    assert "make index 'child_name' (name, n)" in child.slices[0].schema_changes
    assert parent.slices[0].schema_changes == ("make table 'parent'", "make unique index 'parent_code' (code)")
    assert [key.parent for key in details(two_same.target, "child").foreign_keys] == ["parent"]


def test_a_server_that_is_too_old(two_same: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not know the request is an error that says what to do, before a table is created."""
    family(two_same)
    with two_same.client("parent") as client:
        offered = client.capabilities()
        assert offered is not None
        monkeypatch.setattr(type(client), "capabilities", lambda _: type(offered)(digests=offered.digests))
        with pytest.raises((ConfigurationError, SyncFailed), match=r"server is too old to tell its indexes\. Upgrade"):
            two_same.sync_one("parent", MAKE)
    assert two_same.target.names() == []


def test_what_comes_is_never_executed(database_url: str, tmp_path: Path) -> None:
    """Names and texts with quotes, comments and percent signs are never executed, on every engine."""
    text = LogicalType(kind=LogicalKind.TEXT, length=50)
    described = Described(
        columns=(
            ColumnDescription(name="id", type=LogicalType(kind=LogicalKind.INTEGER)),
            ColumnDescription(name=EVIL, type=text),
        ),
        key=("id",),
        rows=0,
        partitioning=ONE_SEGMENT,
        details=TableDetails(
            indexes=(IndexDescription(name=EVIL, columns=(EVIL,)), IndexDescription(name="i", columns=("nowhere",))),
            foreign_keys=(ForeignKeyDescription(name=EVIL, columns=(EVIL,), parent=EVIL, parent_columns=(EVIL,)),),
            defaults={EVIL: DefaultValue(EVIL), "id": DefaultValue("\\'"), "nowhere": DefaultValue("1")},
            comments={EVIL: EVIL, "id": "\\"},
            comment=EVIL,
        ),
    )
    with linked(f"sqlite:///{tmp_path / 'unused.db'}", database_url) as link:
        database = link.target.database
        link.target.execute("CREATE TABLE u (id INTEGER PRIMARY KEY)")
        options = table_from_options("t", MAKE)
        planned = plan_details(database, options, described, {"t": options})
        with database.connect() as connection:
            create_table(
                database, connection, "t", planned, lambda details: create_statement(database, options, described, details)
            )
        link.target.execute("INSERT INTO t (id) VALUES (1)")
        assert link.target.rows("t") == [(1, EVIL)]
        assert link.target.names() == ["t", "u"]
        assert any("foreign key" in what for what in planned.left_out)
        found = details(link.target, "t")
        # DuckDB tells an index only by its statement, in which such a name is taken for an expression.
        assert [index.columns for index in found.indexes] == [] if link.target.dialect == "duckdb" else [(EVIL,)]
        assert dict(found.defaults).keys() == {EVIL}
        assert found.comments in ({}, {EVIL: EVIL})


def test_the_option_needs_create_table(two_same: Link) -> None:
    """``create_indexes`` does not change an existing target."""
    family(two_same)
    two_same.target.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY, code VARCHAR(9))")
    options: dict[str, Any] = {"create_indexes": True}
    report = two_same.sync_one("parent", options)
    assert (report.rows_inserted, report.schema_changes) == (2, ())
    assert details(two_same.target, "parent").indexes == ()


def test_a_unique_index_that_was_never_built(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """An index that PostgreSQL could not build for duplicate values is not created, and the rows arrive."""
    with linked(request.getfixturevalue("postgresql_url"), f"sqlite:///{tmp_path / 'target.db'}") as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO t VALUES (1, 7), (2, 7)")
        with pytest.raises(TableError):
            link.source.execute("CREATE UNIQUE INDEX CONCURRENTLY t_n ON t (n)")
        assert link.sync_one("t", MAKE).rows_inserted == 2
        assert details(link.target, "t").indexes == ()


def test_a_warning_names_some_of_what_was_left_out() -> None:
    """The warning about left-out details has a limited number of names, and counts the others."""
    few, many = (ReportedDetails(name="t", left_out=("x",) * count).warnings for count in (20, 1_000))
    assert few == (f"create_indexes left out: {'; '.join('x' * 20)}.",)
    assert many == (f"create_indexes left out: {'; '.join('x' * 20)}; and 980 more.",)
