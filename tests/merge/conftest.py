"""A database of PostgreSQL for two roles, one of which may not switch its foreign keys off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from tests.databases.plain_role import plain_role
from tests.scenario import Scenario

PARENT = "CREATE TABLE parent (id int PRIMARY KEY, v text)"
ROWS = "INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c')"
NOTES = [(10, 1, "x"), (20, 2, "y"), (21, 2, "z")]


class Target:
    """One database for two roles.

    :ivar owner: a superuser, to whom all tables belong
    :ivar plain: a role that may write to them
    """

    def __init__(self, owner: Scenario, plain: Scenario) -> None:
        self.owner = owner
        self.plain = plain

    def note(self, action: str, *, name: str = "note") -> None:
        """Make a table that refers to ``parent``, and its rows."""
        self.owner.execute(
            f"CREATE TABLE {name} (id int PRIMARY KEY, parent_id int DEFAULT 1 REFERENCES parent {action}, mine text)",
            f"INSERT INTO {name} VALUES {', '.join(map(str, NOTES))}",
        )


@pytest.fixture
def target(postgresql_url: str) -> Iterator[Target]:
    """Give a database with a parent of three rows."""
    with plain_role(postgresql_url) as url:
        engines = [open_engine(postgresql_url), open_engine(url)]
        target = Target(*(Scenario(database_for(engine)) for engine in engines))
        target.owner.execute(PARENT, ROWS)
        yield target
        for engine in engines:
            engine.dispose()
