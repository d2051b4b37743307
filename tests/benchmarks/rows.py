"""What a table is to the benchmark: how it is made and how some of its rows change; which rows is said elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy


@dataclass(frozen=True)
class Rows:
    """A table with rows numbered from 1 in ``id``.

    :ivar about: which rows they are, for people
    :ivar table: its name
    :ivar columns: all columns but the key
    :ivar creates: the statement that makes the table, by `kind`
    :ivar load: fills the empty table of a database with so many rows; may keep files in the folder
    :ivar change: what an UPDATE sets so that a row differs from what it was
    :ivar key: the primary key
    :ivar rekey: a statement that makes ``key`` the primary key, where the table is made with another
    """

    about: str
    table: str
    columns: tuple[str, ...]
    creates: Mapping[str, str]
    load: Callable[[str, int, Path], None]
    change: str
    key: str = "id"
    rekey: str = ""

    def create(self, url: str) -> None:
        """Make the empty table anew."""
        execute(url, f"DROP TABLE IF EXISTS {self.table}", self.creates[kind(url)], self.rekey)

    def fill(self, url: str, count: int, folder: Path) -> None:
        """Make the table with so many rows, its statistics fresh and its pages in the server's memory."""
        execute(url, f"DROP TABLE IF EXISTS {self.table}", self.creates[kind(url)])
        self.load(url, count, folder)
        execute(url, self.rekey, _SETTLE[kind(url)].format(table=self.table), f"SELECT COUNT(*) FROM {self.table}")

    def update(self, url: str, every: int) -> None:
        """Change each row whose number is a multiple of ``every``."""
        execute(url, f"UPDATE {self.table} SET {self.change} WHERE id % {every} = 0")


_SETTLE = {
    "mysql": "ANALYZE TABLE {table}",
    # Whoever reads rows of PostgreSQL first would else have to mark them as committed.
    "postgresql": "VACUUM ANALYZE {table}",
    "sqlite": "ANALYZE {table}",
}


def kind(url: str) -> str:
    """Return which SQL the database speaks."""
    name = sqlalchemy.make_url(url).get_backend_name()
    return "mysql" if name == "mariadb" else name


def execute(url: str, *statements: str) -> None:
    """Run statements, each committed; empty ones are left out."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in filter(None, statements):
            connection.exec_driver_sql(statement if kind(url) == "sqlite" else statement.replace("%", "%%")).close()
    engine.dispose()
