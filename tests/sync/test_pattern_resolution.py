"""Runs of whole databases by patterns: what arrives, what is refused, and what the reports say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed
from airflow_provider_sync.report import Report
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import plan_run, run
from airflow_provider_sync.sync.run_diff import diff_run
from tests.databases.plain_role import plain_role
from tests.scenario import Scenario
from tests.server.tables.served_tables import execute
from tests.server.wire import config as server_config
from tests.server.wire import run_sqlite

SHOP = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bea');
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INT REFERENCES customers); INSERT INTO orders VALUES (7, 1), (8, 2);
CREATE TABLE tmp_1 (id INTEGER PRIMARY KEY);
"""


class Pair:
    """A source that offers everything, and a target."""

    def __init__(self, folder: Path, url: str) -> None:
        self.source, self.url, self.target = folder / "source.db", url, f"sqlite:///{folder / 'target.db'}"

    def config(self, tables: Any, **settings: Any) -> ClientConfig:
        """Configure a client."""
        connections = {"local": self.target}
        return ClientConfig.from_dict({"url": self.url, "retries": 0, "connections": connections, "tables": tables, **settings})

    def run(self, tables: Any, *, names: tuple[str, ...] = (), **settings: Any) -> dict[str, Report]:
        """Sync, and return the reports by name."""
        config = self.config(tables, **settings)
        return {report.name: report for report in run(config, plan_run(config, tables=names))}

    def rows(self, table: str) -> list[tuple[object, ...]]:
        """Read a table of the target, on any engine."""
        engine = open_engine(self.target)
        try:
            return list(Scenario(database_for(engine)).rows(table))
        finally:
            engine.dispose()

    def tables(self) -> list[str]:
        """Name the tables of the target, on any engine."""
        engine = open_engine(self.target)
        try:
            return Scenario(database_for(engine)).names()
        finally:
            engine.dispose()


@contextmanager
def pair_of(folder: Path, tables: Any = "*", **settings: Any) -> Iterator[Pair]:
    """Serve a source with some tables."""
    run_sqlite(folder / "source.db", SHOP)
    with RunningServer(server_config(f"sqlite:///{folder / 'source.db'}", tables=tables, **settings)) as server:
        yield Pair(folder, server.url)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Give a source that offers everything, and an empty target."""
    with pair_of(tmp_path) as pair:
        yield pair


EVERYTHING = {"*": {"exclude": ["tmp_*"], "create_table": True}}


def statuses(reports: Mapping[str, Report]) -> dict[str, str]:
    """Return how each table ended."""
    return {name: report.status for name, report in reports.items()}


def test_everything_arrives_and_new_tables_too(pair: Pair) -> None:
    """Each matching table is created and filled; a new one of the source arrives with the next run."""
    assert statuses(pair.run(EVERYTHING)) == {"customers": "changed", "orders": "changed"}
    assert pair.rows("orders") == [(7, 1), (8, 2)]
    run_sqlite(pair.source, "CREATE TABLE items (id INTEGER PRIMARY KEY); INSERT INTO items VALUES (5)")
    assert statuses(pair.run(EVERYTHING)) == {"customers": "unchanged", "items": "changed", "orders": "unchanged"}
    assert pair.tables() == ["customers", "items", "orders"]


def test_names_and_options(pair: Pair) -> None:
    """A name keeps its own options and comes first; a pattern's `table` gives the target names."""
    tables = {"o*": {"table": "copy_o*", "create_table": True}, "*": {"exclude": ["tmp_?"]}, "customers": {"create_table": True}}
    assert list(pair.run(tables)) == ["customers", "orders"]
    assert pair.tables() == ["copy_orders", "customers"]
    assert pair.rows("copy_orders") == [(7, 1), (8, 2)]


def test_one_table_of_a_pattern(pair: Pair) -> None:
    """A run may sync one table of a pattern; a name that no entry matches is refused."""
    assert statuses(pair.run(EVERYTHING, names=("orders",))) == {"orders": "changed"}
    for name in ("tmp_1", "x*"):
        with pytest.raises(ConfigurationError, match="is not under tables in the configuration"):
            pair.run(EVERYTHING, names=(name,))


@pytest.mark.parametrize("tables", [["customers", "absent_*"], {"*": {"create_table": True}, "or*": {"exclude": ["*"]}}])
def test_a_pattern_that_matches_nothing(pair: Pair, tables: Any) -> None:
    """A pattern without a table ends the run before it writes, with an error that names it and the offered names."""
    run_sqlite(Path(pair.target.removeprefix("sqlite:///")), "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)")
    with pytest.raises(ConfigurationError) as caught:
        pair.run(tables)
    assert f"The pattern {list(tables)[-1]!r} matches no table" in str(caught.value)
    assert "It offers: customers, orders, tmp_1." in str(caught.value)
    assert (pair.tables(), pair.rows("customers")) == (["customers"], [])


