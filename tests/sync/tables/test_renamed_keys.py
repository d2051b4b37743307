"""Keys that change their case at the source, on targets that call both forms equal."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
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
    """The row keeps its columns that are not synced, and counts as an update."""
    words.source.execute("UPDATE word SET code = 'AB', n = 5 WHERE code = 'ab'", "INSERT INTO word VALUES ('ef', 3)")

    report = words.sync_one("word")

    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 0)
    assert words.target.rows("word") == [("AB", 5, "kept"), ("cd", 2, "too"), ("ef", 3, None)]
    assert words.sync_one("word").rows_received in (0, 3)
    assert words.target.rows("word") == [("AB", 5, "kept"), ("cd", 2, "too"), ("ef", 3, None)]


def test_a_row_never_takes_the_place_of_another(words: Link) -> None:
    """Two rows of the source with keys that are equal at the target are refused, and the target's row stays."""
    words.source.execute("INSERT INTO word VALUES ('AB', 7)")

    with pytest.raises(SyncFailed, match="'word'") as failure:
        words.sync_one("word")

    assert not failure.value.retryable
    assert words.target.rows("word") == [("ab", 1, "kept"), ("cd", 2, "too")]
    words.assert_clean()


def sync_in_steps(link: Link, options: dict[str, Any]) -> TableReport:
    """Compare, stage and merge, as tasks do."""
    table = table_from_options("word", options)
    with link.client("word") as client:
        found = compare_table(client, table, link.target.database, run_id="run")
        if not found.slices:
            return found.report
        staged = [stage_slice(client, table, link.target.database, planned) for planned in found.slices]
        return merge_slices(client, {"word": (table, staged)}, link.target.database)[0]


@pytest.mark.parametrize("in_steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_modes_that_keep_rows(words: Link, mode: str, in_steps: bool) -> None:
    """With ``upsert`` the row is renamed, with ``append`` it does not change; the next sync finds no difference."""
    words.target.execute("INSERT INTO word VALUES ('mine', 9, 'stays')")
    words.source.execute("UPDATE word SET code = 'AB', n = 5 WHERE code = 'ab'", "INSERT INTO word VALUES ('ef', 3)")

    def sync() -> TableReport:
        return sync_in_steps(words, {"mode": mode}) if in_steps else words.sync_one("word", {"mode": mode})

    report = sync()

    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, int(mode == "upsert"), 0)
    kept = ("AB", 5, "kept") if mode == "upsert" else ("ab", 1, "kept")
    assert words.target.rows("word") == sorted([kept, ("cd", 2, "too"), ("ef", 3, None), ("mine", 9, "stays")], key=repr)
    again = sync()
    assert (again.rows_inserted, again.rows_updated, again.rows_deleted) == (0, 0, 0)
    words.assert_clean()


@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_modes_that_keep_rows_never_join_two(words: Link, mode: str) -> None:
    """These modes also refuse two rows of the source with keys that are equal at the target."""
    words.target.execute("INSERT INTO word VALUES ('mine', 9, 'stays')")
    words.source.execute("INSERT INTO word VALUES ('AB', 7)")

    with pytest.raises(SyncFailed, match="'word'") as failure:
        words.sync_one("word", {"mode": mode})

    assert not failure.value.retryable
    assert words.target.rows("word") == [("ab", 1, "kept"), ("cd", 2, "too"), ("mine", 9, "stays")]
    words.assert_clean()
