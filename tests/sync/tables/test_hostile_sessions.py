"""Whatever a role, a database or a server have as defaults for sessions: what is synced is right, on both sides."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.exceptions import SyncError
from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.sync.link import Link, linked
from tests.sync.tables.test_row_security import as_role, on

POSTGRESQL_DEFAULTS = {
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "DateStyle": "'SQL, DMY'",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "exit_on_error": "on",
    "extra_float_digits": "-15",
    "IntervalStyle": "sql_standard",
    "lc_monetary": "'C.UTF-8'",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "standard_conforming_strings": "off",
    "TimeZone": "'Asia/Kathmandu'",
    "transform_null_equals": "on",
    "xmloption": "document",
    "statement_timeout": "'5min'",
}

TYPES = """CREATE TABLE t (id int PRIMARY KEY, n int[], b bytea, d date, m timestamp, z timestamptz, i interval, f float8,
    r float4, s text, x xml, c char(5), p money, j jsonb, u numeric(12,3), k boolean, "Group" text)"""
ROWS = r"""INSERT INTO t VALUES
    (1, '{1,NULL,3}', '\x4142', '2024-02-03', '2024-02-03 04:05:06.7', '2024-02-03 04:05:06+00', '1 year 2 days 03:04', 0.1, 0.1,
     E'a\\b''c é 😀', '<a/>text', 'ab', 1234.5, '{"a": "\\u00e9"}', 1.5, true, NULL),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, 1e-7, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'x')"""

MYSQL_DEFAULTS = (
    "SET SESSION sql_select_limit = 1, sql_safe_updates = 1, max_join_size = 1, sql_big_selects = 0, sql_auto_is_null = 1,"
    " completion_type = 'CHAIN', max_sort_length = 8, sql_notes = 0, unique_checks = 0, autocommit = 0,"
    " time_zone = '+05:45', sql_mode = 'ANSI,PAD_CHAR_TO_FULL_LENGTH,NO_BACKSLASH_ESCAPES', character_set_results = latin1,"
    " character_set_client = latin1, collation_connection = latin1_swedish_ci, group_concat_max_len = 4, sort_buffer_size = 1024,"
    " {read_only} = 1"
)
MYSQL_TYPES = """CREATE TABLE t (id INT PRIMARY KEY, k VARCHAR(20), d DATETIME(3), z TIMESTAMP NULL, b VARBINARY(20), c CHAR(5),
    n DECIMAL(12,3), s TEXT, UNIQUE KEY (k))"""
MYSQL_ROWS = r"""INSERT INTO t VALUES (1, 'é 😀', '2024-02-03 04:05:06.789', '2024-02-03 04:05:06', 'AB', 'ab', 1.5, 'a\\b"c'),
    (2, 'longer than that 1', NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'longer than that 2', NULL, NULL, NULL, NULL, NULL, NULL)"""


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
def test_defaults_of_a_role(database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path, protocol: str) -> None:
    """A PostgreSQL role's defaults that change texts, refuse statements or shorten results do not change a sync."""
    role = f"plain_{secrets.token_hex(4)}"
    with database_servers.database(POSTGRESQL, tmp_path) as other:
        for url in (postgresql_url, other):
            with on(url) as database:
                database.execute(TYPES)
        with on(postgresql_url) as source, on(other) as target:
            source.execute(ROWS, f"CREATE ROLE {role} LOGIN")
            source.execute(*(f"ALTER ROLE {role} SET {name} = {value}" for name, value in POSTGRESQL_DEFAULTS.items()))
            for database in (source, target):
                database.execute(f"GRANT ALL ON t TO {role}", f"GRANT ALL ON SCHEMA public TO {role}")
            try:
                with linked(as_role(postgresql_url, role), as_role(other, role)) as link:
                    link.protocol = protocol
                    assert link.sync_one("t").rows_inserted == 2
                    assert target.rows("t") == source.rows("t")
                    source.execute(
                        "UPDATE t SET n = '{NULL}', z = z + interval '1 hour' WHERE id = 1", "DELETE FROM t WHERE id = 2"
                    )
                    link.sync_one("t")
                    assert target.rows("t") == source.rows("t")
                    assert link.sync_one("t").status == "unchanged"
            finally:
                for database in (source, target):
                    database.execute(f"DROP OWNED BY {role}")
                source.execute(f"DROP ROLE {role}")


def test_a_limit_of_index_scans(postgresql_url: str, sqlite_url: str) -> None:
    """All rows are offered although the database lets GIN index scans leave out rows."""
    name = make_url(postgresql_url).database
    with linked(postgresql_url, sqlite_url) as link:
        link.protocol = "2"
        link.source.execute(
            "CREATE TABLE t (id int PRIMARY KEY, tags int[])",
            "INSERT INTO t SELECT i, array[i % 2] FROM generate_series(1, 2000) i",
            "CREATE INDEX ON t USING gin (tags)",
            f"ALTER DATABASE {name} SET gin_fuzzy_search_limit = 10",
            *(f"ALTER DATABASE {name} SET enable_{scan} = off" for scan in ("seqscan", "indexscan")),
        )
        link.source.database.engine.dispose()
        link.offered["t"] = {"where": "tags @> '{1}'"}
        assert link.sync_one("t", {"create_table": True}).rows_inserted == 1000


