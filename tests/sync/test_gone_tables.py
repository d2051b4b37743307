"""Tables that are gone at the source are dropped only where nothing speaks against it; see ``drop_missing``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.exceptions import ConfigurationError, GuardError, SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import plan_run, run
from airflow_provider_sync.sync.run import Opener
from airflow_provider_sync.sync.run_diff import diff_run
from airflow_provider_sync.sync.run_steps import compare_tables
from tests.database_servers import MARIADB, MYSQL, DatabaseServers
from tests.server.tables.served_tables import execute
from tests.server.wire import run_sqlite
from tests.sync.test_pattern_resolution import Pair, pair_of

ALL = {"exclude": ["tmp_*"], "create_table": True, "drop_missing": ["*rs"]}
"""`customers` and `orders` belong to the source."""


@pytest.fixture
def pair(tmp_path: Path, database_url: str) -> Iterator[Pair]:
    """Give a source of two tables, of which one is gone after it was synced, and a target on each engine that has another."""
    with pair_of(tmp_path) as pair:
        pair.target = database_url
        execute(pair.target, "CREATE TABLE own (id INTEGER NOT NULL PRIMARY KEY)")
        pair.run({"*": ALL})
        run_sqlite(pair.source, "DROP TABLE orders")
        yield pair


def reports_of(pair: Pair, options: dict[str, Any], **arguments: Any) -> dict[str, TableReport]:
    """Sync everything, and return the reports by name."""
    config = pair.config({"*": options})
    reports = run(config, plan_run(config), **arguments)
    return {report.name: report for report in reports if isinstance(report, TableReport)}


def test_a_table_that_is_gone_is_dropped(pair: Pair) -> None:
    """A gone table is reported by a dry run and `diff`, and then dropped; unnamed tables stay."""
    planned = reports_of(pair, ALL, dry_run=True)["orders"]
    assert (planned.status, planned.rows_deleted) == ("planned", 2)
    assert planned.schema_changes == ("drop table 'orders', which the source does not offer any more",)
    config = pair.config({"*": ALL})
    found = {report.name: report for report in diff_run(config, plan_run(config)).reports}
    assert found["orders"].status == "planned"
    assert "orders" in pair.tables()

    reports = reports_of(pair, ALL)

    assert (reports["orders"].status, reports["orders"].rows_deleted) == ("changed", 2)
    assert pair.tables() == ["customers", "own"]
    (warning,) = reports["customers"].warnings
    assert "does not offer: own. They stay" in warning
    assert list(reports_of(pair, ALL)) == ["customers"]


@pytest.mark.parametrize(
    ("view", "name"),
    [
        ("CREATE VIEW seen AS SELECT id FROM orders", "view 'seen' needs it"),
        (
            "CREATE TABLE parts (id INTEGER NOT NULL PRIMARY KEY, part {INT}, FOREIGN KEY (part) REFERENCES orders (id))",
            "'parts'",
        ),
    ],
)
def test_what_something_needs_stays(pair: Pair, view: str, name: str) -> None:
    """A table that a view or foreign key needs stays; the error names them, and other tables are synced."""
    execute(pair.target, view.replace("{INT}", "INTEGER" if pair.target.startswith("sqlite") else "BIGINT"))
    run_sqlite(pair.source, "INSERT INTO customers VALUES (3, 'Cid')")

    with pytest.raises(SyncFailed, match=r"'orders'.* cannot be dropped") as error:
        reports_of(pair, ALL)

    assert name in str(error.value)
    assert [report.name for report in error.value.reports if report.status == "failed"] == ["orders"]
    assert pair.rows("orders") == [(7, 1), (8, 2)]
    assert len(pair.rows("customers")) == 3


def test_what_only_postgresql_finds_is_named(postgresql_url: str, tmp_path: Path) -> None:
    """Functions and defaults that need a table are named by a one-line error; nothing is dropped."""
    with pair_of(tmp_path) as pair:
        pair.target = postgresql_url
        pair.run({"*": ALL})
        run_sqlite(pair.source, "DROP TABLE orders")
        execute(
            pair.target,
            "CREATE SEQUENCE numbers OWNED BY orders.id",
            "CREATE TABLE own (id BIGINT NOT NULL PRIMARY KEY DEFAULT nextval('numbers'))",
            'CREATE FUNCTION "of\n" (orders) RETURNS BIGINT LANGUAGE sql AS $$SELECT 1::bigint$$',
        )

        with pytest.raises(SyncFailed) as error:
            reports_of(pair, ALL)

        message = str(error.value)
        assert message.startswith("Table 'orders': PostgreSQL: cannot drop table orders because other objects depend on it: ")
        assert "default value for column id of table own depends on sequence numbers" in message
        assert re.search(r'function "of.*"\(orders\) depends on type orders[;.] ', message)
        assert message.endswith(". Drop what needs it first.")
        assert "\n" not in message
        assert pair.tables() == ["customers", "orders", "own"]


@pytest.fixture
def sqlite_pair(tmp_path: Path) -> Iterator[Pair]:
    """Give a source with a table that is gone after it was synced, and a target on SQLite."""
    with pair_of(tmp_path) as pair:
        pair.run({"*": ALL})
        run_sqlite(pair.source, "DROP TABLE orders")
        yield pair


def test_a_guard_limits_how_many(sqlite_pair: Pair) -> None:
    """More than `max_drops` tables are an error that names them, before any drop; they can be allowed."""
    pair = sqlite_pair
    run_sqlite(Path(pair.target.removeprefix("sqlite:///")), "CREATE TABLE doctors (id INTEGER PRIMARY KEY)")
    config = pair.config({"*": ALL})
    plan = plan_run(config)

    with pytest.raises(SyncFailed, match=r"would drop 2 tables .*: doctors, orders; max_drops is 1") as error:
        run(config, plan)

    assert isinstance(error.value.failures[0], GuardError)
    assert pair.tables() == ["customers", "doctors", "orders"]
    (refused,) = error.value.refused
    assert (refused.kind, refused.name, refused.deletes, refused.names) == ("tables", "*", 2, ["doctors", "orders"])
    run(config, plan.allowing([refused]))
    assert pair.tables() == ["customers"]


def test_children_are_dropped_before_parents(pair: Pair) -> None:
    """A table that only dropped tables need is dropped after them."""
    number = "INTEGER" if pair.target.startswith("sqlite") else "BIGINT"
    execute(
        pair.target,
        f"CREATE TABLE payers (id INTEGER NOT NULL PRIMARY KEY, up {number}, FOREIGN KEY (up) REFERENCES orders (id))",
    )
    pair.run({"*": {**ALL, "max_drops": 2}})
    assert pair.tables() == ["customers", "own"]


def test_nothing_is_dropped_if_anything_failed(sqlite_pair: Pair) -> None:
    """If another table failed, a run drops nothing."""
    pair = sqlite_pair
    run_sqlite(pair.source, "DROP TABLE customers; CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, age INT)")
    with pytest.raises(SyncFailed):
        pair.run({"*": ALL})
    assert "orders" in pair.tables()


def test_a_table_that_is_back_stays(sqlite_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is offered again at the end of the run is not dropped."""
    pair = sqlite_pair

    class Returning(Opener):
        """The table comes back when the target is opened for the first time."""

        def database(self, url: str) -> Any:
            run_sqlite(pair.source, "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, customer INT)")
            return super().database(url)

    reports = reports_of(pair, ALL, opener=Returning())

    assert list(reports) == ["customers"]
    assert "orders" in pair.tables()


