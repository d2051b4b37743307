"""Connections of one run that lead to one server: one reaches the other's tables, by its triggers or as a target of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, make_url

from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import Report
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import diff_run, plan_run, run
from airflow_provider_sync.sync.run import Opener
from airflow_provider_sync.sync.run_steps import compare_tables, download_tables, merge_tables
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from tests.database_servers import MARIADB, MYSQL, POSTGRESQL, DatabaseServers
from tests.databases.limited_user import user_with
from tests.engines import on_engines
from tests.scenario import Scenario, opened
from tests.server.wire import config as server_config
from tests.server.wire import run_sqlite
from tests.sync.tables.test_trigger_watch import add_trigger

TABLES = "CREATE TABLE {0} (id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO {0} VALUES (1, 1), (2, 1);"


class TwoConnections:
    """A source, and two connections to one server: the first has the table a with a trigger, the second one c.

    :ivar options: of the tables, by name
    """

    def __init__(self, source: Path, server: str, first: Scenario, second: Scenario, schema: str) -> None:
        self.source, self.server, self.first, self.second, self.schema = source, server, first, second, schema
        self.options: dict[str, dict[str, Any]] = {"a": {"connection": "first"}, "c": {"connection": "second"}}
        self.settings: dict[str, Any] = {}

    def config(self, *names: str) -> ClientConfig:
        """Configure a client for these tables, in their order."""
        urls = {
            name: scenario.database.engine.url.render_as_string(hide_password=False)
            for name, scenario in (("first", self.first), ("second", self.second))
        }
        settings = {**self.settings, "connections": {**urls, **self.settings.get("connections", {})}}
        tables = {name: self.options[name] for name in names}
        return ClientConfig.from_dict({"url": self.server, "retries": 0, "tables": tables, **settings})

    def run(self, *names: str) -> list[Report]:
        """Sync in one go."""
        config = self.config(*names)
        return run(config, plan_run(config))

    def run_in_steps(self, *names: str) -> list[Report]:
        """Sync in steps, through what goes from task to task."""
        config = self.config(*names)
        plan = plan_run(config)
        compared = compare_tables(config, plan, opener=Opener(), run_id="r")
        staged = download_tables(config, plan, compared.pieces, opener=Opener())
        slices = [StagedSlice.from_dict(entry.to_dict()) for entry in staged]
        return [*compared.unchanged, *merge_tables(config, plan, slices, opener=Opener())]


@contextmanager
def second_url(servers: DatabaseServers, engine: str, url: URL, folder: Path) -> Iterator[tuple[URL, str]]:
    """Give another URL that leads to the same server, and the name of what is there, as a prefix of its tables' names."""
    if engine in (MARIADB, MYSQL):
        with servers.database(engine, folder) as other:
            yield make_url(other), f"{make_url(other).database}."
    elif engine == POSTGRESQL:
        with opened(url.render_as_string(hide_password=False)) as scenario:
            scenario.execute("CREATE SCHEMA beside")
        yield url.update_query_dict({"options": "-csearch_path=beside"}), "beside."
    else:
        file = Path(url.database or "")
        yield url.set(database=f"{file.parent}/../{file.parent.name}/{file.name}"), ""


@pytest.fixture
def two(
    request: pytest.FixtureRequest, database_url: str, database_servers: DatabaseServers, tmp_path: Path
) -> Iterator[TwoConnections]:
    """Give two connections to one server of each engine."""
    source, first, engine = tmp_path / "source.db", make_url(database_url), request.node.callspec.params["database_url"]
    run_sqlite(source, TABLES.format("a") + TABLES.format("c"))
    with ExitStack() as open_ones:
        second, schema = open_ones.enter_context(second_url(database_servers, engine, first, tmp_path))
        first_one, second_one = (
            open_ones.enter_context(opened(url.render_as_string(hide_password=False))) for url in (first, second)
        )
        first_one.execute(*TABLES.format("a").split(";")[:2])
        for scenario in (first_one, second_one) if schema else (first_one,):
            scenario.execute("CREATE TABLE note (n INTEGER)")
        second_one.execute(*TABLES.format("c").split(";")[:2])
        tables = {"a": {"windows": ["id"]}, "c": {"windows": ["id"]}}
        server = open_ones.enter_context(RunningServer(server_config(f"sqlite:///{source}", tables=tables)))
        yield TwoConnections(source, server.url, first_one, second_one, schema)


