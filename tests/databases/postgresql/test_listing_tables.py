"""PostgreSQL: which tables a role gets to see in a list."""

from __future__ import annotations

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from tests.databases.plain_role import plain_role
from tests.server.tables.served_tables import execute


def test_only_what_may_be_read_is_listed(postgresql_url: str) -> None:
    """Only readable tables that no extension owns are listed; for a schema, only its tables."""
    with plain_role(postgresql_url) as url:
        execute(
            postgresql_url,
            "CREATE TABLE mine (id INT PRIMARY KEY)",
            "CREATE TABLE partly (id INT PRIMARY KEY, secret TEXT)",
            "CREATE TABLE hidden (id INT PRIMARY KEY)",
            "CREATE TABLE of_extension (id INT PRIMARY KEY)",
            "ALTER EXTENSION plpgsql ADD TABLE of_extension",
            "REVOKE ALL ON hidden, partly FROM PUBLIC, CURRENT_USER",
            f"REVOKE ALL ON hidden, partly FROM {_role(url)}",
            f"GRANT SELECT (id) ON partly TO {_role(url)}",
            "CREATE SCHEMA other",
            "CREATE TABLE other.there (id INT PRIMARY KEY)",
            "CREATE TABLE other._sync_left (id INT)",
        )
        try:
            engine = open_engine(url)
            database = database_for(engine)
            with database.connect() as connection:
                assert database.catalog.list_tables(connection) == ["mine", "partly"]
                assert database.catalog.list_tables(connection, "other") == ["there"]
                assert database.catalog.list_tables(connection, "absent") == []
            engine.dispose()
        finally:
            execute(postgresql_url, "ALTER EXTENSION plpgsql DROP TABLE of_extension", "DROP SCHEMA other CASCADE")


def _role(url: str) -> str:
    return url.partition("://")[2].partition(":")[0]
