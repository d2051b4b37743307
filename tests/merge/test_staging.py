"""Staging tables are found again by their target and run, and by their age, and leave nothing behind."""

from __future__ import annotations

import time
from typing import ClassVar

import msgspec
import pytest
from sqlalchemy import Connection, make_url

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.contract.ddl import StagingLayout
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from airflow_provider_sync.merge.staging import PermanentStaging, staging_for
from airflow_provider_sync.merge.staging_names import find_staging, staging_name
from tests.scenario import Scenario, layout_of


@pytest.fixture
def item(on: Scenario) -> Scenario:
    """Give a database with one table."""
    on.execute(
        "CREATE TABLE item (id {AUTO} PRIMARY KEY, n INTEGER NOT NULL DEFAULT 3, code VARCHAR(9) NOT NULL UNIQUE,"
        " twice INTEGER GENERATED ALWAYS AS (n * 2) {STORED})"
    )
    return on


def test_staging_has_types_and_key_and_nothing_else(item: Scenario) -> None:
    """The staging table has the chosen columns in order and the key, but no defaults, unique keys or generated columns."""
    target = item.describe("item")
    staging = PermanentStaging(item.database)
    with item.database.connect() as connection:
        columns = tuple(target.column(name) for name in ("code", "id", "twice"))
        layout = StagingLayout(target=target, columns=columns, primary_key=("id",), indexes=("code",))
        made = staging.create(connection, layout)
        described = item.database.catalog.describe(connection, made.name)
        staging.drop(connection)

    assert [column.name for column in described.columns] == ["code", "id", "twice"]
    assert [column.kind for column in described.columns] == [column.kind for column in columns]
    assert described.primary_key == ("id",)
    assert described.unique_keys == ()
    assert not any(column.generated for column in described.columns)
    assert item.names() == ["item"]


def test_a_retry_drops_what_its_failed_try_left(item: Scenario) -> None:
    """Leftovers of the same target and run are dropped when the table is created again; those of other runs stay."""
    layout = layout_of(item.describe("item")).keys
    with item.database.connect() as connection:
        PermanentStaging(item.database, "run 1").create(connection, layout)
        PermanentStaging(item.database, "run 2").create(connection, layout)
        retried = PermanentStaging(item.database, "run 1")
        retried.create(connection, layout)

        assert len(find_staging(connection)) == 2
        retried.drop(connection)
        assert len(find_staging(connection)) == 1


def test_a_later_step_adopts_the_table(item: Scenario) -> None:
    """Another step of the same run uses the filled table; if it is gone, the error says what to do."""
    target = item.describe("item")
    with item.database.connect() as connection:
        first = PermanentStaging(item.database, "run 1")
        first.create(connection, StagingLayout(target=target, columns=target.columns[:2], primary_key=("id",)))
        first.load(connection, target, [[(1, 1)]])

    with item.database.connect() as connection:
        second = PermanentStaging(item.database, "run 1")
        adopted = second.adopt(connection, target)
        assert [column.name for column in adopted.columns] == ["id", "n"]
        assert item.database.reader.count(connection, adopted) == 1
        second.drop(connection)
        with pytest.raises(TableError, match=r"'item'.*staging table is gone.*Run the steps again"):
            PermanentStaging(item.database, "run 1").adopt(connection, target)


def test_old_tables_are_found_by_their_age(item: Scenario) -> None:
    """Staging tables are found with their age in seconds; tables with other names are not."""
    old = staging_name(item.describe("item"), "", time.time() - 90_000)
    item.execute(f"CREATE TABLE {old} (id INTEGER)", "CREATE TABLE _sync_mine (id INTEGER)")

    with item.database.connect() as connection:
        ((table, age),) = find_staging(connection)

    assert table.name == old
    assert 90_000 <= age < 90_600


