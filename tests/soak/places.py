"""Where the soak keeps its sources and copies: databases, folders, and which table is copied to where."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from airflow_provider_sync.databases.connect import open_engine
from tests.database_servers import DUCKDB, MARIADB, POSTGRESQL, DatabaseServers

POSTGRESQL_TABLES = {
    "orders": 4_000,
    "customers": 500,
    "events": 15_000,
    "prices": 500,
    "small_a": 50,
    "small_b": 50,
    "small_c": 5,
}
"""Tables of the source in PostgreSQL, with about so many rows."""

MARIADB_TABLES = {"stock": 2_000}
"""Tables of the source in MariaDB, with about so many rows."""

HISTORY = ("prices",)
"""Tables whose copies keep old versions."""


@dataclass
class Places:
    """Databases and folders of both sides.

    :param urls: SQLAlchemy URLs of the databases, by name: sources and targets
    :param folder: of everything that is not in a database
    :ivar sessions: held while the soak has sessions of its own at a target, so that it does not end them
    """

    urls: dict[str, str]
    folder: Path
    sessions: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.copies = self.folder / "copies"
        self.temporary = self.folder / "tmp"
        self.source_folders = [self.folder / "source" / name for name in ("images", "letters")]
        for folder in (self.copies, self.temporary, *self.source_folders):
            folder.mkdir(parents=True)
        self._engines = {name: open_engine(url) for name, url in self.urls.items()}
        self.postgresql_source, self.mariadb_source = self._engines["postgresql_source"], self._engines["mariadb_source"]
        self.postgresql, self.mariadb, self.duckdb = (self._engines[name] for name in (POSTGRESQL, MARIADB, DUCKDB))
        # Tables that are there before the first sync, and those that it makes.
        self.copied_tables: list[tuple[Engine, tuple[str, ...]]] = [
            (self.mariadb, ("orders", "customers", "events")),
            (self.postgresql, ("orders",)),
            (self.duckdb, ("orders", "events")),
        ]
        self.made_tables: list[tuple[Engine, tuple[str, ...]]] = [
            (self.postgresql, ("prices", "small_a", "small_b", "small_c", "stock")),
        ]

    def close(self) -> None:
        """Close all databases."""
        for engine in self._engines.values():
            engine.dispose()


@contextmanager
def made_places(servers: DatabaseServers, folder: Path) -> Iterator[Places]:
    """Make fresh databases and folders; the databases are dropped in the end."""
    with ExitStack() as stack:
        engines = {"postgresql_source": POSTGRESQL, "mariadb_source": MARIADB}
        engines |= {name: name for name in (POSTGRESQL, MARIADB, DUCKDB)}
        urls = {name: stack.enter_context(servers.database(engine, folder)) for name, engine in engines.items()}
        places = Places(urls, folder)
        stack.callback(places.close)
        yield places
