"""Columns that a user of MySQL may not read are in no list: a source that has such is refused, not sent without them."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.exceptions import SyncFailed
from tests.database_servers import DatabaseServers
from tests.sync.link import linked
from tests.sync.tables.test_hostile_sessions import as_user
from tests.sync.tables.test_row_security import on


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_hidden_columns_of_the_source(
    database_servers: DatabaseServers, request: pytest.FixtureRequest, engine: str, protocol: str
) -> None:
    """The error names the grant and the option; if ``columns`` is set, the visible ones are synced."""
    source_url: str = request.getfixturevalue(f"{engine}_url")
    user = f"plain_{secrets.token_hex(4)}"
    with database_servers.database(engine, Path()) as target_url, on(source_url) as source, on(target_url) as target:
        for database in (source, target):
            database.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)")
        source.execute("INSERT INTO t VALUES (1, 1, 1)", f"CREATE USER '{user}'@'%' IDENTIFIED BY 'plain'")
        source.execute(f"GRANT SELECT (id, a) ON {make_url(source_url).database}.t TO '{user}'@'%'")
        target.execute("INSERT INTO t VALUES (1, 0, 2)")
        try:
            with linked(as_user(source_url, user), target_url) as link:
                link.protocol = protocol
                with pytest.raises(SyncFailed, match=r"may not read.*Grant SELECT.*`columns`"):
                    link.sync_one("t")
                assert target.rows("t") == [(1, 0, 2)]

                link.offered["t"] = {"columns": ["id", "a"]}
                assert link.sync_one("t").rows_updated == 1
                assert target.rows("t") == [(1, 1, 2)]
        finally:
            source.execute(f"DROP USER '{user}'@'%'")
