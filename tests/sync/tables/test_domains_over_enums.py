"""Columns of PostgreSQL whose type is a domain over an enum: such a domain has no operators, not even ``=``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.sync.link import linked

TYPES = ("CREATE TYPE mood AS ENUM ('z', 'a', '50%')", "CREATE DOMAIN feeling AS mood", "CREATE DOMAIN mine AS feeling NOT NULL")
TABLES = {
    "value": ("id int PRIMARY KEY, m mine", "(1, 'z'), (2, 'a')", "UPDATE t SET m = '50%' WHERE id = 1"),
    "key": (
        "m mine PRIMARY KEY, id int",
        "('z', 1), ('a', 2)",
        "UPDATE t SET m = '50%' WHERE id = 2; UPDATE t SET id = 9 WHERE id = 1",
    ),
    "unique": (
        "id int PRIMARY KEY, m feeling UNIQUE NULLS NOT DISTINCT",
        "(1, 'z'), (2, 'a'), (3, NULL)",
        "DELETE FROM t; INSERT INTO t VALUES (1, NULL), (2, 'z'), (3, 'a')",
    ),
}


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("kind", TABLES)
def test_domains_over_enums(
    database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path, kind: str, protocol: str
) -> None:
    """Rows with a domain over an enum are compared, found by key, and swap unique values as with other types."""
    columns, rows, change = TABLES[kind]
    with database_servers.database(POSTGRESQL, tmp_path) as other, linked(postgresql_url, other) as link:
        link.protocol = protocol
        link.create(*TYPES, f"CREATE TABLE t ({columns})", f"INSERT INTO t VALUES {rows.replace('%', '%%')}")
        link.source.execute(*change.split("; "))

        assert link.sync_one("t", {"max_deletes": "100%"}).status == "changed"

        link.assert_equal("t")
        assert link.sync_one("t").status == "unchanged"
