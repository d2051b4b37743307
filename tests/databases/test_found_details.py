"""Defaults that are literals, and what catalogs find of a table besides its columns and its key."""

from __future__ import annotations

import secrets

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.contract.detail_statements import bounded
from airflow_provider_sync.databases.found_details import read_default, read_defaults
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.protocol.v2.described_details import DefaultValue, IndexDescription
from tests.releases.needs import needs
from tests.scenario import Scenario


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("'abc'", "abc"),
        ("'it''s'", "it's"),
        ("''", ""),
        ("'abc'::character varying", "abc"),
        ("'{}'::integer[]", "{}"),
        ("'a'::\"shop\".kind", "a"),
        ("7", "7"),
        ("-1.50", "-1.50"),
        ("(-1)", "-1"),
        ("'-1'::integer", "-1"),
        ("0::numeric(5,2)", "0"),
        ("TRUE", "1"),
        ("false", "0"),
    ],
)
def test_literals_are_values(sql: str, text: str) -> None:
    """A literal is read as its text, without a cast from the database."""
    assert read_default(sql) == DefaultValue(text)


@pytest.mark.parametrize("sql", ["now()", "CURRENT_TIMESTAMP", "current_timestamp(6)", "LOCALTIMESTAMP(3)"])
def test_the_present_time_is_no_text(sql: str) -> None:
    """All notations of the present time are one value."""
    assert read_default(sql) == DefaultValue()


@pytest.mark.parametrize(
    "sql",
    [
        *("nextval('t_id_seq'::regclass)", "lower('A')", "'a' || 'b'", "'a'); DROP TABLE t; --", "'a'::text || evil()"),
        *("'a\\'", "1 + 1", "(1", "uuid()", "random()", "current_user", "''; DELETE FROM t; ''", "now() + '1 day'::interval"),
    ],
)
def test_other_expressions_are_never_taken(sql: str) -> None:
    """A default that is neither a literal nor the present time is named only by its column."""
    assert read_default(sql) is None
    assert read_defaults([("c", sql), ("d", None), ("e", "NULL"), ("f", "NULL::character varying")]) == (
        {},
        [("c", "default of column 'c', which is an expression")],
    )


def test_long_names_are_cut() -> None:
    """Similar long names stay different when they are cut to the common maximum."""
    names = [bounded("ü" * 60 + end) for end in ("a", "b")]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 63 for name in names)
    assert bounded("short") == "short"


def test_what_catalogs_find(database_url: str) -> None:
    """Indexes, keys, defaults and comments are found, and undescribable ones are named."""
    engine = open_engine(database_url)
    on = Scenario(database_for(engine))
    if on.dialect == "duckdb":
        engine.dispose()
        pytest.skip("DuckDB tells none of it")
    with on.database.connect() as connection:
        needs(connection, "mariadb", (10, 8), "descending indexes")
    comments = on.dialect != "sqlite"
    on.execute(
        "CREATE TABLE parent (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b))",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, name VARCHAR(20) DEFAULT 'it''s 50%' NOT NULL,"
        " n INTEGER DEFAULT 7, at {DATETIME} DEFAULT CURRENT_TIMESTAMP"
        f"{'(6)' if on.dialect == 'mysql' else ''}, other VARCHAR(20), code VARCHAR(9) UNIQUE,"
        " CONSTRAINT to_parent FOREIGN KEY (a, b) REFERENCES parent (a, b) ON DELETE CASCADE ON UPDATE SET NULL)",
        "CREATE INDEX t_ab ON t (a, b)",
        "CREATE UNIQUE INDEX t_name ON t (name, n DESC)",
    )
    match on.dialect:
        case "mysql":
            on.execute("ALTER TABLE t MODIFY n INTEGER DEFAULT 7 COMMENT 'how many'", "ALTER TABLE t COMMENT 'all of it'")
            on.execute("CREATE INDEX t_prefix ON t (other(3))")
        case "postgresql":
            on.execute("COMMENT ON COLUMN t.n IS 'how many'", "COMMENT ON TABLE t IS 'all of it'")
            on.execute("CREATE INDEX t_prefix ON t (lower(other))")
        case _:
            on.execute("CREATE INDEX t_prefix ON t (other) WHERE n > 7")
    with on.database.snapshot() as connection:
        found = on.database.catalog.table_details(connection, on.database.catalog.describe(connection, "t"))
    engine.dispose()
    indexes = {index.columns: index for index in found.indexes}
    assert indexes.keys() >= {("a", "b"), ("name", "n"), ("code",)}
    assert indexes["code",].unique
    descending = () if "mariadb" in database_url else ("n",)
    assert indexes["name", "n"] in (
        IndexDescription(name="t_name", columns=("name", "n"), descending=columns, unique=True)
        for columns in (("n",), descending)
    )
    (key,) = found.foreign_keys
    assert (key.columns, key.parent_schema, key.parent, key.parent_columns) == (("a", "b"), None, "parent", ("a", "b"))
    assert (key.on_delete, key.on_update) == ("CASCADE", "SET NULL")
    assert found.defaults == {"name": DefaultValue("it's 50%"), "n": DefaultValue("7"), "at": DefaultValue()}
    assert (found.comments, found.comment) == (({"n": "how many"}, "all of it") if comments else ({}, None))
    assert [what.partition(",")[0] for _, what in found.untold] == ["index 't_prefix'"]


