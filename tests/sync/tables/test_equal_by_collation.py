"""Rows that the source tells apart, and that are one to a unique key of the target, since its collation ignores case."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import linked

MAKE = {
    "postgresql": (
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, u VARCHAR(9) COLLATE ci UNIQUE)",
    ),
    "mysql": ("CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, u VARCHAR(9) COLLATE utf8mb4_general_ci, UNIQUE (u))",),
    "sqlite": ("CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, u VARCHAR(9) COLLATE NOCASE UNIQUE)",),
}


@pytest.mark.parametrize("protocol", ["1", "2"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "difference"])
@pytest.mark.parametrize("engine", ["mariadb", "postgresql", "sqlite"])
def test_rows_that_are_one_to_a_unique_key(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, first: bool, protocol: str
) -> None:
    """The error says which key they share and what to compare, whichever way the rows were to be written."""
    url = f"sqlite:///{tmp_path / 'target.db'}" if engine == "sqlite" else request.getfixturevalue(f"{engine}_url")
    with linked(f"sqlite:///{tmp_path / 'source.db'}", url) as link:
        link.protocol = protocol
        link.source.execute("CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, u VARCHAR(9) UNIQUE)")
        link.target.execute(*link.target.pick(MAKE))
        link.source.execute("INSERT INTO t VALUES ('q', 'q')")
        if not first:
            link.sync("t")
        before = link.target.rows("t")
        link.source.execute("INSERT INTO t VALUES ('a', 'x'), ('b', 'X')")

        with pytest.raises(SyncFailed, match=r"'t'.*(Duplicate entry|duplicate key|UNIQUE).*ompare the.*collations of both"):
            link.sync("t")

        assert link.target.rows("t") == before
        link.assert_clean()