def test_a_source_that_lost_everything_drops_nothing(sqlite_pair: Pair) -> None:
    """A pattern that matches nothing at the source is still an error."""
    pair = sqlite_pair
    run_sqlite(pair.source, "DROP TABLE customers")
    with pytest.raises(ConfigurationError, match="matches no table"):
        pair.run({"*": ALL})
    assert pair.tables() == ["customers", "orders"]


def test_only_a_run_of_the_pattern_drops(sqlite_pair: Pair) -> None:
    """`--table` drops no table, and neither does a pattern without `drop_missing`."""
    pair = sqlite_pair
    pair.run({"*": ALL}, names=("customers",))
    pair.run({"*": {**ALL, "drop_missing": ["shop_*"]}})
    assert "orders" in pair.tables()


def test_a_table_that_goes_elsewhere_stays(tmp_path: Path) -> None:
    """A table that the source offers is not gone, even if its rows go to another target name."""
    with pair_of(tmp_path) as pair:
        pair.run({"*": ALL})
        elsewhere = {"*": ALL, "orders": {"table": "bought", "create_table": True}}
        pair.run(elsewhere)
        assert pair.tables() == ["bought", "customers", "orders"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("orders", {"drop_missing": ["orders"]}, "drop_missing needs a pattern"),
        ("orders", {"max_drops": 2}, "max_drops needs a pattern"),
        ("*", {"drop_missing": ["*"], "mode": "history"}, "would drop rows that mode history keeps"),
        ("*", {"drop_missing": ["*"], "window": ["id", 1, 2]}, "would drop rows outside of the window"),
        ("*", {"drop_missing": ["*"], "max_drops": 0}, "max_drops"),
    ],
)
def test_refusals(name: str, options: dict[str, Any], message: str) -> None:
    """Tables that hold more than the source are never dropped, and the option needs a pattern."""
    with pytest.raises(ConfigurationError, match=message):
        TargetTable.from_dict({"name": name, **options})


