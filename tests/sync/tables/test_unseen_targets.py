"""Targets of PostgreSQL that a role does not see, or that cannot be made under their name: the error says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.exceptions import SyncFailed
from tests.databases.plain_role import plain_role
from tests.scenario import Scenario, opened
from tests.sync.link import Link, linked

TABLE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9))"


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize(
    ("path", "grant", "reason"),
    [
        ("app", "CREATE", r"its search_path \(app\) leads to no schema that it may use; schema 'app' has one, on which .* USAGE"),
        (
            "nowhere",
            "USAGE",
            r"search_path \(nowhere\) leads to no schema .*; schema 'app' has one, which is not in its search_path",
        ),
        ("public", "USAGE", "that this role sees; schema 'app' has one, which is not in its search_path"),
        ("public", "CREATE", "that this role sees; schema 'app' has one, on which the role lacks USAGE"),
    ],
)
def test_a_schema_that_is_not_seen(
    postgresql_url: str, sqlite_url: str, protocol: str, path: str, grant: str, reason: str
) -> None:
    """The error for an existing table that the role does not see names its schema and the reason."""
    with as_role(postgresql_url, sqlite_url, path) as (link, admin, role):
        link.protocol = protocol
        admin.execute(
            "CREATE SCHEMA app",
            TABLE.replace(" t ", " app.t "),
            f"REVOKE ALL ON SCHEMA app FROM {role}",
            f"GRANT {grant} ON SCHEMA app TO {role}",
        )
        with pytest.raises(SyncFailed, match=f"There is no table 't' .*{reason}"):
            link.sync_one("t")


@pytest.mark.parametrize(
    ("path", "options", "advice"),
    [
        ("nowhere", {}, "no schema has been selected to create in.*Create the schema, or correct"),
        ("public", {"table": "nowhere.t"}, "Table 't': .*schema \"nowhere\" does not exist.*Create the schema, or correct"),
        ("public", {"table": "app.t"}, "permission denied for schema app.*It takes USAGE, and at the target CREATE"),
        ("public", {"table": "ü" * 32}, "has 64 bytes, and PostgreSQL takes 63. Give the table a shorter one"),
    ],
)
def test_a_target_that_cannot_be_made(
    postgresql_url: str, sqlite_url: str, path: str, options: dict[str, Any], advice: str
) -> None:
    """The error for a table that cannot be created says what to do, and no other table is created."""
    with as_role(postgresql_url, sqlite_url, path) as (link, admin, role):
        admin.execute("CREATE SCHEMA app", f"REVOKE CREATE ON SCHEMA app FROM {role}")
        with pytest.raises(SyncFailed, match=advice) as failed:
            link.sync_one("t", {"create_table": True, **options})
        assert not failed.value.retryable
        assert not admin.scalar("SELECT count(*) FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'")


@contextmanager
def as_role(url: str, source: str, path: str) -> Iterator[tuple[Link, Scenario, str]]:
    """Give a link whose target is opened by a plain role with a search path, an administrator, and the role's name."""
    with plain_role(url) as role_url, opened(url) as admin:
        role = make_url(role_url).username or ""
        admin.execute(f"ALTER ROLE {role} SET search_path = {path}")
        with linked(source, role_url) as link:
            link.protocol = "2"
            link.source.execute(TABLE, "INSERT INTO t VALUES (1, 'a')")
            yield link, admin, role
