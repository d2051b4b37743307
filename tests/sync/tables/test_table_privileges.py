"""Users of MySQL and MariaDB who have privileges on single tables, which do not cover staging tables."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.exceptions import SyncError
from tests.databases.limited_user import user_with
from tests.scenario import opened
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps

TABLE = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, v VARCHAR(9))"


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow)])
def link(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Link]:
    """Link a source and the table of a user who may read and write that table, and make tables beside it."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    with opened(url) as admin, user_with(url, "CREATE, DROP, CREATE TEMPORARY TABLES") as user:
        admin.execute(TABLE, "INSERT INTO t VALUES (1,'z')")
        parsed = make_url(user)
        for host in ("localhost", "%"):
            admin.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {parsed.database}.t TO '{parsed.username}'@'{host}'")
        with linked(sqlite_url, user) as link:
            link.source.execute(TABLE, "INSERT INTO t VALUES (1,'a'),(2,'b')")
            yield link
        assert not [name for name in admin.names() if name.startswith("_sync")]


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("in_steps", [False, True], ids=["one go", "steps"])
def test_the_staging_table_is_named(link: Link, protocol: str, in_steps: bool) -> None:
    """The error says that the privilege lacks for the staging table, not for the target, which the user may write to."""
    link.protocol = protocol
    sync = Steps(link).all if in_steps else partial(link.sync_one, "t")
    with pytest.raises(SyncError, match=r"staging table beside it.*INSERT command denied.*_sync_.*on the whole database"):
        sync()
    assert link.target.rows("t") == [(1, "z")]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_temporary_staging_is_enough(link: Link, protocol: str) -> None:
    """What the error advises works: temporary staging needs no privilege on the whole database to read and write."""
    link.protocol = protocol
    assert link.sync_one("t", {"staging": "temporary"}).status == "changed"
    assert link.target.rows("t") == [(1, "a"), (2, "b")]