def same_target(two: TwoConnections) -> None:
    """Have both sources go into the table a, each over its own connection."""
    with two.first.database.connect() as asking:
        ((schema, table),) = two.first.database.catalog.places_of(asking, ["a"])
    two.options["c"]["table"] = f"{schema}.{table}"


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize("changes", [False, True], ids=["found equal", "merged"])
def test_a_table_that_was_compared_over_another_connection(two: TwoConnections, steps: bool, changes: bool) -> None:
    """A trigger that changes it is named and refused, as with one connection."""
    add_trigger(two.first, f"UPDATE {two.schema}c SET v = 77 WHERE id = 1")
    run_sqlite(two.source, "UPDATE a SET v = 2 WHERE id = 1;" + ("UPDATE c SET v = 2 WHERE id = 2" if changes else ""))

    with pytest.raises(SyncFailed, match=r"c' was compared with the source already.*trigger \(act\)") as raised:
        two.run_in_steps("c", "a") if steps else two.run("c", "a")

    assert not raised.value.retryable
    assert two.second.rows("c") == [(1, 1), (2, 2 if changes else 1)]
    assert two.first.rows("a") == [(1, 1), (2, 1)]


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_a_trigger_that_writes_elsewhere(two: TwoConnections, steps: bool) -> None:
    """A trigger that does not change tables of other connections is allowed."""
    add_trigger(two.first, "INSERT INTO note VALUES (1)")
    run_sqlite(two.source, "UPDATE a SET v = 2 WHERE id = 1; UPDATE c SET v = 2 WHERE id = 2")

    two.run_in_steps("c", "a") if steps else two.run("c", "a")

    assert two.second.rows("c") == [(1, 1), (2, 2)]
    assert two.first.rows("a") == [(1, 2), (2, 1)]
    assert two.first.rows("note") == [(1,)]


@on_engines("mariadb", "mysql")
@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_a_table_that_the_user_may_not_read(two: TwoConnections, steps: bool) -> None:
    """A table that the user sees but may not read cannot be checked, and the report says so."""
    add_trigger(two.first, "INSERT INTO note VALUES (1)")
    run_sqlite(two.source, "UPDATE a SET v = 2 WHERE id = 1; UPDATE c SET v = 2 WHERE id = 2")
    with user_with(two.first.database.engine.url.render_as_string(hide_password=False), "ALL") as url:
        user = make_url(url).username
        two.first.execute(*(f"GRANT INSERT ON {two.schema}c TO '{user}'@'{host}'" for host in ("localhost", "%")))
        two.settings["connections"] = {"first": url}

        reports = two.run_in_steps("c", "a") if steps else two.run("c", "a")

    unwatched = [warning for report in reports for warning in report.warnings if "c' cannot be watched" in warning]
    assert len(unwatched) == 1
    assert "SELECT command denied" in unwatched[0]
    assert two.second.rows("c") == [(1, 1), (2, 2)]
    assert two.first.rows("a") == [(1, 2), (2, 1)]


@on_engines("sqlite", "mariadb", "postgresql")
def test_a_table_that_is_compared_later(two: TwoConnections) -> None:
    """A later table with kept rows is checked, too, because its own sync would not compare them; a mirror corrects them."""
    add_trigger(two.first, f"UPDATE {two.schema}c SET v = 77 WHERE id = 1")
    run_sqlite(two.source, "UPDATE a SET v = 2 WHERE id = 1; DELETE FROM c WHERE id = 1")
    two.options["c"]["mode"] = "upsert"

    with pytest.raises(SyncFailed, match=r"c' was compared with the source already.*trigger \(act\)"):
        two.run("a", "c")

    assert two.second.rows("c") == [(1, 1), (2, 1)]
    del two.options["c"]["mode"]
    two.run("a", "c")
    assert two.second.rows("c") == [(2, 1)]
    assert two.first.rows("a") == [(1, 2), (2, 1)]


