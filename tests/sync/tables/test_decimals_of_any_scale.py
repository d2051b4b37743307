"""Decimals without a scale: carried and compared as they are where both sides can, and exact or refused elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync.tables.doctor import diagnose_table
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.database_servers import DUCKDB, MARIADB, POSTGRESQL, DatabaseServers
from tests.scenario import Scenario
from tests.sync.link import Link, linked

TABLE = "CREATE TABLE t (id int PRIMARY KEY, n numeric, g numeric GENERATED ALWAYS AS (id * 1.5) STORED)"
VALUES = [
    "1.10",
    "3.000",
    "100",
    "0.0",
    "1e10",
    "-0.00",
    "NaN",
    "1e-20",
    "1e300",
    "Infinity",
    "-Infinity",
    "12345678901234567890.1000",
]
ROWS = "INSERT INTO t (id, n) VALUES " + ", ".join(f"({number}, '{value}')" for number, value in enumerate(VALUES))
TEXTS = "SELECT string_agg(n::text || ' ' || g::text, ',' ORDER BY id) FROM t"


@pytest.fixture
def pair(database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path) -> Iterator[Link]:
    """Give two PostgreSQL databases, and a client of version 2."""
    with database_servers.database(POSTGRESQL, tmp_path) as other, linked(postgresql_url, other) as link:
        link.protocol = "2"
        yield link


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_zeros_at_the_end(pair: Link, protocol: str) -> None:
    """Zeros at the end are part of the value: they are sent, compared, and updated, without a false warning."""
    pair.protocol = protocol
    rows = ROWS if protocol == "2" else ROWS.replace("NaN", "1").replace("Infinity", "2")
    pair.create(TABLE)
    pair.source.execute(rows)
    pair.sync_one("t")
    assert pair.target.scalar(TEXTS) == pair.source.scalar(TEXTS)

    pair.source.execute(
        "UPDATE t SET n = '1.1' WHERE id = 0", "UPDATE t SET n = '100.00' WHERE id = 2", "DELETE FROM t WHERE id = 3"
    )
    report = pair.sync_one("t")
    assert (report.rows_updated, report.rows_deleted, report.warnings) == (2, 1, ())
    assert pair.target.scalar(TEXTS) == pair.source.scalar(TEXTS)
    assert pair.sync_one("t").status == "unchanged"


def test_zeros_at_the_end_in_steps(pair: Link) -> None:
    """The steps send zeros at the end of a number, too, also with renamed columns."""
    pair.source.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric)", "INSERT INTO t VALUES (1, '1.10'), (2, '5')")
    pair.target.execute("CREATE TABLE t (id int PRIMARY KEY, amount numeric)", "INSERT INTO t VALUES (1, '1.1'), (2, '5.0')")
    options = table_from_options("t", {"renames": {"n": "amount"}})
    with pair.client("t") as client:
        assert "zeros at the end" in str(diagnose_table(client, options, pair.target.database))
        slices = compare_table(client, options, pair.target.database, run_id="r").slices
        assert slices
        staged = [stage_slice(client, options, pair.target.database, table_slice) for table_slice in slices]
        assert merge_slices(client, {"t": (options, staged)}, pair.target.database)[0].rows_updated == 2
    assert pair.target.rows("t") == [(1, "1.10"), (2, "5")]


@pytest.mark.parametrize("source", ["numeric", "numeric(12,4)"])
@pytest.mark.parametrize("key", ["id", "id, k"])
def test_keys_are_numbers(pair: Link, source: str, key: str) -> None:
    """In a key, 1.1 and 1.10 are one value; its row stays, and is written as at the source."""
    pair.source.execute(f"CREATE TABLE t (id {source}, k int NOT NULL, n numeric, PRIMARY KEY ({key}))")
    pair.target.execute(f"CREATE TABLE t (id numeric, k int NOT NULL, n numeric, mine int, PRIMARY KEY ({key}))")
    pair.source.execute("INSERT INTO t VALUES (1.10, 1, 1.0), (10, 1, 2.0), (3.00, 1, 7), (4, 1, 1)")
    pair.target.execute("INSERT INTO t VALUES (1.1, 1, 1, 8), (9, 1, 9, 8), (3.00, 1, 5, 8), (4.0, 1, 1, 8)")
    pair.sync_one("t")
    assert pair.sync_one("t").status == "unchanged"
    assert pair.target.scalar("SELECT count(*) FROM t WHERE mine = 8") == 3
    assert pair.target.scalar("SELECT string_agg(n::text, ' ' ORDER BY id) FROM t") == "1.0 7 1 2.0"
    if source == "numeric":
        assert pair.target.scalar("SELECT string_agg(id::text, ' ' ORDER BY id) FROM t") == "1.10 3.00 4 10"
    pair.source.execute("UPDATE t SET n = 6 WHERE id IN (3, 4)", "DELETE FROM t WHERE id = 10")
    assert (pair.sync_one("t").rows_updated, pair.sync_one("t").status) == (2, "unchanged")


@pytest.mark.parametrize("source", ["numeric", pytest.param("numeric(12,4)", marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", ["numeric(12,4)", "text", "numeric"])
def test_other_types_of_the_target(pair: Link, source: str, target: str) -> None:
    """If one side has a scale or is text, values are compared as numbers, and digests agree."""
    pair.source.execute(
        f"CREATE TABLE t (id int PRIMARY KEY, n {source})", "INSERT INTO t VALUES (1, '1.10'), (2, '3'), (3, '0')"
    )
    pair.target.execute(f"CREATE TABLE t (id int PRIMARY KEY, n {target})")
    pair.sync_one("t")
    assert pair.target.scalar("SELECT sum(n::numeric) FROM t") == pair.source.scalar("SELECT sum(n) FROM t")
    pair.source.execute("UPDATE t SET n = '1.1000' WHERE id = 1", "UPDATE t SET n = 4.50 WHERE id = 2")
    pair.sync_one("t")
    assert pair.sync_one("t").status == "unchanged"
    assert pair.target.scalar("SELECT sum(n::numeric) FROM t") == pair.source.scalar("SELECT sum(n) FROM t")


@pytest.mark.parametrize("engine", ["sqlite", "mariadb", "mysql"])
def test_other_engines(
    database_servers: DatabaseServers, request: pytest.FixtureRequest, postgresql_url: str, engine: str
) -> None:
    """Other engines ignore such zeros: numbers are exact, or refused, in both directions."""
    other: str = request.getfixturevalue(f"{engine}_url")
    made = {"create_table": True}
    with linked(postgresql_url, other) as link:
        link.protocol = "2"
        link.source.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric)")
        link.source.execute("INSERT INTO t VALUES (1, '1.10'), (2, '1e10'), (3, '0.0')")
        link.sync_one("t", made)
        assert decimals(link.target, "t") == decimals(link.source, "t")
        assert link.sync_one("t").status == "unchanged"
        for value in ("NaN", "1e100") if engine != "sqlite" else ():
            link.source.execute(f"UPDATE t SET n = '{value}' WHERE id = 2")
            before = link.target.rows("t")
            with pytest.raises(SyncFailed, match=r"['`]n['`]") as failed:
                link.sync_one("t")
            assert not failed.value.retryable
            assert link.target.rows("t") == before
            link.assert_clean()
    with linked(other, postgresql_url) as back:
        back.protocol = "2"
        back.source.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, n DECIMAL(12, 2))", "INSERT INTO u VALUES (1, 1.1), (2, 3)")
        back.target.execute("CREATE TABLE u (id int PRIMARY KEY, n numeric)")
        back.sync_one("u")
        assert decimals(back.target, "u") == decimals(back.source, "u")
        assert back.sync_one("u").status == "unchanged"


def decimals(on: Scenario, name: str) -> list[Decimal]:
    """Read the decimals of a table."""
    return [Decimal(str(value)) for _, value in on.rows(name)]


@pytest.mark.parametrize("engine", [MARIADB, DUCKDB])
def test_scales_beyond_the_precision(database_servers: DatabaseServers, postgresql_url: str, tmp_path: Path, engine: str) -> None:
    """PostgreSQL's numeric(3,5) and numeric(3,-2) get columns of other databases that hold all of their values."""
    with database_servers.database(engine, tmp_path) as other, linked(postgresql_url, other) as link:
        link.protocol = "2"
        link.source.execute(
            "CREATE TABLE t (id int PRIMARY KEY, n numeric(3,5), h numeric(3,-2))", "INSERT INTO t VALUES (1, 0.00999, 99900)"
        )
        link.sync_one("t", {"create_table": True})
        assert [tuple(map(Decimal, row)) for row in link.target.rows("t")] == [(1, Decimal("0.00999"), 99900)]
        assert link.sync_one("t").status == "unchanged"
