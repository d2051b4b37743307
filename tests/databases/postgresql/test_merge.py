"""PostgreSQL: foreign keys off and on, sequences, staging and work tables, and the statements of the merge."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from airflow_provider_sync.databases.schema import OP
from airflow_provider_sync.exceptions import (
    MissingTableError,
    TableError,
)
from tests.databases.postgresql.databases import open_database, rows, run
from tests.scenario import layout_of


@pytest.fixture
def plain_role(database: PostgreSQLDatabase) -> Iterator[PostgreSQLDatabase]:
    """Give the same database as a role that owns its tables and may nothing else."""
    name = f"{database.engine.url.database}_plain"
    run(database, f"CREATE ROLE {name} LOGIN", f"GRANT ALL ON SCHEMA public TO {name}")
    url = database.engine.url.set(username=name).render_as_string(hide_password=False)
    try:
        with open_database(url, database.engine.dialect.driver) as plain:
            yield plain
    finally:
        run(database, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


# -- foreign keys ------------------------------------------------------------------------------------------------------

_FAMILY = (
    "CREATE TABLE parent (id integer PRIMARY KEY)",
    "CREATE TABLE child (id integer PRIMARY KEY, parent_id integer CONSTRAINT child_parent REFERENCES parent ON DELETE CASCADE)",
    "INSERT INTO parent VALUES (1), (2)",
    "INSERT INTO child VALUES (10, 1), (20, 2), (30, NULL)",
)


def test_foreign_keys_are_off_and_on_again(database: PostgreSQLDatabase) -> None:
    """Inside the block nothing is checked or cascades; afterwards all is as before, and orphans are counted."""
    run(database, *_FAMILY)
    with database.connect() as connection:
        parent, child = database.catalog.describe(connection, "parent"), database.catalog.describe(connection, "child")
        with database.foreign_keys.switched_off(connection, [parent]), database.transaction(connection):
            connection.exec_driver_sql("DELETE FROM parent WHERE id = 2")
        assert connection.exec_driver_sql("SHOW session_replication_role").scalar_one() == "origin"
        assert database.foreign_keys.count_orphans(connection, parent) == {"child.child_parent": 1}
        assert database.foreign_keys.count_orphans(connection, child) == {"child.child_parent": 1}
    assert rows(database, "SELECT id FROM child ORDER BY id") == [(10,), (20,), (30,)]


@pytest.mark.parametrize(
    "needed",
    [
        "CREATE TRIGGER audit AFTER DELETE ON parent FOR EACH ROW EXECUTE FUNCTION note()",
        "CREATE RULE noted AS ON DELETE TO parent DO ALSO INSERT INTO log VALUES ('rule')",
        "ALTER TABLE parent ADD COLUMN code text UNIQUE DEFERRABLE",
    ],
)
def test_foreign_keys_stay_on_where_more_would_be_off(database: PostgreSQLDatabase, needed: str) -> None:
    """With a trigger, a rule or a deferrable key, foreign keys stay on, and a violation is an error that says so."""
    run(
        database,
        *_FAMILY,
        "CREATE TABLE log (what text)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES ('x'); RETURN OLD; END$$",
        needed,
    )
    with database.connect() as connection:
        parent, child = database.catalog.describe(connection, "parent"), database.catalog.describe(connection, "child")
        with (
            pytest.raises(TableError, match=r'constraint "child_parent"\. Foreign keys stay on while table \'parent\' has the'),
            database.foreign_keys.switched_off(connection, [parent, child]),
            database.transaction(connection),
        ):
            connection.exec_driver_sql("INSERT INTO child VALUES (40, 4)")
        with database.foreign_keys.switched_off(connection, [parent]), database.transaction(connection):
            connection.exec_driver_sql("DELETE FROM parent WHERE id = 2")
    assert rows(database, "SELECT id FROM child ORDER BY id") == [(10,), (30,)]


def test_role_without_the_grant_is_told_its_name(plain_role: PostgreSQLDatabase) -> None:
    """A role without the grant works with foreign keys on, and a violation names constraint and grant."""
    run(plain_role, *_FAMILY)
    with plain_role.connect() as connection:
        tables = [plain_role.catalog.describe(connection, name) for name in ("parent", "child")]
        with plain_role.foreign_keys.switched_off(connection, tables), plain_role.transaction(connection):
            connection.exec_driver_sql("INSERT INTO parent VALUES (3)")
            connection.exec_driver_sql("INSERT INTO child VALUES (40, 3)")
        with (
            pytest.raises(TableError, match=r'"child_parent".*GRANT SET ON PARAMETER session_replication_role TO \w+_plain') as e,
            plain_role.foreign_keys.switched_off(connection, tables),
            plain_role.transaction(connection),
        ):
            connection.exec_driver_sql("INSERT INTO child VALUES (50, 9)")
        assert "(9)" not in str(e.value)
    assert rows(plain_role, "SELECT max(id) FROM child") == [(40,)]


def test_deferrable_foreign_key_may_be_broken_meanwhile(plain_role: PostgreSQLDatabase) -> None:
    """If foreign keys stay on, a deferrable one is checked at the commit, and a violation is still explained."""
    run(plain_role, *_FAMILY, "ALTER TABLE child ALTER CONSTRAINT child_parent DEFERRABLE")
    with plain_role.connect() as connection:
        tables = [plain_role.catalog.describe(connection, name) for name in ("parent", "child")]
        with plain_role.foreign_keys.switched_off(connection, tables), plain_role.transaction(connection):
            connection.exec_driver_sql("INSERT INTO child VALUES (40, 4)")
            connection.exec_driver_sql("INSERT INTO parent VALUES (4)")
        with (
            pytest.raises(TableError, match="GRANT SET ON PARAMETER"),
            plain_role.foreign_keys.switched_off(connection, tables),
            plain_role.transaction(connection),
        ):
            connection.exec_driver_sql("INSERT INTO child VALUES (50, 9)")
    assert rows(plain_role, "SELECT max(id) FROM child") == [(40,)]


def test_orphans_of_composite_keys_and_partitions(database: PostgreSQLDatabase) -> None:
    """A key with NULL refers to nothing; a partitioned table's constraint counts once; odd names are quoted."""
    run(
        database,
        "CREATE TABLE parent (a integer, b text, PRIMARY KEY (a, b))",
        """CREATE TABLE "odd % child" (id integer PRIMARY KEY, a integer, "x y" text,
           CONSTRAINT "fk %" FOREIGN KEY (a, "x y") REFERENCES parent) PARTITION BY RANGE (id)""",
        'CREATE TABLE p1 PARTITION OF "odd % child" FOR VALUES FROM (0) TO (100)',
        "SET session_replication_role = replica",
        "INSERT INTO \"odd % child\" VALUES (1, 1, 'x'), (2, 1, NULL), (3, NULL, 'x'), (4, 2, 'y')",
        "RESET session_replication_role",
    )
    with database.connect() as connection:
        assert database.foreign_keys.count_orphans(connection, database.catalog.describe(connection, "parent")) == {
            "odd % child.fk %": 2
        }
        assert database.foreign_keys.count_orphans(connection, database.catalog.describe(connection, "odd % child")) == {
            "odd % child.fk %": 2
        }