def test_steps_refuse_it(sqlite_pair: Pair) -> None:
    """Tasks of a group refuse the option before they compare."""
    config = sqlite_pair.config({"*": ALL})
    with pytest.raises(ConfigurationError, match=r"drop_missing: .* Take TableSyncOperator"):
        compare_tables(config, plan_run(config), opener=Opener(), run_id="r")
    assert "orders" in sqlite_pair.tables()


def other_url(url: str) -> str:
    """Return another URL of the same database."""
    parsed = make_url(url)
    if parsed.get_backend_name() in ("sqlite", "duckdb"):
        folder, _, file = url.rpartition("/")
        return f"{folder}/./{file}"
    option = {"application_name": "other"} if parsed.get_backend_name() == "postgresql" else {"charset": "utf8mb4"}
    return parsed.update_query_dict(option).render_as_string(hide_password=False)


def test_what_came_over_another_url_stays(pair: Pair) -> None:
    """A table that the run synced over another URL of the same database is not gone, also in `diff`."""
    connections = {"local": pair.target, "other": other_url(pair.target)}
    tables = {"*": ALL, "customers": {"connection": "other", "table": "buyers", "create_table": True}}
    config = pair.config(tables, connections=connections, default_connection="local")
    assert [report.name for report in run(config, plan_run(config))] == ["customers", "orders"]
    assert pair.tables() == ["buyers", "customers", "own"]
    assert [report.name for report in run(config, plan_run(config))] == ["customers"]
    assert [report.name for report in diff_run(config, plan_run(config)).reports] == ["customers"]
    assert pair.tables() == ["buyers", "customers", "own"]


@pytest.mark.parametrize("engine", [MARIADB, MYSQL])
def test_a_table_in_use(database_servers: DatabaseServers, tmp_path: Path, engine: str) -> None:
    """On databases that cannot undo a DROP, a table that is read for too long stops the other drops, too."""
    with pair_of(tmp_path) as pair, database_servers.database(engine, tmp_path) as url:
        pair.target = f"{url}?init_command=SET+SESSION+lock_wait_timeout=1"
        execute(pair.target, "CREATE TABLE doctors (id INTEGER PRIMARY KEY)", "CREATE TABLE rulers (id INTEGER PRIMARY KEY)")
        options = {"*": {**ALL, "max_drops": 2}}
        reader = open_engine(url)
        try:
            with reader.connect() as connection, connection.begin():
                connection.exec_driver_sql("SELECT * FROM rulers").all()
                with pytest.raises(SyncFailed, match=r"doctors, rulers.*[Ll]ock") as error:
                    pair.run(options)
                assert error.value.retryable
                assert pair.tables() == ["customers", "doctors", "orders", "rulers"]
        finally:
            reader.dispose()
        pair.run(options)
        assert pair.tables() == ["customers", "orders"]
