"""NULL at the source where the target is NOT NULL: the message names the column and says how the target may take it."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import SyncError
from tests.sync.link import Link

REMEDIES = {
    "mysql": r"ALTER TABLE … MODIFY … varchar\(20\) NULL",
    "postgresql": "ALTER TABLE … ALTER COLUMN … DROP NOT NULL, or ALTER DOMAIN … DROP NOT NULL",
    "duckdb": "ALTER TABLE … ALTER COLUMN … DROP NOT NULL",
    "sqlite": "in SQLite, by creating the table again",
}
ROWS = [[], [(1, "a")], [(1, "a"), (2, "b")]]

_protocols = pytest.mark.parametrize("protocol", ["1", "2"])


@_protocols
@pytest.mark.parametrize("rows", ROWS, ids=["empty", "insert", "update"])
def test_a_column_that_is_not_null(into: Link, protocol: str, rows: list[tuple[int, str]]) -> None:
    """The error names the column and how it becomes one that may be NULL, and the target is as it was."""
    into.protocol = protocol
    into.source.execute(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, NULL)"
    )
    into.target.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20) NOT NULL)")
    into.target.execute(*(f"INSERT INTO t VALUES ({key}, '{value}')" for key, value in rows))
    remedy = REMEDIES[into.target.dialect]
    expected = rf"Table 't', column 'v': the source has NULL, and the target's column is NOT NULL\. Let it be NULL \({remedy}\)"
    with pytest.raises(SyncError, match=expected) as raised:
        into.sync_one("t")
    assert not raised.value.retryable
    assert into.target.rows("t") == rows
    into.assert_clean()


def test_a_key_without_a_value(into: Link) -> None:
    """If the column is part of the key, the source's rows need a value."""
    into.protocol = "1"
    into.source.execute("CREATE TABLE t (id VARCHAR(9), v INTEGER)", "INSERT INTO t VALUES ('a', 1), (NULL, 2)")
    into.target.execute("CREATE TABLE t (id VARCHAR(9) NOT NULL PRIMARY KEY, v INTEGER)", "INSERT INTO t VALUES ('a', 1)")
    into.offered["t"] = {"primary": "id"}
    with pytest.raises(SyncError, match=r"column 'id': the source has NULL, and the column is part of the key\. Give its rows"):
        into.sync_one("t")
    assert into.target.rows("t") == [("a", 1)]