# -- sequences and statements of the merge -----------------------------------------------------------------------------


def test_sequences_move_forward_only(database: PostgreSQLDatabase) -> None:
    """Serial, identity and default sequences give the next free key after an insert, and never go back."""
    run(
        database,
        "CREATE SEQUENCE loose",
        "CREATE SEQUENCE down INCREMENT -1",
        """CREATE TABLE "T %" (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "n %" serial, code text DEFAULT 'x',
           l bigint DEFAULT nextval('loose'), d bigint DEFAULT nextval('down'), low smallint GENERATED BY DEFAULT AS IDENTITY)""",
        'INSERT INTO "T %" (id, "n %", l, d, low) OVERRIDING SYSTEM VALUE VALUES (1, 70, 5, -9, 1)',
    )
    with database.connect() as connection:
        table = database.catalog.describe(connection, "T %")
        with database.transaction(connection):
            database.identities.move_past_keys(connection, table)
    run(database, 'INSERT INTO "T %" DEFAULT VALUES')
    assert rows(database, 'SELECT id, "n %", l, d, low FROM "T %" ORDER BY id DESC LIMIT 1') == [(2, 71, 6, -10, 2)]
    run(database, 'DELETE FROM "T %"')
    with database.connect() as connection:
        database.identities.move_past_keys(connection, table)
    run(database, 'INSERT INTO "T %" DEFAULT VALUES')
    assert rows(database, 'SELECT id, "n %" FROM "T %"') == [(3, 72)]


