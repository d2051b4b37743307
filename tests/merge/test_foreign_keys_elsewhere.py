"""Foreign keys of MySQL, MariaDB and SQLite: no action of theirs fires, wherever they come from."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import TableError
from tests.scenario import Scenario

PARENT = "CREATE TABLE parent (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE)"


@pytest.fixture(params=["mariadb", "mysql"])
def plain(request: pytest.FixtureRequest) -> Iterator[tuple[Scenario, Scenario, str]]:
    """Give a database as its administrator and as a user without privileges of the server sees it, and another database."""
    url = make_url(request.getfixturevalue(f"{request.param}_url"))
    administrator = open_engine(url.render_as_string(hide_password=False))
    on, name, elsewhere = Scenario(database_for(administrator)), f"sync_{secrets.token_hex(4)}", f"sync_{secrets.token_hex(4)}"
    on.execute(f"CREATE DATABASE {elsewhere}", f"CREATE USER {name}@'%' IDENTIFIED BY 'plain'".replace("%", on.percent))
    on.execute(f"GRANT ALL ON {url.database}.* TO {name}@'%'".replace("%", on.percent))
    user = open_engine(url.set(username=name, password="plain").render_as_string(hide_password=False))
    yield on, Scenario(database_for(user)), elsewhere
    on.execute(f"DROP DATABASE {elsewhere}", f"DROP USER {name}@'%'".replace("%", on.percent))
    administrator.dispose()
    user.dispose()


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_children_in_another_database(plain: tuple[Scenario, Scenario, str], action: str) -> None:
    """Deleting rows, renaming keys and swapping values do not change rows of another database, two levels deep."""
    owner, user, elsewhere = plain
    database = owner.scalar("SELECT DATABASE()")
    actions = f"ON DELETE {action} ON UPDATE {action}"
    owner.execute(
        PARENT,
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        f"CREATE TABLE {elsewhere}.child (id INT PRIMARY KEY, code VARCHAR(9) UNIQUE,"
        f" FOREIGN KEY (code) REFERENCES {database}.parent (code) {actions})",
        f"CREATE TABLE {elsewhere}.leaf (id INT PRIMARY KEY, code VARCHAR(9),"
        f" FOREIGN KEY (code) REFERENCES {elsewhere}.child (code) {actions})",
        f"INSERT INTO {elsewhere}.child VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        f"INSERT INTO {elsewhere}.leaf VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    )

    user.sync("parent", [(1, "B"), (2, "A")])

    assert user.rows("parent") == [(1, "B"), (2, "A")]
    for table in ("child", "leaf"):
        assert owner.rows(f"{elsewhere}.{table}") == [(1, "a"), (2, "b"), (3, "c")]
    owner.execute(f"DROP TABLE {elsewhere}.leaf", f"DROP TABLE {elsewhere}.child")


def test_checks_that_cannot_be_switched_off(sqlite_on: Scenario) -> None:
    """If SQLite cannot switch its checks off, a table with foreign keys is refused before anything is written."""
    sqlite_on.execute(
        PARENT,
        "CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent (id) ON DELETE CASCADE)",
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO child VALUES (10, 2)",
        "CREATE TABLE other (id INTEGER PRIMARY KEY)",
    )

    def authorise(action: int, name: str | None, value: str | None, *_: object) -> int:
        stays = action == sqlite3.SQLITE_PRAGMA and name == "foreign_keys" and value == "OFF"
        return sqlite3.SQLITE_IGNORE if stays else sqlite3.SQLITE_OK

    with sqlite_on.database.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.connection.driver_connection.set_authorizer(authorise)  # type: ignore[union-attr]  # it is open
        with pytest.raises(TableError, match=r"'parent'.*foreign_keys"):
            sqlite_on.sync("parent", [(1, "changed")], connection=connection)
        sqlite_on.sync("other", [(1,)], connection=connection)
        connection.connection.driver_connection.set_authorizer(None)  # type: ignore[union-attr]  # it is open

    assert sqlite_on.rows("parent") == [(1, "a"), (2, "b")]
    assert sqlite_on.rows("child") == [(10, 2)]
    assert sqlite_on.rows("other") == [(1,)]
