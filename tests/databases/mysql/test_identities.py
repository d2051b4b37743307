"""Sequences of MariaDB that number the rows of a target."""

from __future__ import annotations

import pytest

from tests.scenario import opened


@pytest.mark.parametrize(("step", "keys", "following"), [(1, (5, 900), 901), (-1, (-5, -900), -901)], ids=["up", "down"])
@pytest.mark.parametrize("is_empty", [True, False], ids=["loaded", "merged"])
def test_sequences_follow_the_keys(mariadb_url: str, step: int, keys: tuple[int, int], following: int, is_empty: bool) -> None:
    """After rows with the source's keys, the next inserted row gets a free key."""
    with opened(mariadb_url) as on:
        on.execute(
            f"CREATE SEQUENCE `num``bers 5%` INCREMENT {step}",
            "CREATE TABLE t (id INT PRIMARY KEY DEFAULT NEXT VALUE FOR `num``bers 5%`, v VARCHAR(9))",
        )
        if not is_empty:
            on.execute("INSERT INTO t VALUES (3, 'old')")
        on.sync("t", [(keys[0], "a"), (keys[1], "b")])
        on.sync("t", [(keys[0], "a"), (keys[1], "c")])
        on.execute("INSERT INTO t (v) VALUES ('mine')")
        assert on.scalar("SELECT id FROM t WHERE v = 'mine'") == following


def test_values_beyond_a_sequence_are_left_out(mariadb_url: str) -> None:
    """A key outside of the sequence's range does not move it, and a sequence never moves back."""
    with opened(mariadb_url) as on:
        on.execute(
            "CREATE SEQUENCE numbers MAXVALUE 100",
            "CREATE TABLE t (id INT PRIMARY KEY DEFAULT NEXT VALUE FOR numbers, v VARCHAR(9))",
            "DO SETVAL(numbers, 20)",
        )
        on.sync("t", [(7, "a"), (500, "b")])
        assert on.scalar("SELECT NEXT VALUE FOR numbers") == 21