@on_engines("sqlite", "mariadb", "postgresql")
@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize("connection", ["first", "second"])
def test_one_table_from_two_sources(two: TwoConnections, connection: str, steps: bool) -> None:
    """A merged table does not count as changed by its own trigger, whatever else is synced into it."""
    add_trigger(two.first, "INSERT INTO note VALUES (1)")
    run_sqlite(two.source, "UPDATE a SET v = 2 WHERE id = 1; DELETE FROM c; INSERT INTO c VALUES (2, 3)")
    same_target(two)
    two.options["a"] |= {"window": ["id", "1", "2"]}
    two.options["c"] |= {"connection": connection, "window": ["id", "2", "9"]}
    two.settings["single_transaction"] = False

    two.run_in_steps("c", "a") if steps else two.run("c", "a")

    assert two.first.rows("a") == [(1, 2), (2, 3)]


@on_engines("sqlite", "duckdb", "mariadb", "postgresql")
@pytest.mark.parametrize("mode", ["upsert", "append"])
@pytest.mark.parametrize("groups", [["ac"], ["a", "c"]], ids=["one group", "two groups"])
def test_two_sources_in_steps(two: TwoConnections, groups: list[str], mode: str) -> None:
    """Rows of two sources arrive in one table, also if one is merged between the other's comparison and merge."""
    run_sqlite(two.source, "INSERT INTO a VALUES (3, 1), (7, 1); DELETE FROM c; INSERT INTO c VALUES (5, 3), (9, 3)")
    same_target(two)
    two.settings["single_transaction"] = False
    two.options["a"] |= {"mode": mode}
    two.options["c"] |= {"mode": mode, "connection": "first"}
    config = two.config("a", "c")
    staged = []
    for group in groups:
        plan = plan_run(config, tables=list(group))
        compared = compare_tables(config, plan, opener=Opener(), run_id=group)
        staged.append((plan, download_tables(config, plan, compared.pieces, opener=Opener())))

    reports = [report for plan, slices in staged for report in merge_tables(config, plan, slices, opener=Opener())]

    assert [(report.name, report.to_dict()["rows_inserted"], report.verified) for report in reports] == [
        ("a", 2, "digest"),
        ("c", 2, "digest"),
    ]
    assert two.first.rows("a") == [(1, 1), (2, 1), (3, 1), (5, 3), (7, 1), (9, 3)]


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_two_names_of_a_file_that_is_not_there_yet(scheme: str, tmp_path: Path) -> None:
    """Two sources of one table in a file that the run creates are refused, too."""
    run_sqlite(tmp_path / "source.db", TABLES.format("a") + TABLES.format("c"))
    (tmp_path / "link").symlink_to(tmp_path)
    urls = {"first": f"{scheme}:///{tmp_path}/target.db", "second": f"{scheme}:///{tmp_path}/link/target.db"}
    options = {"create_table": True, "table": "a"}
    tables = {"a": {"connection": "first", **options}, "c": {"connection": "second", **options}}
    with RunningServer(server_config(f"sqlite:///{tmp_path}/source.db", tables={"a": {}, "c": {}})) as server:
        config = ClientConfig.from_dict({"url": server.url, "retries": 0, "connections": urls, "tables": tables})
        with pytest.raises(SyncFailed, match="would be one table of the target"):
            run(config, plan_run(config))
    with opened(urls["first"]) as target, target.database.connect() as connection:
        assert target.database.catalog.list_tables(connection) == []


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_two_hard_links_of_a_file(scheme: str, tmp_path: Path) -> None:
    """Two sources of one table are refused also if two names of its file hide that it is one."""
    run_sqlite(tmp_path / "source.db", TABLES.format("a") + TABLES.format("c"))
    urls = {"first": f"{scheme}:///{tmp_path}/target.db", "second": f"{scheme}:///{tmp_path}/link.db"}
    with opened(urls["first"]) as target:
        target.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO a VALUES (7, 7)")
    (tmp_path / "link.db").hardlink_to(tmp_path / "target.db")
    tables = {"a": {"connection": "first"}, "c": {"connection": "second", "table": "a"}}
    with RunningServer(server_config(f"sqlite:///{tmp_path}/source.db", tables={"a": {}, "c": {}})) as server:
        config = ClientConfig.from_dict({"url": server.url, "retries": 0, "connections": urls, "tables": tables})
        with pytest.raises(SyncFailed, match=r"'[ac]' and '[ac]' of the source would be one table of the target"):
            run(config, plan_run(config))
    with opened(urls["first"]) as target:
        assert target.rows("a") == [(7, 7)]


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_two_urls_of_a_file_with_different_options(steps: bool, tmp_path: Path) -> None:
    """Two sources of one table are refused also if two URLs name its file that cannot be open at the same time."""
    run_sqlite(tmp_path / "source.db", TABLES.format("a") + TABLES.format("c"))
    urls = {"first": f"duckdb:///{tmp_path}/target.db", "second": f"duckdb:///{tmp_path}/target.db?threads=1"}
    with opened(urls["first"]) as target:
        target.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO a VALUES (7, 7)")
    tables = {"a": {"connection": "first"}, "c": {"connection": "second", "table": "a"}}
    with RunningServer(server_config(f"sqlite:///{tmp_path}/source.db", tables={"a": {}, "c": {}})) as server:
        config = ClientConfig.from_dict({"url": server.url, "retries": 0, "connections": urls, "tables": tables})
        with pytest.raises(SyncFailed, match="would be one table of the target"):
            compare_tables(config, plan_run(config), opener=Opener(), run_id="1") if steps else run(config, plan_run(config))
    with opened(urls["first"]) as target:
        assert target.rows("a") == [(7, 7)]


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize("names", [("a", "c"), ("c", "a")], ids=["first", "second"])
def test_sources_that_undo_each_other(two: TwoConnections, names: tuple[str, str], steps: bool) -> None:
    """Two sources of one table over two connections are refused, too, unless neither deletes the other's rows."""
    run_sqlite(two.source, "UPDATE a SET v = 2 WHERE id = 1; DELETE FROM c; INSERT INTO c VALUES (3, 3)")
    same_target(two)
    for options in ({}, {"mode": "upsert"}):
        two.options[names[0]] |= options
        with pytest.raises(SyncFailed, match=r"'[ac]' and '[ac]' of the source would be one table of the target") as raised:
            two.run_in_steps(*names) if steps else two.run(*names)
        assert not raised.value.retryable
        assert [report.status for report in raised.value.reports] == ["failed", "failed"]
        assert two.first.rows("a") == [(1, 1), (2, 1)]
    two.options[names[1]]["mode"] = "upsert"
    two.run(*names)
    assert two.first.rows("a") == [(1, 2), (2, 1), (3, 3)]


def test_a_diff_of_sources_that_undo_each_other(two: TwoConnections) -> None:
    """``diff`` refuses them like the sync."""
    same_target(two)
    config = two.config("a", "c")

    found = diff_run(config, plan_run(config))

    assert ["would be one table of the target" in str(failure) for failure in found.failures] == [True, True]


def test_connections_without_a_table_in_common(two: TwoConnections) -> None:
    """Each is opened once, and the tables of one are not checked over the other."""
    opened_urls: list[str] = []

    def engine(url: str) -> Engine:
        opened_urls.append(url)
        return open_engine(url)

    config = two.config("a", "c")
    run(config, plan_run(config), opener=Opener(engine=engine))

    assert opened_urls == list(config.connections.values())
