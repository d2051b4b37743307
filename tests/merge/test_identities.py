"""PostgreSQL's columns that are GENERATED ALWAYS AS IDENTITY and not part of the key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import TableError
from tests.databases.plain_role import plain_role
from tests.scenario import Scenario

TABLE = "CREATE TABLE t (id int PRIMARY KEY, seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE, v text, mine text DEFAULT 'none')"
BEFORE = "INSERT INTO t (id, seq, v, mine) OVERRIDING SYSTEM VALUE VALUES (1, 1, 'a', 'kept'), (2, 2, 'b', 'b'), (3, 3, 'c', '')"
COLUMNS = ["id", "seq", "v"]


@pytest.fixture(params=["owner", "plain"])
def roles(request: pytest.FixtureRequest, postgresql_url: str) -> Iterator[tuple[Scenario, Scenario]]:
    """Give the owner's view of a database, and that of the role that syncs: the owner's, or a plain one's."""
    with plain_role(postgresql_url) as url:
        engines = [open_engine(postgresql_url), open_engine(postgresql_url if request.param == "owner" else url)]
        owner, role = (Scenario(database_for(engine)) for engine in engines)
        owner.execute(TABLE, BEFORE)
        yield owner, role
        for engine in engines:
            engine.dispose()


def test_rows_are_updated_beside_an_identity(roles: tuple[Scenario, Scenario]) -> None:
    """An equal identity is not written; the identity of a new row is."""
    owner, role = roles

    result = role.sync("t", [(1, 1, "x"), (2, 2, "b"), (9, 77, "new")], columns=COLUMNS)

    assert owner.rows("t") == [(1, 1, "x", "kept"), (2, 2, "b", "b"), (9, 77, "new", "none")]
    assert (result.counts.updated, result.verified_rows) == (1, True)
    owner.execute("INSERT INTO t (id, v) VALUES (10, 'own')")
    assert owner.scalar("SELECT seq FROM t WHERE id = 10") == 78


def test_identities_that_differ_arrive(roles: tuple[Scenario, Scenario]) -> None:
    """Different identities, also swapped ones, become the source's; other columns stay, and the column stays ALWAYS."""
    owner, role = roles

    role.sync("t", [(1, 2, "x"), (2, 1, "b"), (3, 33, "c")], columns=COLUMNS)

    assert owner.rows("t") == [(1, 2, "x", "kept"), (2, 1, "b", "b"), (3, 33, "c", "")]
    assert owner.scalar("SELECT attidentity FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'seq'") == "a"


def test_identities_of_rows_with_children_are_refused(roles: tuple[Scenario, Scenario]) -> None:
    """If the role is not the owner, and the row cannot be deleted and inserted again, the error names the column."""
    owner, role = roles
    owner.execute(
        "CREATE TABLE note (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE)", "INSERT INTO note VALUES (1, 2)"
    )
    before = owner.rows("t")

    if owner.scalar("SELECT current_user") == role.scalar("SELECT current_user"):
        role.sync("t", [(1, 1, "x"), (2, 22, "b"), (3, 3, "c")], columns=COLUMNS)
        assert owner.rows("t", *COLUMNS) == [(1, 1, "x"), (2, 22, "b"), (3, 3, "c")]
    else:
        with pytest.raises(TableError, match=r"'t': rows differ in seq.*note_t_id_fkey") as raised:
            role.sync("t", [(1, 1, "x"), (2, 22, "b"), (3, 3, "c")], columns=COLUMNS)
        assert not raised.value.retryable
        assert owner.rows("t") == before
        role.sync("t", [(1, 11, "x"), (2, 2, "b"), (3, 3, "c")], columns=COLUMNS)
        assert owner.rows("t", *COLUMNS) == [(1, 11, "x"), (2, 2, "b"), (3, 3, "c")]
    assert owner.rows("note") == [(1, 2)]


@pytest.mark.parametrize("rows", [1, 0], ids=["merged", "loaded"])
def test_a_sequence_that_is_not_rolled_back_moves_last(postgresql_on: Scenario, rows: int) -> None:
    """A merge that fails its verification does not move the sequence, so the next local row gets the next key."""
    postgresql_on.execute("CREATE TABLE t (id serial PRIMARY KEY, v text)", *["INSERT INTO t (v) VALUES ('own')"] * rows)

    def fail(*_: object) -> None:
        raise TableError("not verified")

    with pytest.raises(TableError, match="not verified"):
        postgresql_on.sync("t", [(1, "own"), (2**31 - 1, "last")], verify=fail)

    postgresql_on.execute("INSERT INTO t (v) VALUES ('next')")
    assert postgresql_on.scalar("SELECT max(id) FROM t") == rows + 1
