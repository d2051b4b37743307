"""Sequences of DuckDB that number the rows of a target."""

from __future__ import annotations

import pytest

from tests.scenario import Scenario


@pytest.mark.parametrize(("step", "keys", "following"), [(1, (5, 900), 901), (-1, (-5, -900), -901)], ids=["up", "down"])
@pytest.mark.parametrize("name", ["numbers", 'o\'d d"q.x"'])
def test_sequences_follow_the_keys(duckdb_on: Scenario, name: str, step: int, keys: tuple[int, int], following: int) -> None:
    """After rows with the source's keys, the next inserted row gets a free key."""
    quoted = duckdb_on.database.quote(name)
    literal = quoted.replace("'", "''")
    duckdb_on.execute(
        f"CREATE SEQUENCE {quoted} INCREMENT {step}",
        f"CREATE TABLE t (id BIGINT PRIMARY KEY DEFAULT nextval('{literal}'), v VARCHAR)",
        "INSERT INTO t VALUES (3, 'old')",
    )
    duckdb_on.sync("t", [(keys[0], "a"), (keys[1], "b")])
    duckdb_on.execute("INSERT INTO t (v) VALUES ('mine')")
    assert duckdb_on.scalar("SELECT id FROM t WHERE v = 'mine'") == following
    duckdb_on.sync("t", [(keys[0], "a")])
    duckdb_on.sync("t", [(keys[0], "a"), (keys[0] + step, "new")])
    assert duckdb_on.scalar(f"SELECT nextval('{literal}')") == following + step


def test_values_beyond_a_sequence_are_left_out(duckdb_on: Scenario) -> None:
    """A key outside of the sequence's range arrives, and does not move the sequence."""
    duckdb_on.execute(
        "CREATE SEQUENCE numbers MAXVALUE 100", "CREATE TABLE t (id BIGINT PRIMARY KEY DEFAULT nextval('numbers'), v VARCHAR)"
    )
    duckdb_on.sync("t", [(7, "a"), (500, "b")])
    assert duckdb_on.rows("t") == [(500, "b"), (7, "a")]
    assert duckdb_on.scalar("SELECT nextval('numbers')") == 8