def test_a_limit_of_recursion(mariadb_url: str, sqlite_url: str) -> None:
    """All rows of a recursive MariaDB view are offered, although other sessions see only the first thousand."""
    with linked(mariadb_url, sqlite_url) as link:
        link.protocol = "2"
        numbers = "WITH RECURSIVE n AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM n WHERE id < 1500) SELECT id FROM n"
        link.source.execute(f"CREATE VIEW t AS {numbers}")
        link.offered["t"] = {"primary": "id"}
        assert link.sync_one("t", {"create_table": True}).rows_inserted == 1500


def test_a_search_path_whose_first_schema_has_other_tables(postgresql_url: str, sqlite_url: str) -> None:
    """A target in a later schema of the search path is synced by a role that may create tables only there."""
    role = f"plain_{secrets.token_hex(4)}"
    with on(postgresql_url) as target, on(sqlite_url) as source:
        source.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        target.execute(
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (2, 'old'), (3, 'gone')",
            "CREATE SCHEMA others",
            f"CREATE ROLE {role} LOGIN",
            f"ALTER ROLE {role} SET search_path = others, public",
            f"GRANT USAGE ON SCHEMA others TO {role}",
            f"GRANT ALL ON SCHEMA public TO {role}",
            f"GRANT ALL ON t TO {role}",
        )
        try:
            with linked(sqlite_url, as_role(postgresql_url, role)) as link:
                link.sync_one("t")
                link.assert_equal("t")
                assert link.sync_one("t").status == "unchanged"
        finally:
            target.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_time_limits_of_the_source_hold(database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path) -> None:
    """A time limit at the source ends a statement of a sync, and the error names the limit."""
    with (
        on(postgresql_url) as source,
        database_servers.database(POSTGRESQL, tmp_path) as other,
        linked(postgresql_url, other) as link,
    ):
        link.create("CREATE TABLE t (id int PRIMARY KEY, v text)")
        source.execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i")
        name = make_url(postgresql_url).database
        source.execute(f"ALTER DATABASE {name} SET statement_timeout = '1ms'")
        with pytest.raises(SyncError, match=r"statement timeout.*ALTER ROLE … SET statement_timeout") as raised:
            link.sync_one("t")
        assert raised.value.retryable
        assert link.target.rows("t") == []


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_defaults_of_a_server(
    database_servers: DatabaseServers, request: pytest.FixtureRequest, engine: str, protocol: str
) -> None:
    """A server's ``init_connect`` that shortens results or refuses statements does not change a sync."""
    source_url: str = request.getfixturevalue(f"{engine}_url")
    with database_servers.database(engine, Path()) as target_url, on(source_url) as source, on(target_url) as target:
        for database in (source, target):
            database.execute(MYSQL_TYPES)
        source.execute(MYSQL_ROWS)
        with (
            ordinary_user(source_url, target_url, engine) as user,
            linked(as_user(source_url, user), as_user(target_url, user)) as link,
        ):
            link.protocol = protocol
            assert link.sync_one("t").rows_inserted == 3
            assert target.rows("t") == source.rows("t")
            source.execute("UPDATE t SET k = 'other', n = 2 WHERE id = 2", "DELETE FROM t WHERE id = 3")
            link.sync_one("t")
            assert target.rows("t") == source.rows("t")
            assert_unchanged(link)


def assert_unchanged(link: Link) -> None:
    """Check that another sync finds nothing to do."""
    assert link.sync_one("t").status == "unchanged"


@contextmanager
def ordinary_user(source_url: str, target_url: str, engine: str) -> Iterator[str]:
    """Make a user of a server for whom ``init_connect`` sets hostile defaults."""
    user = f"plain_{secrets.token_hex(4)}"
    read_only = "tx_read_only" if engine == "mariadb" else "transaction_read_only"
    statement = MYSQL_DEFAULTS.format(read_only=read_only).replace("'", "''")
    with on(source_url) as server:
        server.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY 'plain'")
        for url in (source_url, target_url):
            server.execute(f"GRANT ALL ON {make_url(url).database}.* TO '{user}'@'%'")
        server.execute(f"SET GLOBAL init_connect = '{statement}'", "SET GLOBAL sql_select_limit = 0")
        try:
            yield user
        finally:
            server.execute("SET GLOBAL init_connect = ''", "SET GLOBAL sql_select_limit = 18446744073709551615")
            server.execute(f"DROP USER '{user}'@'%'")


def as_user(url: str, user: str) -> str:
    """Return the URL for another user."""
    return make_url(url).set(username=user, password="plain").render_as_string(hide_password=False)
