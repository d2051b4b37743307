"""Rows that the source tells apart, and that are one to a unique key of the target, since its collation ignores case."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.every_pair import every_pair
from tests.sync.link import Link, linked

MAKE = {
    "postgresql": (
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, u VARCHAR(9) COLLATE ci UNIQUE)",
    ),
    "mysql": ("CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, u VARCHAR(9) COLLATE utf8mb4_general_ci, UNIQUE (u))",),
    "sqlite": ("CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, u VARCHAR(9) COLLATE NOCASE UNIQUE)",),
}


@every_pair(engine=["mariadb", "postgresql", "sqlite"], first=[True, False], protocol=["1", "2"])
def test_rows_that_are_one_to_a_unique_key(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, first: bool, protocol: str
) -> None:
    """The error names the common key and what to compare, for every way of writing the rows."""
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

        words = r"'t'.*(Duplicate entry|duplicate key|UNIQUE).*[^.]\. (Rows that|Two rows) .*ompare the.*collations of both"
        with pytest.raises(SyncFailed, match=words):
            link.sync("t")

        assert link.target.rows("t") == before
        link.assert_clean()


def test_a_target_that_is_made_tells_all_texts_apart(two_into: Link) -> None:
    """In a created target, values that differ only by case, accents or trailing spaces are different on every engine."""
    texts = ("", " ", "a", "a ", "A", "á", "a\u0301")
    values = ", ".join(f"('{text}', '{text}', {number})" for number, text in enumerate(texts))
    two_into.source.execute(
        "CREATE TABLE t (k VARCHAR(20) PRIMARY KEY, u VARCHAR(20), n INTEGER)", f"INSERT INTO t VALUES {values}"
    )
    two_into.source.execute("CREATE UNIQUE INDEX t_u ON t (u)")
    options = {"create_table": True, "create_indexes": True}
    assert two_into.sync_one("t", options).rows_inserted == len(texts)
    two_into.assert_equal("t")
    two_into.source.execute(
        "UPDATE t SET n = n + 10 WHERE n < 4", "DELETE FROM t WHERE k = 'a '", "INSERT INTO t VALUES ('A ', 'a ', 7)"
    )
    report = two_into.sync_one("t", options)
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.warnings) == (1, 3, 1, ())
    two_into.assert_equal("t")