def test_merge_statements_change_what_is_listed(database: PostgreSQLDatabase) -> None:
    """Delete, update and insert change only listed rows, also with identity ALWAYS and case-insensitive keys."""
    run(
        database,
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        """CREATE TABLE t (region text COLLATE loose, id integer GENERATED ALWAYS AS IDENTITY, doc json, n numeric,
           PRIMARY KEY (region, id))""",
        """INSERT INTO t OVERRIDING SYSTEM VALUE
           VALUES ('a', 1, '{}', 1), ('b', 2, '{"x": 1}', 1.0), ('c', 3, NULL, 1)""",
    )
    with database.connect() as connection:
        target = database.catalog.describe(connection, "t")
        key = [target.column("region"), target.column("id")]
        names = [column.name for column in target.columns]
        staging = database.ddl.create_staging(connection, layout_of(target), name="_sync_s")
        work = database.ddl.create_work_table(connection, target, target.primary_key, name="_sync_w")
        assert database.catalog.describe(connection, "pg_temp._sync_w").primary_key == (OP, "region", "id")
        database.loader.load(connection, staging, [[("A", 1, "{}", "1"), ("b", 2, '{"x":1}', "1.00"), ("c", 3, None, "1")]])
        differs = " OR ".join(f"NOT ({database.statements.same(column, 't', 's')})" for column in target.columns[2:])
        keys, s_keys = database.columns(target.primary_key, "t"), database.columns(target.primary_key, "s")
        match = database.statements.match(key, "t", "s")
        t, s, w = database.qualified(target), database.qualified(staging), database.qualified(work)
        for statement in (
            f"SELECT 'D', {keys} FROM {t} t WHERE NOT EXISTS (SELECT FROM {s} s WHERE {match})",
            f"SELECT 'U', {keys} FROM {t} t JOIN {s} s ON {match} WHERE {differs}",
            f"SELECT 'I', {s_keys} FROM {s} s WHERE NOT EXISTS (SELECT FROM {t} t WHERE {match})",
        ):
            connection.exec_driver_sql(f"INSERT INTO {w} {statement}")
        assert connection.exec_driver_sql(f"SELECT {OP}, region, id FROM {w} ORDER BY {OP}").all() == [
            ("D", "a", 1),
            ("I", "A", 1),
            ("U", "b", 2),
        ]
        changes = ListedChanges(
            target=target,
            staging=staging,
            work=work,
            key=tuple(key),
            staged=(),
            written=(),
            inserted=1,
            deleted=1,
            updated=1,
            renamed=0,
        )
        with database.transaction(connection):
            for statement in (
                database.statements.delete_listed(changes),
                database.statements.update_listed(changes, ["doc", "n"]),
                database.statements.insert_listed(changes, names),
            ):
                assert connection.exec_driver_sql(statement).rowcount == 1
        database.ddl.drop(connection, work)
        database.ddl.drop(connection, staging)
        database.ddl.drop(connection, staging)
    assert rows(database, "SELECT region, id, doc::text, n::text FROM t ORDER BY id") == [
        ("A", 1, "{}", "1"),
        ("b", 2, '{"x":1}', "1.00"),
        ("c", 3, None, "1"),
    ]