@pytest.mark.parametrize(("name", "column"), [("first", "a"), ("first`", "a` ON DELETE CASCADE")], ids=["plain", "quoted"])
@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_foreign_keys_that_a_reader_sees(request: pytest.FixtureRequest, engine: str, name: str, column: str) -> None:
    """A read-only user gets foreign keys with their actions, although MariaDB hides those."""
    url = make_url(request.getfixturevalue(f"{engine}_url"))
    on = Scenario(database_for(administrator := open_engine(url.render_as_string(hide_password=False))))
    if engine == "mariadb" and "`" in name:
        with administrator.connect() as connection:
            needs(connection, engine, (10, 6), "quotes around names of foreign keys in SHOW CREATE TABLE")
    user = f"reader_{secrets.token_hex(4)}"
    quoted_name, quoted_column = (f"`{text.replace('`', '``')}`" for text in (name, column))
    on.execute(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {quoted_column} INTEGER, b INTEGER,"
        f" CONSTRAINT {quoted_name} FOREIGN KEY ({quoted_column}) REFERENCES parent (id),"
        " CONSTRAINT second FOREIGN KEY (b) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE)",
        f"CREATE USER '{user}'@'%' IDENTIFIED BY 'plain'",
        f"GRANT SELECT ON {url.database}.* TO '{user}'@'%'",
    )
    try:
        reader = open_engine(url.set(username=user, password="plain").render_as_string(hide_password=False))
        database = database_for(reader)
        with database.snapshot() as connection:
            found = database.catalog.table_details(connection, database.catalog.describe(connection, "t"))
        assert [(key.name, key.columns, key.on_delete, key.on_update) for key in found.foreign_keys] == [
            (name, (column,), *["RESTRICT" if engine == "mariadb" else "NO ACTION"] * 2),
            ("second", ("b",), "SET NULL", "CASCADE"),
        ]
        reader.dispose()
    finally:
        on.execute(f"DROP USER '{user}'@'%'")
        administrator.dispose()


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_foreign_keys_that_a_reader_of_columns_does_not_see(request: pytest.FixtureRequest, engine: str) -> None:
    """If MariaDB hides foreign keys from a user with column privileges, the report says so."""
    url = make_url(request.getfixturevalue(f"{engine}_url"))
    on = Scenario(database_for(administrator := open_engine(url.render_as_string(hide_password=False))))
    user = f"reader_{secrets.token_hex(4)}"
    on.execute(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, CONSTRAINT first FOREIGN KEY (a) REFERENCES parent (id))",
        f"CREATE USER '{user}'@'%' IDENTIFIED BY 'plain'",
        f"GRANT SELECT (id, a) ON {url.database}.t TO '{user}'@'%'",
    )
    try:
        reader = open_engine(url.set(username=user, password="plain").render_as_string(hide_password=False))
        database = database_for(reader)
        with database.snapshot() as connection:
            found = database.catalog.table_details(connection, database.catalog.describe(connection, "t"))
        reader.dispose()
    finally:
        on.execute(f"DROP USER '{user}'@'%'")
        administrator.dispose()
    if engine == "mysql":
        assert [key.parent for key in found.foreign_keys] == ["parent"]
    else:
        assert found.foreign_keys == ()
        assert any("foreign keys, which the server's user may not see" in what for _, what in found.untold)