@pytest.mark.parametrize(("option", "names"), [("primary_key", ["nope"]), ("indexes", ["nope"])])
def test_columns_that_are_not_staged_are_refused(item: Scenario, option: str, names: list[str]) -> None:
    """A key or an index over a column that is not staged is refused, and no table is created."""
    target = item.describe("item")
    layout = msgspec.structs.replace(layout_of(target), **{option: tuple(names)})
    with item.database.connect() as connection, pytest.raises(ConfigurationError, match="'nope', which is not staged"):
        PermanentStaging(item.database).create(connection, layout)

    assert item.names() == ["item"]


def test_a_table_that_was_not_made_is_refused(item: Scenario) -> None:
    """Asking for a table before it was created is an error that says what to do; dropping it is not."""
    staging = staging_for(item.database, "temporary")
    with pytest.raises(TableError, match="Download before the merge"):
        _ = staging.table
    with item.database.connect() as connection:
        staging.drop(connection)


class OwnStaging:
    """A user's staging class."""

    dropped: ClassVar[list[str]] = []
    without: ClassVar[str] = ""

    def create(self, connection: Connection, target: Table) -> Table:
        """Make a table by plain SQL, its columns in reverse."""
        columns = [column for column in reversed(target.columns) if column.name != self.without]
        definitions = ", ".join(f"{column.name} {column.sql_type}" for column in columns)
        connection.exec_driver_sql(f"CREATE TABLE own_staging ({definitions})")
        return msgspec.structs.replace(target, name="own_staging", columns=tuple(columns))

    def drop(self, connection: Connection) -> None:
        """Drop it."""
        connection.exec_driver_sql("DROP TABLE own_staging")
        self.dropped.append("own_staging")


def test_a_users_staging_class(item: Scenario) -> None:
    """A class named by its import path creates and drops the staging table."""
    OwnStaging.dropped.clear()

    item.sync("item", [("a", 1), ("b", 2)], columns=["code", "id"], staging=f"{__name__}.OwnStaging")

    assert item.rows("item") == [(1, 3, "a", 6), (2, 3, "b", 6)]
    assert OwnStaging.dropped == ["own_staging"]
    assert item.names() == ["item"]


def test_a_users_staging_class_that_leaves_a_column_out(item: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class whose table lacks a column is refused, and its table is dropped."""
    monkeypatch.setattr(OwnStaging, "without", "code")

    with pytest.raises(ConfigurationError, match="without the column 'code'"):
        item.sync("item", [("a", 1)], columns=["code", "id"], staging=f"{__name__}.OwnStaging")

    assert item.names() == ["item"]


@pytest.mark.parametrize("path", ["nope", "no.such.module", "tests.scenario.Nope", "builtins.dict"])
def test_staging_that_cannot_be_made(sqlite_on: Scenario, path: str) -> None:
    """An import path that does not exist, or is not a staging class, is refused with the path."""
    with pytest.raises(ConfigurationError, match=path):
        staging_for(sqlite_on.database, path)


def test_a_column_that_cannot_be_indexed(postgresql_on: Scenario) -> None:
    """A type of PostgreSQL without an order is refused as an index by the name of the option, and no table is left."""
    postgresql_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, place POINT)")
    target = postgresql_on.describe("item")
    with (
        postgresql_on.database.connect() as connection,
        pytest.raises(TableError, match=r"'place' cannot be indexed.*import_indexes"),
    ):
        PermanentStaging(postgresql_on.database).create(connection, layout_of(target, indexes=["place"]))
    assert postgresql_on.names() == ["item"]


def test_a_url_without_a_database(mariadb_url: str) -> None:
    """Staging tables are found in the databases that targets name; the connection names none."""
    url = make_url(mariadb_url)
    engine = open_engine(url.set(database="").render_as_string(hide_password=False))
    with database_for(engine).connect() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {url.database}._sync_0123456789abcdef_00000001 (id INT)")
        found = find_staging(connection, schemas=[None, url.database])
    engine.dispose()
    assert [(table.schema, table.name) for table, _ in found] == [(url.database, "_sync_0123456789abcdef_00000001")]
