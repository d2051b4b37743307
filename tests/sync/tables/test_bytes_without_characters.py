"""Bytes in text columns of MySQL and MariaDB that their character set has no character for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.database_servers import MARIADB, MYSQL, DatabaseServers
from tests.sync.link import Link, linked

# The letter И, stored as UTF-8 over a connection that says cp1251; bytes of other sets that become U+FFFD and question marks;
# and latin1 in ascii, which MySQL does not take.
VALUES = {"cp1251": "d098", "tis620": "a0", "swe7": "80", "ascii": "e9"}
PLACES = [(server, charset) for server in (MARIADB, MYSQL) for charset in VALUES if (server, charset) != (MYSQL, "ascii")]
SLOW = [(server, charset) for server, charset in PLACES if server == MYSQL or charset == "swe7"]


@pytest.fixture(params=[pytest.param(place, marks=pytest.mark.slow if place in SLOW else ()) for place in PLACES], ids="-".join)
def odd(request: pytest.FixtureRequest, database_servers: DatabaseServers, tmp_path: Path) -> Iterator[tuple[Link, str, str]]:
    """Give source and target on one server, a character set, and a literal that is no text in it."""
    server, charset = request.param
    source = request.getfixturevalue(f"{server}_url")
    with database_servers.database(server, tmp_path) as target, linked(source, target) as link:
        yield link, charset, f"x'{VALUES[charset]}'"


@pytest.mark.parametrize("key", [False, True], ids=["", "key"])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_they_are_not_taken_for_other_characters(odd: tuple[Link, str, str], protocol: str, key: bool) -> None:
    """A value that would arrive as a question mark is refused, and nothing is written."""
    link, charset, value = odd
    link.protocol = protocol
    link.create(f"CREATE TABLE t (v VARCHAR(9) CHARACTER SET {charset} NOT NULL, id INT, PRIMARY KEY ({'v' if key else 'id'}))")
    link.source.execute(f"INSERT INTO t VALUES ({value}, 1), ('why?', 2)")
    link.target.execute("INSERT INTO t VALUES ('?', 1), ('why?', 3)")
    before = link.target.rows("t")
    with pytest.raises(SyncFailed, match=r"'v'"):
        link.sync_one("t")
    assert link.target.rows("t") == before


def test_those_of_the_target_are_overwritten(odd: tuple[Link, str, str]) -> None:
    """With version 2, bytes without a character differ from what they are converted to, and equal themselves."""
    link, charset, value = odd
    link.protocol = "2"
    link.create(f"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET {charset}, w VARCHAR(9), b BLOB)")
    link.source.execute("INSERT INTO t VALUES (1, 'A?', 'é', 'b'), (2, 'a', NULL, NULL)")
    link.target.execute(f"INSERT INTO t VALUES (1, CONCAT('A', {value}), 'é', 'b'), (2, 'a', NULL, NULL)")
    assert link.sync_one("t").rows_updated == 1
    assert link.target.scalar("SELECT HEX(v) FROM t WHERE id = 1") == "413F"
    assert link.sync_one("t").status == "unchanged"
    for side in (link.source, link.target):
        side.execute(f"UPDATE t SET v = {value} WHERE id = 1")
    assert link.sync_one("t").status == "unchanged"