def test_large_merge_joins_by_hash_or_merge(database: PostgreSQLDatabase) -> None:
    """The comparison of a whole text-keyed table does not look up row by row."""
    run(
        database,
        "CREATE TABLE t (code varchar(20) PRIMARY KEY, n numeric, note text)",
        "INSERT INTO t SELECT 'code-' || i, i, 'note' FROM generate_series(1, 20000) i",
        "ANALYZE t",
    )
    with database.connect() as connection:
        target = database.catalog.describe(connection, "t")
        staging = database.ddl.create_staging(connection, layout_of(target), name="_sync_s")
        database.loader.load(connection, staging, [[(f"code-{i}", str(i), "note") for i in range(20000)]])
        same = " AND ".join(database.statements.same(column, "t", "s") for column in target.columns[1:])
        plan = connection.exec_driver_sql(
            f"EXPLAIN SELECT t.code FROM {database.qualified(target)} t JOIN {database.qualified(staging)} s"
            f" ON {database.statements.match([target.columns[0]], 't', 's')} WHERE NOT ({same})"
        ).scalars()
        text = "\n".join(plan)
    assert "Hash Join" in text or "Merge Join" in text
    assert "Nested Loop" not in text


def test_staging_has_the_types_and_nothing_else(database: PostgreSQLDatabase) -> None:
    """Staging tables have types, collations, NOT NULLs, key and indexes; no defaults, references or triggers."""
    run(
        database,
        "CREATE SCHEMA shop",
        "CREATE DOMAIN price AS numeric(12,2)",
        """CREATE TABLE shop.t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code varchar(9) COLLATE "C" NOT NULL,
           p price DEFAULT 5, twice integer GENERATED ALWAYS AS (1) STORED, "50%" text)""",
    )
    with database.connect() as connection:
        target = database.catalog.describe(connection, "shop.t")
        for temporary in (False, True):
            layout = layout_of(target, ["code"], indexes=["p", "50%"])
            staging = database.ddl.create_staging(connection, layout, name="_sync_s", temporary=temporary)
            found = database.catalog.describe(connection, str(staging))
            assert [(c.name, c.sql_type, c.collation) for c in found.columns] == [
                (c.name, c.sql_type, c.collation) for c in target.columns
            ]
            assert [column.name for column in found.columns if column.required] == ["id", "code"]
            assert not any(column.generated for column in found.columns)
            assert found.primary_key == ("code",)
            indexes = connection.exec_driver_sql(
                "SELECT count(*), min(c.relpersistence::text) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                " WHERE indrelid = to_regclass(%s)",
                (database.qualified(staging),),
            ).one()
            assert indexes == (3, "t" if temporary else "u")
            database.ddl.drop(connection, staging)
            with pytest.raises(MissingTableError):
                database.catalog.describe(connection, str(staging))


def test_missing_privilege_says_what_to_do(database: PostgreSQLDatabase, plain_role: PostgreSQLDatabase) -> None:
    """If a role may not create tables, the error says so, and nothing is created."""
    run(database, "CREATE SCHEMA closed", "CREATE TABLE closed.t (id integer PRIMARY KEY)")
    run(database, f"GRANT USAGE ON SCHEMA closed TO {plain_role.engine.url.username}")
    with plain_role.connect() as connection:
        target = plain_role.catalog.describe(connection, "closed.t")
        with pytest.raises(TableError, match=r"permission denied for schema closed\. It takes USAGE, .* grant it"):
            plain_role.ddl.create_staging(connection, layout_of(target), name="_sync_s")
    assert rows(database, "SELECT to_regclass('closed._sync_s')") == [(None,)]
