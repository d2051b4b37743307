"""Targets whose rows another server keeps: its foreign keys and triggers act there, whatever this session sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.exceptions import SyncFailed, TableError
from tests.database_servers import DatabaseServers
from tests.scenario import Scenario, opened
from tests.sync.link import Link, linked
from tests.sync.tables.test_steps import Steps

ROWS = "CREATE TABLE t (id INT NOT NULL PRIMARY KEY, a INT)"
CHILD = "CREATE TABLE child (id INT NOT NULL PRIMARY KEY, t_id INT, FOREIGN KEY (t_id) REFERENCES {} (id) ON DELETE CASCADE)"
OPTIONS = {"primary": ["id"], "max_deletes": "100%"}
ALLOWED = OPTIONS | {"allow_non_transactional": True}


class Elsewhere:
    """A link whose target keeps the rows of ``t`` in another database.

    :ivar keeper: that database, in which a table that is not synced refers to a row
    :ivar name: what messages call the place of the rows
    """

    def __init__(self, link: Link, keeper: Scenario, name: str) -> None:
        self.link = link
        self.keeper = keeper
        self.name = name
        link.source.execute(ROWS, "INSERT INTO t VALUES (1, 1), (2, 2)")


def _federated(link: Link, keeper: Scenario) -> Elsewhere:
    url = make_url(keeper.database.engine.url)
    address = f"mysql://{url.username}:{url.password}@{url.host}:{url.port}/{url.database}/t"
    try:
        link.target.execute("INSTALL SONAME 'ha_federatedx'")
    except SQLAlchemyError as error:
        if "already exists" not in str(error):
            pytest.skip("this MariaDB has no FEDERATED")
    keeper.execute(ROWS, "INSERT INTO t VALUES (1, 5), (150, 1)", CHILD.format("t"), "INSERT INTO child VALUES (1, 150)")
    link.target.execute(f"{ROWS} ENGINE=FEDERATED CONNECTION='{address}'")
    return Elsewhere(link, keeper, "FEDERATED")


def _foreign_partition(link: Link, keeper: Scenario) -> Elsewhere:
    url = make_url(keeper.database.engine.url)
    server = f"host '{url.host}', port '{url.port}', dbname '{url.database}'"
    try:
        link.target.execute("CREATE EXTENSION postgres_fdw")
    except SQLAlchemyError:
        pytest.skip("this PostgreSQL has no postgres_fdw")
    keeper.execute(
        "CREATE TABLE high (id INT PRIMARY KEY, a INT)",
        "INSERT INTO high VALUES (150, 1)",
        CHILD.format("high"),
        "INSERT INTO child VALUES (1, 150)",
    )
    link.target.execute(
        f"CREATE SERVER keeper FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({server})",
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER keeper OPTIONS (user '{url.username}', password '{url.password}')",
        "CREATE TABLE t (id INT NOT NULL, a INT) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "CREATE FOREIGN TABLE high PARTITION OF t FOR VALUES FROM (100) TO (200) SERVER keeper",
        "INSERT INTO t VALUES (1, 5)",
    )
    return Elsewhere(link, keeper, "foreign table high")


@pytest.fixture(params=[("mariadb", _federated), ("postgresql", _foreign_partition)], ids=["FEDERATED", "foreign partition"])
def elsewhere(
    request: pytest.FixtureRequest, sqlite_url: str, database_servers: DatabaseServers, tmp_path: Path
) -> Iterator[Elsewhere]:
    """Give a target of each kind."""
    engine, make = request.param
    target = request.getfixturevalue(f"{engine}_url")
    with (
        database_servers.database(engine, tmp_path) as kept,
        linked(sqlite_url, target) as link,
        opened(kept) as keeper,
    ):
        yield make(link, keeper)


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_refused(elsewhere: Elsewhere, protocol: str) -> None:
    """Nothing is written, in one task, in a dry run and in steps, and the message names the place of the rows."""
    link = elsewhere.link
    link.protocol = protocol
    before = link.target.rows("t")
    for arguments in ({}, {"dry_run": True}):
        with pytest.raises(SyncFailed, match=f"kept by another server .{elsewhere.name}.*allow_non_transactional") as raised:
            link.sync("t", options={"t": OPTIONS}, **arguments)
        assert not raised.value.retryable
    with pytest.raises(TableError, match="kept by another server"):
        Steps(link, OPTIONS).compare()
    assert link.target.rows("t") == before
    assert elsewhere.keeper.rows("child") == [(1, 150)]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_accepted(elsewhere: Elsewhere, protocol: str) -> None:
    """With the option, the table is synced, and the report warns of possible changes."""
    link = elsewhere.link
    link.protocol = protocol
    report = link.sync_one("t", ALLOWED)
    assert "may have changed rows that are not synced" in " ".join(report.warnings)
    assert link.target.rows("t") == [(1, 1), (2, 2)]
