"""Keys that change their case at the source, on targets that call both forms equal."""

from __future__ import annotations

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import Link

CASELESS = {"mysql": "{CASELESS}", "postgresql": "citext", "sqlite": "{CASELESS}"}


@pytest.fixture(params=["1", "2"])
def words(request: pytest.FixtureRequest, into: Link) -> Link:
    """Give a source that tells upper from lower case, and a target that does not, for each version of the protocol."""
    into.protocol = request.param
    into.source.execute("CREATE TABLE word (code VARCHAR(20) NOT NULL PRIMARY KEY, n INTEGER)")
    if into.target.dialect == "postgresql":
        into.target.execute("CREATE EXTENSION citext")
    into.target.execute(
        f"CREATE TABLE word (code {into.target.pick(CASELESS)} NOT NULL PRIMARY KEY, n INTEGER, mine VARCHAR(9))",
        "INSERT INTO word VALUES ('ab', 1, 'kept'), ('cd', 2, 'too')",
    )
    into.source.execute("INSERT INTO word VALUES ('ab', 1), ('cd', 2)")
    return into


def test_a_row_is_renamed(words: Link) -> None:
    """The row stays with what is not synced, and is told as an update."""
    words.source.execute("UPDATE word SET code = 'AB', n = 5 WHERE code = 'ab'", "INSERT INTO word VALUES ('ef', 3)")

    report = words.sync_one("word")

    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 0)
    assert words.target.rows("word") == [("AB", 5, "kept"), ("cd", 2, "too"), ("ef", 3, None)]
    assert words.sync_one("word").rows_received in (0, 3)
    assert words.target.rows("word") == [("AB", 5, "kept"), ("cd", 2, "too"), ("ef", 3, None)]


def test_a_row_never_takes_the_place_of_another(words: Link) -> None:
    """Two rows of the source whose keys the target calls equal are refused, and the one that is there stays."""
    words.source.execute("INSERT INTO word VALUES ('AB', 7)")

    with pytest.raises(SyncFailed, match="'word'") as failure:
        words.sync_one("word")

    assert not failure.value.retryable
    assert words.target.rows("word") == [("ab", 1, "kept"), ("cd", 2, "too")]
    words.assert_clean()