def test_version_1_cannot_list(pair: Pair) -> None:
    """With version 1, a pattern is refused with the remedy, and named tables are served from the server's patterns."""
    with pytest.raises(ConfigurationError, match=r"version 1 .* match '\*'\. Name the tables one by one"):
        pair.run("*", protocol=1)
    run_sqlite(Path(pair.target.removeprefix("sqlite:///")), "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)")
    assert pair.run({"customers": {}}, protocol=1)["customers"].protocol == 1
    assert pair.rows("customers") == [(1, "Ann"), (2, "Bea")]


@pytest.mark.parametrize("single_transaction", [True, False])
def test_names_that_differ_by_case_only(database_url: str, tmp_path: Path, single_transaction: bool) -> None:
    """Two tables that would be one at the target are an error that names both; if they are two, both arrive."""
    run_sqlite(tmp_path / "one.db", "CREATE TABLE Parts (id INTEGER PRIMARY KEY); INSERT INTO Parts VALUES (1)")
    run_sqlite(tmp_path / "two.db", "CREATE TABLE parts (id INTEGER PRIMARY KEY); INSERT INTO parts VALUES (2)")
    connections = {name: f"sqlite:///{tmp_path / name}.db" for name in ("one", "two")}
    offered = {"Parts": {"connection": "one"}, "parts": {"connection": "two"}}
    with RunningServer(server_config(connections=connections, tables=offered)) as server:
        pair = Pair(tmp_path, server.url)
        pair.target = database_url
        tables = {"*": {"create_table": True}}
        if not database_url.startswith(("sqlite", "duckdb")):
            pair.run(tables, single_transaction=single_transaction)
            assert (pair.rows("Parts"), pair.rows("parts")) == ([(1,)], [(2,)])
            return
        with pytest.raises(SyncFailed, match="'Parts' and 'parts' of the source would be one table of the target"):
            pair.run(tables, single_transaction=single_transaction)
        assert pair.tables() == []


def test_what_is_gone_at_the_source(pair: Pair) -> None:
    """Matching target tables that the source does not offer any more are named in a report, and stay."""
    target = Path(pair.target.removeprefix("sqlite:///"))
    run_sqlite(target, "CREATE TABLE old (id INTEGER); CREATE TABLE tmp_2 (id INTEGER); INSERT INTO old VALUES (1)")
    (warning,) = pair.run(EVERYTHING)["customers"].warnings
    assert "tables that '*' matches and the source does not offer: old. They stay as they are" in warning
    run_sqlite(pair.source, "DROP TABLE orders")
    reports = pair.run(EVERYTHING)
    assert "does not offer: old, orders." in reports["customers"].warnings[0]
    assert pair.rows("orders") == [(7, 1), (8, 2)]
    config = pair.config(EVERYTHING)
    assert "does not offer: old, orders." in diff_run(config, plan_run(config)).reports[0].warnings[0]
    assert pair.run({"c*": {}})["customers"].warnings == ()


def test_parents_come_before_children(postgresql_url: str, tmp_path: Path) -> None:
    """If foreign keys cannot be switched off, matching tables are merged in their order, also one by one."""
    with plain_role(postgresql_url) as url, pair_of(tmp_path) as pair:
        pair.target = url
        execute(
            url,
            "CREATE TABLE customers (id BIGINT PRIMARY KEY, name TEXT)",
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer BIGINT NOT NULL REFERENCES customers ON DELETE RESTRICT)",
        )
        everything = {"*": {"exclude": ["tmp_*"]}}
        for single_transaction in (False, True):
            pair.run(everything, single_transaction=single_transaction)
            assert pair.rows("orders") == [(7, 1), (8, 2)]
            run_sqlite(pair.source, "DELETE FROM orders WHERE id = 7; DELETE FROM customers WHERE id = 1")
            pair.run(everything, single_transaction=single_transaction)
            assert (pair.rows("orders"), pair.rows("customers")) == ([(8, 2)], [(2, "Bea")])
            run_sqlite(pair.source, "INSERT INTO customers VALUES (1, 'Ann'); INSERT INTO orders VALUES (7, 1)")


def test_a_table_that_cannot_be_synced_is_named(pair: Pair) -> None:
    """A matching table without a key fails by name instead of being left out, and nothing is written."""
    run_sqlite(pair.source, "CREATE TABLE keyless (id INT); INSERT INTO keyless VALUES (1)")
    with pytest.raises(SyncFailed, match="Table 'keyless' has no primary key") as caught:
        pair.run(EVERYTHING)
    assert {report.name for report in caught.value.reports if report.error and "no primary key" in report.error} == {"keyless"}
    assert pair.tables() == []
    exclude = {"*": {"exclude": ["tmp_*", "keyless"], "create_table": True}}
    assert statuses(pair.run(exclude)) == {"customers": "changed", "orders": "changed"}
