"""Values of unique keys that move between rows of a source while these are fetched."""

from __future__ import annotations

from itertools import count

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.messages import DigestRows, GetRows
from tests.sync.link import Link
from tests.sync.tables.interrupted import interrupted


def test_a_value_that_moves_between_two_answers(two_into: Link) -> None:
    """A unique value that was fetched with its old row and its new row is resolved."""
    two_into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, u VARCHAR(20) NOT NULL UNIQUE, v INTEGER)")
    two_into.source.execute("INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0), (4, 'd', 0), (5, 'e', 0)")
    two_into.sync_one("t")
    two_into.source.execute("UPDATE t SET v = 1 WHERE id < 3")
    # Row 2 changes before the rows are sent, so that it is asked for again; row 1 gives its value to it after it was fetched.
    changes = iter(
        (["UPDATE t SET v = 2 WHERE id = 2"], ["UPDATE t SET u = 'x' WHERE id = 1", "UPDATE t SET u = 'a' WHERE id = 2"])
    )
    fetched = count()

    def before(request: object) -> bool:
        if isinstance(request, GetRows):
            return next(fetched) == 0
        return isinstance(request, DigestRows) and request.keys is not None

    def change(_: int) -> None:
        two_into.source.execute(*next(changes))

    report, _ = interrupted(two_into, before, 2, change)
    assert next(changes, None) is None
    assert report.status == "changed"
    two_into.sync_one("t")
    two_into.assert_equal("t")


def test_values_that_are_twice_at_the_source_are_an_error_for_good(two_into: Link) -> None:
    """A unique key of the target that an unchanged source breaks is a permanent error."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, u VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    two_into.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, u VARCHAR(20) UNIQUE)", "INSERT INTO t VALUES (1, 'z')")
    with pytest.raises(SyncFailed) as failure:
        two_into.sync_one("t")
    assert not failure.value.retryable
    assert two_into.target.rows("t") == [(1, "z")]
